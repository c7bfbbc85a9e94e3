"""Deleting in batches: nobody is waited for, nothing in use is touched, nothing is done twice."""

import threading
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.db.utils import OperationalError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import IdempotentRequest
from jobs.upkeep import batches
from jobs.upkeep.batches import act_in_batches, delete_in_batches
from project.accounts.models import Session
from tests.cleaning import meanwhile
from tests.deliveries import at_once
from tests.drills import ACME
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now()
EXPIRED = Session.objects.filter(expire_date__lt=NOW)

#: An advisory lock that nobody else takes.
GATE = 4_711

delete_expired = partial(delete_in_batches, EXPIRED, by="expire_date")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(batches, "BATCH_ROWS", 3)


def make_sessions(count, *, age=timedelta(hours=1), apart=timedelta(seconds=1)):
    return Session.objects.bulk_create(
        Session(session_key=f"key-{number:03}", expire_date=NOW - age - number * apart)
        for number in range(count)
    )


def keys():
    return sorted(Session.objects.values_list("session_key", flat=True))


def delete(rows):
    rows.delete()


def act_on_each(rows, *, by):
    return act_in_batches(rows, delete, by=by, size=3)


def in_thread(delete, rows):
    try:
        return delete(rows, by="expire_date")
    finally:
        connection.close()


@contextmanager
def gate_closed():
    """Let every statement that asks for this lock stand still until the block ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [GATE])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [GATE])


def somebody_stands_at_the_gate():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
            "WHERE datname = current_database() AND objid = %s AND NOT granted",
            [GATE],
        )
        return cursor.fetchone()[0]


class TestDeleteInBatches:
    @pytest.mark.parametrize("count", [0, 1, 3, 4, 10])
    def test_deletes_all_and_says_how_many(self, count):
        make_sessions(count)
        Session.objects.create(session_key="live", expire_date=NOW)

        assert delete_expired() == count
        assert keys() == ["live"]

    def test_deletes_rows_that_share_one_key(self):
        make_sessions(10, apart=timedelta())

        assert delete_expired() == 10

    def test_goes_by_keys_of_any_type(self):
        IdempotentRequest.objects.bulk_create(
            IdempotentRequest(tenant_id=ACME, key=str(number)) for number in range(10)
        )

        assert delete_in_batches(IdempotentRequest.objects.order_by("key")) == 10

    def test_begins_each_batch_where_the_last_one_ended(self):
        make_sessions(7)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            delete_expired()

        selects = [each["sql"] for each in queries if "SKIP LOCKED" in each["sql"]]
        assert ["expire_date\" >= '" in sql for sql in selects] == [False, True, True, True]

    def test_has_one_statement_for_nothing(self):
        make_sessions(7)
        delete_expired()

        with CaptureQueriesContext(connection) as queries:
            assert delete_expired() == 0
        assert len([each for each in queries if "SKIP LOCKED" in each["sql"]]) == 1

    def test_leaves_a_row_that_somebody_holds_and_takes_it_next_time(self):
        make_sessions(8)
        [held] = Session.objects.filter(session_key="key-004")

        with meanwhile(lambda: Session.objects.select_for_update().get(pk=held.pk)):
            assert delete_expired() == 7
            assert keys() == ["key-004"]
        assert delete_expired() == 1

    def test_leaves_a_row_that_is_saved_from_it_meanwhile(self):
        make_sessions(8)
        saved = Session.objects.filter(session_key="key-004")

        with meanwhile(lambda: saved.update(expire_date=NOW + timedelta(days=14))):
            assert delete_expired() == 7
        assert delete_expired() == 0
        assert keys() == ["key-004"]

    @pytest.mark.parametrize("delete", [delete_in_batches, act_on_each])
    def test_leaves_a_row_that_was_saved_between_the_look_and_the_lock(self, delete):
        # Given a search that has begun, and stands still at the first row
        make_sessions(3, apart=-timedelta(seconds=1))
        slow = EXPIRED.extra(where=[f"pg_advisory_xact_lock_shared({GATE})::text IS NOT NULL"])
        found = []
        searching = threading.Thread(target=lambda: found.append(in_thread(delete, slow)))
        with gate_closed():
            searching.start()
            wait_for(somebody_stands_at_the_gate, 60, "the search began")

            # When a request extends the last row before the search comes to it
            Session.objects.filter(pk="key-002").update(expire_date=NOW + timedelta(days=14))
        searching.join()

        # Then the others go
        assert (found, keys()) == ([2], ["key-002"])

    def test_shares_the_rows_out_when_run_twice_at_once(self):
        make_sessions(100)

        assert sum(at_once(delete_expired, delete_expired)) == 100
        assert keys() == []

    def test_goes_on_where_a_killed_one_ended(self, monkeypatch):
        # Given a clean-up whose database goes away after two batches
        make_sessions(10)
        answers = iter([None, None])

        def cut(execute, sql, *rest):
            if "SKIP LOCKED" in sql and next(answers, "away"):
                raise OperationalError("the connection is gone")
            return execute(sql, *rest)

        with connection.execute_wrapper(cut), pytest.raises(OperationalError):
            delete_expired()

        # Then what was committed stays deleted, and the next run takes the others
        assert len(keys()) == 4
        assert delete_expired() == 4


class TestActInBatches:
    def test_acts_on_every_row_once(self):
        make_sessions(10)
        seen = []

        def act(rows):
            seen.extend(rows.values_list("pk", flat=True))
            rows.update(expire_date=NOW)

        assert act_in_batches(EXPIRED, act, by="expire_date", size=3) == 10
        assert sorted(seen) == keys()

    def test_undoes_the_batch_that_fails_and_keeps_those_before(self):
        make_sessions(10)

        def act(rows):
            rows.delete()
            if Session.objects.count() < 4:
                raise RuntimeError("killed")

        with pytest.raises(RuntimeError):
            act_in_batches(EXPIRED, act, size=3)

        assert len(keys()) == 4
        assert act_in_batches(EXPIRED, delete, size=3) == 4

    def test_leaves_a_row_that_somebody_holds(self):
        make_sessions(5)

        with meanwhile(lambda: Session.objects.select_for_update().get(pk="key-002")):
            assert act_in_batches(EXPIRED, delete, size=3) == 4
        assert keys() == ["key-002"]
