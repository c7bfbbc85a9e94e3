"""Waiting for a database that is away."""

import pytest
from celery.exceptions import Reject
from django.db import (
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
)

from jobs.engine import patience
from jobs.engine.patience import patiently


class Ledger:
    """A database that is away for the first so many statements."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.asked = 0

    def ask(self) -> str:
        self.asked += 1
        if self.faults:
            raise self.faults.pop(0)
        return "answer"


class Clock:
    """Goes on by as much as somebody sleeps, and keeps the pauses."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def monotonic(self) -> float:
        return 1_000.0 + sum(self.pauses)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    return clock


class TestPatiently:
    def test_asks_once_where_nothing_is_wrong(self, clock):
        assert patiently("claim", Ledger().ask) == "answer"
        assert clock.pauses == []

    def test_tries_a_cut_connection_again_at_once(self, clock):
        ledger = Ledger(OperationalError("server closed the connection unexpectedly"))

        assert patiently("claim", ledger.ask) == "answer"
        assert clock.pauses == [0.0]

    def test_waits_longer_each_time_up_to_a_bound(self, clock):
        ledger = Ledger(*[OperationalError("away")] * 9)

        assert patiently("claim", ledger.ask) == "answer"
        assert clock.pauses == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]

    @pytest.mark.parametrize(
        "fault",
        [
            InterfaceError("connection is closed"),
            InternalError("cannot execute UPDATE in a read-only transaction"),
        ],
    )
    def test_waits_for_a_failover_too(self, clock, fault):
        assert patiently("settle", Ledger(fault).ask) == "answer"

    def test_gives_the_message_back_when_the_wait_has_been_long_enough(self, clock, settings):
        settings.JOBS_DATABASE_WAIT_SECONDS = 60
        ledger = Ledger(*[OperationalError("away")] * 100)

        with pytest.raises(Reject) as given_back:
            patiently("claim", ledger.ask)

        assert given_back.value.requeue  # type: ignore[attr-defined]
        assert sum(clock.pauses) <= 60

    def test_never_waits_into_the_soft_limit(self, clock):
        ledger = Ledger(*[OperationalError("away")] * 100)

        with pytest.raises(Reject):
            patiently("settle", ledger.ask, until=clock.monotonic() + 2)

        assert sum(clock.pauses) <= 2

    def test_tries_again_once_where_no_time_is_left_at_all(self, clock):
        # A job that ran for long: the first failure may be nothing but a connection that was cut.
        ledger = Ledger(OperationalError("server closed the connection unexpectedly"))

        assert patiently("settle", ledger.ask, until=clock.monotonic() - 60) == "answer"

    @pytest.mark.parametrize("fault", [IntegrityError, DataError, ProgrammingError, ValueError])
    def test_does_not_wait_for_what_waiting_does_not_cure(self, clock, fault):
        ledger = Ledger(fault("wrong"))

        with pytest.raises(fault):
            patiently("claim", ledger.ask)

        assert ledger.asked == 1
