"""Every number has a most, and what it is used for can bear that: no start that fails later."""

import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest

from project import env
from project.env import BadSetting
from tests.harness.variables import numbers_read

NUMBERS = numbers_read()
#: Of PostgreSQL's `integer`, in which it keeps time-outs, in milliseconds, as well.
GREATEST_INTEGER = 2**31 - 1
DURATIONS = {"SECONDS": "seconds", "HOURS": "hours", "DAYS": "days"}

every_number = pytest.mark.parametrize("name", sorted(NUMBERS))


def read(name):
    default, bounds = NUMBERS[name]
    return env.number(name, default, **bounds)


def most_of(name, monkeypatch):
    """Return the most that the variable takes, by the words in which it refuses more."""
    monkeypatch.setenv(name, "9" * 30)
    with pytest.raises(BadSetting) as refused:
        read(name)
    return int(str(refused.value).partition(". Example")[0].rpartition(" ")[2])


class TestEveryNumber:
    def test_is_found(self):
        assert len(NUMBERS) > 50

    @every_number
    def test_has_a_most_above_its_default(self, name, monkeypatch):
        most = most_of(name, monkeypatch)
        monkeypatch.setenv(name, str(most))

        assert NUMBERS[name][0] <= read(name) == most

    @every_number
    def test_fits_a_column_at_its_most(self, name, monkeypatch):
        assert most_of(name, monkeypatch) <= GREATEST_INTEGER

    @pytest.mark.parametrize("name", [n for n in NUMBERS if n.rpartition("_")[2] in DURATIONS])
    def test_is_a_time_from_now_at_its_most(self, name, monkeypatch):
        unit = DURATIONS[name.rpartition("_")[2]]
        span = timedelta(**{unit: most_of(name, monkeypatch)})

        assert datetime.now(UTC) - span < datetime.now(UTC) < datetime.now(UTC) + span

    @pytest.mark.parametrize(
        "name", [n for n in NUMBERS if n.endswith("_SECONDS") and n != "SESSION_KEEP_SECONDS"]
    )
    def test_is_a_wait_that_sockets_locks_and_postgres_know(self, name, monkeypatch):
        most = most_of(name, monkeypatch)

        with socket.socket() as one:
            one.settimeout(most)
        assert most < threading.TIMEOUT_MAX
        assert most * 1_000 <= GREATEST_INTEGER
