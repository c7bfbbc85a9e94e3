"""Accepted means durable: a job is one row of the caller's transaction."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from jobs import enqueue, enqueue_many
from jobs.engine import ledger
from jobs.engine.alarm_clock import CHANNEL, PostgresAlarm
from jobs.errors import EnqueueRefused, KeyInUse, PayloadRefused, UnknownTaskType
from jobs.models import Job
from tests.deliveries import at_once
from tests.drills import ACME, GLOBEX, effects, leave_effect, run_atomic, run_freely

pytestmark = pytest.mark.django_db(transaction=True)

SOON = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def listener():
    """Listen on a connection of its own, as the relay does."""
    alarm = PostgresAlarm()
    yield alarm._connection
    alarm.close()


def heard(listener: psycopg.Connection) -> int:
    """Return how many notifications have arrived; one of our own marks the end."""
    with connection.cursor() as cursor:
        cursor.execute(f"NOTIFY {CHANNEL}, 'the end'")
    arrived = 0
    for each in listener.notifies(timeout=60):
        if each.payload == "the end":
            break
        arrived += 1
    return arrived


class Undone(Exception):
    """Rolls a transaction back."""


@contextmanager
def rolled_back() -> Iterator[None]:
    with suppress(Undone), transaction.atomic():
        yield
        raise Undone


class TestEnqueue:
    def test_stores_what_a_worker_needs(self):
        user = uuid.uuid4()
        job = enqueue(run_atomic, {"label": "a"}, tenant_id=ACME, user_id=user)

        stored = Job.objects.get()
        assert (stored.pk, stored.type, stored.queue) == (job.pk, "drills.run_atomic", "jobs")
        assert (stored.tenant_id, stored.user_id) == (ACME, user)
        assert (stored.payload, stored.partition) == ({"label": "a"}, f"jobs/{ACME}")
        assert (stored.state, stored.dispatch, stored.attempt) == ("waiting", 0, 0)
        assert stored.run_at == stored.created_at

    def test_takes_a_name_for_a_task(self):
        assert enqueue("drills.run_atomic", {}).type == "drills.run_atomic"

    @pytest.mark.parametrize("named", [{}, {"tenant_id": None}])
    def test_gives_what_is_nobodys_to_the_system(self, named):
        enqueue(run_atomic, {}, **named)

        assert Job.objects.get().tenant_id == uuid.UUID(int=0)

    def test_leaves_nothing_when_the_transaction_is_rolled_back(self):
        with rolled_back():
            enqueue(run_atomic, {})

        assert Job.objects.count() == 0

    def test_is_seen_by_nobody_before_the_commit(self):
        with transaction.atomic():
            enqueue(run_atomic, {})
            (seen,) = at_once(Job.objects.count)
            assert seen == 0

        assert Job.objects.count() == 1

    def test_is_one_insert(self, django_assert_num_queries):
        with transaction.atomic(), django_assert_num_queries(1):
            enqueue(run_atomic, {})

    @pytest.mark.parametrize("name", ["run_at", "expires_at"])
    def test_names_a_time_without_a_zone(self, name):
        naive: Any = {name: datetime(2027, 1, 1)}  # noqa: DTZ001

        with pytest.raises(EnqueueRefused, match=f"^{name}: "):
            enqueue(run_atomic, {}, **naive)

    @pytest.mark.parametrize(
        ("refused", "fault"),
        [
            (lambda: enqueue("no.such_type", {}), UnknownTaskType),
            (lambda: enqueue(run_atomic, {"label": 7}), PayloadRefused),
            (lambda: enqueue(run_atomic, {"label": "\0"}), PayloadRefused),
            (lambda: enqueue(run_atomic, {"label": "x" * 65_536}), PayloadRefused),
            (lambda: enqueue(run_atomic, {}, key="k" * 201), EnqueueRefused),
            (lambda: enqueue(run_atomic, {}, key="k\0"), EnqueueRefused),
        ],
    )
    def test_refuses_before_it_writes(self, refused, fault):
        # The caller's transaction goes on: no statement has failed in it.
        with transaction.atomic():
            with pytest.raises(fault):
                refused()
            leave_effect("after")

        assert effects("after") == 1


class TestKey:
    def test_lets_one_live_job_have_it(self):
        holder = enqueue(run_atomic, {}, tenant_id=ACME, key="report-7")

        with pytest.raises(KeyInUse) as refused:
            enqueue(run_atomic, {}, tenant_id=ACME, key="report-7")

        assert refused.value.job == holder
        assert str(holder.pk) in str(refused.value)
        assert Job.objects.count() == 1

    def test_in_use_does_not_spoil_the_callers_transaction(self):
        enqueue(run_atomic, {}, key="report-7")

        with transaction.atomic():
            leave_effect("before")
            with pytest.raises(KeyInUse):
                enqueue(run_atomic, {}, key="report-7")
            leave_effect("after")

        assert effects() == 2

    @pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
    def test_is_free_again_when_its_job_has_settled(self, state):
        enqueue(run_atomic, {}, key="report-7")
        Job.objects.update(state=state)

        assert enqueue(run_atomic, {}, key="report-7")

    @pytest.mark.parametrize("state", ["queued", "running", "retrying"])
    def test_is_in_use_until_then(self, state):
        enqueue(run_atomic, {}, key="report-7")
        Job.objects.update(state=state)

        with pytest.raises(KeyInUse):
            enqueue(run_atomic, {}, key="report-7")

    def test_belongs_to_a_tenant_and_a_type(self):
        for task in (run_atomic, run_freely):
            for tenant in (ACME, GLOBEX):
                enqueue(task, {}, tenant_id=tenant, key="report-7")

        assert Job.objects.count() == 4

    def test_that_is_none_is_never_in_use(self):
        enqueue(run_atomic, {})
        enqueue(run_atomic, {})

        assert Job.objects.count() == 2

    def test_is_given_to_one_of_many_that_ask_at_once(self):
        asked = [lambda: enqueue(run_atomic, {}, key="report-7")] * 8

        answers = at_once(*asked)

        (stored,) = [answer for answer in answers if isinstance(answer, Job)]
        refused = [answer for answer in answers if isinstance(answer, KeyInUse)]
        assert len(refused) == 7
        assert {refusal.job.pk for refusal in refused} == {stored.pk} == {Job.objects.get().pk}

    def test_waits_for_the_transaction_that_has_it_and_gets_it_when_that_is_undone(self):
        inside = threading.Event()

        def ask_and_undo():
            with rolled_back():
                enqueue(run_atomic, {}, key="report-7")
                inside.set()

        def ask():
            inside.wait(30)
            return enqueue(run_atomic, {}, key="report-7")

        _, stored = at_once(ask_and_undo, ask)

        assert Job.objects.get() == stored

    def test_is_asked_for_again_when_its_holder_settles_this_instant(self, monkeypatch):
        # Given a holder that settles between the refused insert and the look at it
        holder = enqueue(run_atomic, {}, key="report-7")
        live = type(Job.objects.all()).live

        def settle_then_look(jobs):
            at_once(lambda: Job.objects.filter(pk=holder.pk).update(state="succeeded"))
            return live(jobs)

        monkeypatch.setattr(type(Job.objects.all()), "live", settle_then_look)

        # When another asks for the key, then it gets it
        assert enqueue(run_atomic, {}, key="report-7").pk != holder.pk


class TestEnqueueMany:
    def test_stores_all(self):
        jobs = enqueue_many(
            run_atomic, [{"label": str(n)} for n in range(600)], tenant_id=ACME, user_id=GLOBEX
        )

        stored = Job.objects.in_bulk()
        assert {job.pk for job in jobs} == set(stored)
        assert [stored[job.pk].payload["label"] for job in jobs] == [str(n) for n in range(600)]
        assert {(job.tenant_id, job.user_id) for job in stored.values()} == {(ACME, GLOBEX)}

    def test_stores_the_same_columns_as_one_by_one(self):
        one = enqueue(run_atomic, {"label": "same"}, tenant_id=ACME)
        (other,) = enqueue_many(run_atomic, [{"label": "same"}], tenant_id=ACME)

        own = {"id", "created_at", "run_at"}
        rows = {row["id"]: row for row in Job.objects.values()}
        assert {name: value for name, value in rows[one.pk].items() if name not in own} == {
            name: value for name, value in rows[other.pk].items() if name not in own
        }
        assert rows[other.pk]["run_at"] == rows[other.pk]["created_at"]

    def test_keeps_times(self):
        enqueue_many(run_atomic, [{}, {}], run_at=SOON, expires_at=SOON + timedelta(hours=1))

        times = set(Job.objects.values_list("run_at", "expires_at"))
        assert times == {(SOON, SOON + timedelta(hours=1))}

    def test_keeps_an_expiry_alone(self):
        enqueue_many(run_atomic, [{}], expires_at=SOON)

        job = Job.objects.get()
        assert (job.expires_at, job.run_at < timezone.now()) == (SOON, True)

    def test_stores_text_that_a_copy_could_trip_over(self):
        hostile = ["tab\tnewline\n\\N \\. \\", '"quoted" ,', "Zoë 🚀", "\\u0041", ""]

        jobs = enqueue_many(run_atomic, [{"label": text} for text in hostile])

        stored = Job.objects.in_bulk()
        assert [stored[job.pk].payload["label"] for job in jobs] == hostile

    def test_stores_none_when_one_does_not_fit(self):
        with pytest.raises(PayloadRefused):
            enqueue_many(run_atomic, [{}, {"label": 7}])

        assert Job.objects.count() == 0

    def test_stores_none_when_the_database_refuses_one(self):
        good, bad = (Job(type="drills.run_atomic", queue="jobs") for _ in range(2))
        bad.pk = good.pk

        with transaction.atomic():
            with pytest.raises(IntegrityError):
                ledger.insert_many([good, bad])
            leave_effect("after")

        assert (Job.objects.count(), effects("after")) == (0, 1)

    def test_leaves_nothing_when_the_transaction_is_rolled_back(self):
        with rolled_back():
            enqueue_many(run_atomic, [{}] * 10)

        assert Job.objects.count() == 0

    def test_takes_none_at_all(self):
        assert enqueue_many(run_atomic, []) == []


class TestNotification:
    def test_is_one_for_each_transaction_however_many_jobs_it_stores(self, listener):
        with transaction.atomic():
            for _ in range(20):
                enqueue(run_atomic, {})
            enqueue_many(run_atomic, [{}] * 100)

        assert heard(listener) == 1

    def test_is_sent_for_each_transaction(self, listener):
        for _ in range(3):
            enqueue(run_atomic, {})

        assert heard(listener) == 3

    def test_is_not_sent_for_what_is_rolled_back(self, listener):
        with rolled_back():
            enqueue(run_atomic, {})

        assert heard(listener) == 0

    def test_is_not_sent_when_a_job_moves(self, listener):
        enqueue(run_atomic, {})
        heard(listener)
        Job.objects.update(state="cancelled")

        assert heard(listener) == 0
