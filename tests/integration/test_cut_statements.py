"""A signal that comes while PostgreSQL commits: the worst moment for a stop or a soft limit."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection, transaction

from jobs.engine import stopping
from tests.deliveries import deliver
from tests.drills import (
    effects,
    fresh,
    leave_effect,
    make_due,
    make_job,
    nothing,
    run_atomic,
    run_freely,
    script,
    take,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("slow_commits"),
]

#: A trigger that runs inside the commit, and a table whose rows fire it.
SLOW_COMMITS = """
    CREATE TABLE slow_commits (id int);
    CREATE FUNCTION sleep_a_while() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER sleep_in_the_commit AFTER INSERT ON slow_commits
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sleep_a_while();
"""


@pytest.fixture
def slow_commits() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(SLOW_COMMITS)
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE slow_commits; DROP FUNCTION sleep_a_while")


@pytest.fixture(autouse=True)
def _child() -> Iterator[None]:
    """Let this process hear the signals that a worker's child hears."""
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    kept = {name: value for name, value in vars(stopping._Child).items() if name[0] != "_"}
    stopping.listen()
    signal.signal(signal.SIGUSR1, meet_soft_limit)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    for name, value in kept.items():
        setattr(stopping._Child, name, value)


def meet_soft_limit(*_: Any) -> None:
    raise SoftTimeLimitExceeded


@pytest.fixture
def does(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    return lambda run: monkeypatch.setattr(script, "run", run)


def commit_slowly(signum: int) -> Callable[..., None]:
    """Return work whose commit is under way when this process gets the signal."""

    def run(*_: Any) -> None:
        with transaction.atomic():
            leave_effect("cut")
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO slow_commits VALUES (1)")
            threading.Timer(0.3, os.kill, (os.getpid(), signum)).start()

    return run


class TestAStopInTheMiddleOfACommit:
    def test_hands_the_job_over_and_spends_nothing(self, does):
        # Given work of its own transaction, which the signal cuts in its commit
        does(commit_slowly(signal.SIGUSR2))
        job = make_job(run_freely)
        assert deliver(take()[0]) == "acknowledged: ignored"

        now = fresh(job)
        assert (now.state, now.failures, now.losses) == ("waiting", 0, 0)
        assert [end.outcome for end in now.history.all()] == ["handed_over"]

    def test_is_harmless_in_the_commit_of_an_atomic_type(self, does):
        # PostgreSQL goes on with a commit that it has begun; the hand-over waits for it.
        does(commit_slowly(signal.SIGUSR2))
        job = make_job(run_atomic)
        assert deliver(take()[0]) == "acknowledged: ignored"

        assert (fresh(job).state, effects("cut")) == ("succeeded", 1)
        assert [end.outcome for end in fresh(job).history.all()] == ["succeeded"]


class TestASoftLimitInTheMiddleOfACommit:
    def test_is_a_failure_like_another_and_does_not_spoil_the_child(self, does):
        # Given work that meets its soft limit in its commit
        does(commit_slowly(signal.SIGUSR1))
        job = make_job(run_freely)
        assert deliver(take()[0]) == "acknowledged: retried"
        assert (fresh(job).state, fresh(job).failures) == ("retrying", 1)

        # When the same child takes its next jobs, then they run and are committed
        does(nothing)
        other = make_job(run_atomic)
        make_due(job)
        assert [deliver(each) for each in take()] == ["acknowledged"] * 2
        connection.close()
        assert {fresh(each).state for each in (job, other)} == {"succeeded"}
