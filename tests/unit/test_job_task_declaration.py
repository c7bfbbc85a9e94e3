"""`@job_task`: what a declaration makes, and how Celery's calls of a task reach the ledger."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import current_app
from django.utils import timezone

from jobs import enqueue, job_task, registry
from jobs.errors import EnqueueRefused, PayloadRefused, UnknownTaskType
from jobs.models import Job
from tests.drills import ACME, Drill, run_atomic, run_freely, run_singly

SOON = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def known_types(monkeypatch):
    """Forget the types that a test declares."""
    monkeypatch.setattr(registry, "_types", dict(registry._types))


class TestDeclaration:
    def test_makes_a_celery_task_named_as_the_job_type(self):
        assert current_app.tasks["drills.run_atomic"].name == run_atomic.name

    def test_reads_the_payload_from_the_annotation(self):
        assert registry.get_type("drills.run_atomic").payload is Drill

    def test_is_atomic_and_in_the_first_lane_unless_it_says_otherwise(self):
        job_type = registry.get_type("drills.run_atomic")

        assert (job_type.atomic, job_type.queue, job_type.pool) == (True, "jobs", "jobs")
        assert not registry.get_type("drills.run_freely").atomic

    def test_waits_10_20_and_40_seconds_without_jitter(self):
        task: Any = current_app.tasks["drills.run_atomic"]

        assert (task.retry_backoff, task.retry_jitter, task.max_retries) == (10, False, 3)

    def test_passes_on_celerys_own_options(self):
        @job_task(name="drills.stubborn", max_retries=7, time_limit=90, soft_time_limit=60)
        def stubborn(job: Job, payload: Drill) -> None: ...

        assert (stubborn.max_retries, stubborn.time_limit, stubborn.soft_time_limit) == (7, 90, 60)

    def test_refuses_a_second_type_of_the_same_name(self):
        with pytest.raises(ValueError, match=r"'drills\.run_atomic'"):

            @job_task(name="drills.run_atomic")
            def another(job: Job, payload: Drill) -> None: ...

    def test_refuses_it_from_a_function_of_the_same_name_in_another_module(self):
        def run_atomic(job: Job, payload: Drill) -> None: ...

        run_atomic.__qualname__ = "run_atomic"  # As at the top of this module.

        with pytest.raises(ValueError, match=r"'drills\.run_atomic'"):
            job_task(name="drills.run_atomic")(run_atomic)

    def test_may_come_twice_for_the_same_function(self):
        # A module that is loaded again declares what it declared before.
        again = registry.get_type("drills.run_atomic").function

        assert job_task(name="drills.run_atomic", atomic=True)(again)

    @pytest.mark.parametrize("limit", [0, -1])
    def test_refuses_a_limit_that_would_let_nothing_run(self, limit):
        with pytest.raises(ValueError, match="max_in_flight"):

            @job_task(name="drills.never", max_in_flight=limit)
            def never(job: Job, payload: Drill) -> None: ...

    def test_says_which_function_has_no_payload(self):
        with pytest.raises(TypeError, match="unpayloaded"):

            @job_task(name="drills.unpayloaded")  # type: ignore[arg-type]
            def unpayloaded(job: Job) -> None: ...

    def test_says_which_functions_payload_is_no_model(self):
        with pytest.raises(TypeError, match="loose"):

            @job_task(name="drills.loose")
            def loose(job: Job, payload: dict[str, str]) -> None: ...

    def test_gives_a_type_with_a_limit_of_its_own_partitions_of_its_own(self):
        job_type = registry.get_type("drills.run_singly")

        assert job_type.partition_of(ACME, Drill()) == f"drills.run_singly/{ACME}"


class TestUnknownType:
    def test_is_refused_with_a_list_of_those_there_are(self):
        with pytest.raises(UnknownTaskType) as refused:
            enqueue("drills.run_atomik", {})

        assert "'drills.run_atomik'" in str(refused.value)
        assert "drills.run_atomic" in str(refused.value)


class TestACall:
    def test_outside_of_a_worker_says_what_to_do_instead(self):
        with pytest.raises(TypeError, match="enqueue"):
            run_atomic(label="direct")


@pytest.mark.django_db
class TestDelay:
    def test_stores_a_job_and_publishes_nothing(self):
        job = run_atomic.delay(label="delayed")

        stored = Job.objects.get()
        assert stored.pk == job.pk
        assert (stored.type, stored.state, stored.dispatch) == ("drills.run_atomic", "waiting", 0)
        assert stored.payload == {"label": "delayed"}

    def test_refuses_positional_arguments(self):
        with pytest.raises(EnqueueRefused, match=r"drills\.run_atomic: positional arguments"):
            run_atomic.delay("delayed")

    def test_names_a_field_that_does_not_fit(self):
        with pytest.raises(PayloadRefused, match="label: "):
            run_atomic.delay(label=7)


@pytest.mark.django_db
class TestApplyAsync:
    def test_keeps_whose_job_it_is(self):
        user = uuid.uuid4()
        job = run_freely.apply_async(kwargs={}, tenant_id=ACME, user_id=user, key="one")

        job.refresh_from_db()
        assert (job.tenant_id, job.user_id, job.key) == (ACME, user, "one")

    def test_keeps_an_eta_as_run_at(self):
        job = run_freely.apply_async(eta=SOON, expires=SOON + timedelta(hours=1))

        job.refresh_from_db()
        assert (job.run_at, job.expires_at) == (SOON, SOON + timedelta(hours=1))

    def test_keeps_seconds_as_moments(self):
        before = timezone.now()
        job = run_freely.apply_async(countdown=60, expires=120)

        job.refresh_from_db()
        assert timedelta(0) <= job.run_at - before - timedelta(seconds=60) < timedelta(minutes=1)
        assert timedelta(seconds=59) < job.expires_at - job.run_at < timedelta(seconds=61)

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("task_id", "chosen"),
            ("queue", "elsewhere"),
            ("link", "another task"),
            ("routing_key", "x"),
            ("retries", 2),
            ("time_limit", 10),
        ],
    )
    def test_names_an_option_that_the_ledger_can_not_keep(self, option, value):
        with pytest.raises(EnqueueRefused, match=rf"drills\.run_freely: .*{option}"):
            run_freely.apply_async(kwargs={}, **{option: value})

    def test_keeps_priority_and_headers(self):
        job = run_freely.apply_async(priority=9, headers={"source": "cron"})

        job.refresh_from_db()
        assert job.message_options == {"priority": 9, "headers": {"source": "cron"}}

    @pytest.mark.parametrize(
        ("option", "value"),
        [("priority", 256), ("priority", "high"), ("headers", ["a"]), ("headers", {"a": "\0"})],
    )
    def test_refuses_what_no_message_can_have(self, option, value):
        with pytest.raises(EnqueueRefused, match=option):
            run_freely.apply_async(**{option: value})

    @pytest.mark.parametrize("name", ["countdown", "eta", "expires"])
    def test_names_a_time_that_is_none(self, name):
        with pytest.raises(EnqueueRefused, match=name):
            run_freely.apply_async(kwargs={}, **{name: "soon"})

    def test_refuses_a_time_without_a_zone(self):
        with pytest.raises(EnqueueRefused, match="no time zone"):
            run_freely.apply_async(kwargs={}, eta=datetime(2027, 1, 1))  # noqa: DTZ001

    def test_is_what_a_signature_calls(self):
        run_singly.si(label="signed").apply_async()

        assert Job.objects.get().payload == {"label": "signed"}
