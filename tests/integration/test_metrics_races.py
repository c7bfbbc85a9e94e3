"""The aggregate beside others: transactions that commit late, other aggregates, the clean-up."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from jobs.metrics.aggregate import aggregate_events
from jobs.metrics.retention import delete_expired_events
from jobs.metrics.state import locked_state
from jobs.models import Event
from tests.deliveries import at_once
from tests.events import age_records, count_of, counts, happen, make_history, true_counts

pytestmark = pytest.mark.django_db(transaction=True)


class Elsewhere:
    """A transaction on another connection, which stays open until it is told to commit."""

    def __init__(self, action: Any) -> None:
        self._action = action
        self._acted, self._told = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Elsewhere":
        self._thread.start()
        assert self._acted.wait(10)
        return self

    def commit(self) -> None:
        self._told.set()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def __exit__(self, *_: Any) -> None:
        self.commit()

    def _run(self) -> None:
        try:
            with transaction.atomic():
                self._action()
                self._acted.set()
                self._told.wait(30)
        finally:
            connection.close()


class TestATransactionThatCommitsLate:
    def test_is_counted_though_a_later_event_was_counted_before(self):
        make_history()
        # Given an event whose transaction is still open
        with Elsewhere(lambda: happen(2)) as late:
            # When a later one commits and is counted
            happen(3)
            aggregate_events()
            assert count_of() == 3

            # And the first commits, in another run's past
            late.commit()
            assert not aggregate_events().full

        # Then it is counted all the same
        assert count_of() == 5

    def test_leaves_no_group_out_that_nobody_else_touched(self):
        make_history()
        with Elsewhere(lambda: happen(name="invoice.sent")) as late:
            aggregate_events()
            aggregate_events()
            late.commit()
        aggregate_events()
        assert count_of("invoice.sent") == 1


class TestTwoAggregates:
    def test_at_once_count_once(self):
        make_history()
        for _ in range(10):
            happen(3)
            done = at_once(aggregate_events, aggregate_events)
            assert sum(each.changed for each in done) == 1
            assert counts() == true_counts()

    def test_at_once_may_be_the_first_of_all(self):
        happen(3)
        at_once(*[aggregate_events] * 4)
        assert counts() == true_counts()

    def test_wait_for_each_other_so_that_no_event_is_left_for_the_next_run(self):
        make_history()
        # Given a run that has read, and has not committed
        with Elsewhere(hold_the_lock):
            happen()
            waiting = threading.Thread(target=run_and_close)
            waiting.start()
            waiting.join(0.3)
            assert waiting.is_alive()
        waiting.join(10)

        # Then the one that waited counts what came meanwhile
        assert count_of() == 1


class TestTheCleanUp:
    def test_closes_no_day_while_events_are_counted(self, settings):
        settings.JOBS_EVENTS_KEEP_DAYS = 30
        happen(4, at=timezone.now() - timedelta(days=40))
        age_records()

        at_once(aggregate_events, lambda: delete_expired_events(timezone.now()), aggregate_events)

        assert (list(counts().values()), Event.objects.count()) == ([4], 0)

    def test_twice_at_once_deletes_each_event_once(self, settings):
        settings.JOBS_EVENTS_KEEP_DAYS = 30
        old = datetime.now(UTC) - timedelta(days=40)
        Event.objects.bulk_create(Event(name="report.viewed", occurred_at=old) for _ in range(50))

        at_once(*[lambda: delete_expired_events(timezone.now())] * 2)

        assert (list(counts().values()), Event.objects.count()) == ([50], 0)


def hold_the_lock() -> None:
    # Inside the transaction of `Elsewhere`, so that it is held until that commits.
    with locked_state():
        pass


def run_and_close() -> None:
    try:
        aggregate_events()
    finally:
        connection.close()
