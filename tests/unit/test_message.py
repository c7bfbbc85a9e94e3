"""The relay's messages are Celery's own, but for what the ledger says better."""

import json
import uuid
from datetime import UTC, datetime

import pytest
from celery import current_app

from jobs.engine import message
from jobs.engine.message import from_job, from_taken
from jobs.models import Job

TENANT = uuid.UUID("0193aaaa-0000-7000-8000-000000000001")
OURS = {"tenant_id", "user_id", "enqueued_at", "dispatch"}
#: Celery's, for what never happens to a job: it is no group's member, and no other task's copy.
NOT_OURS = {"stamped_headers", "stamps", "group_index", "replaced_task_nesting"}


@pytest.fixture
def job():
    return Job(
        type="drills.run_atomic",
        queue="jobs",
        tenant_id=TENANT,
        user_id=None,
        payload={"label": "Zoë's “naïve” 🚀", "rows": [1, 2.5, None]},
        dispatch=3,
        failures=2,
        created_at=datetime(2026, 11, 24, 12, tzinfo=UTC),
    )


@pytest.fixture
def sent_by_celery(job):
    return current_app.amqp.as_task_v2(
        str(job.pk), job.type, args=(), kwargs=job.payload, retries=job.failures
    )


class TestMessage:
    def test_has_every_header_that_celery_sends(self, job, sent_by_celery):
        assert set(from_job(job).headers) - OURS == set(sent_by_celery.headers) - NOT_OURS

    def test_has_the_values_that_celery_sends(self, job, sent_by_celery):
        ours, theirs = from_job(job).headers, sent_by_celery.headers
        same = set(ours) - OURS - {"origin", "kwargsrepr", "ignore_result"}
        assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}

    def test_has_a_body_that_decodes_to_what_celery_sends(self, job, sent_by_celery):
        args, kwargs, embed = json.loads(from_job(job).body)

        assert [tuple(args), kwargs, embed] == [*sent_by_celery.body]

    def test_says_which_hand_over_of_which_job_it_is(self, job):
        made = from_job(job)

        assert made.id == made.headers["id"] == made.headers["root_id"] == str(job.pk)
        assert (made.dispatch, made.headers["dispatch"], made.headers["retries"]) == (3, 3, 2)

    def test_says_whose_it_is_and_when_it_was_stored(self, job):
        headers = from_job(job).headers

        assert headers["tenant_id"] == str(TENANT)
        assert headers["user_id"] is None
        assert headers["enqueued_at"] == "2026-11-24T12:00:00+00:00"

    def test_goes_to_the_lane_by_its_routing_key(self, job):
        assert from_job(job).routing_key == "jobs.drills.run_atomic"

    def test_shows_a_long_payload_only_in_part(self, job):
        job.payload = {"label": "x" * 60_000}

        assert len(from_job(job).headers["kwargsrepr"]) == message.SHOWN_MAX_CHARACTERS

    def test_has_the_priority_and_the_headers_that_the_job_was_given(self, job):
        job.message_options = {"priority": 7, "headers": {"source": "cron", "dispatch": 99}}

        sent = from_job(job)

        assert sent.priority == 7
        assert sent.headers["source"] == "cron"
        assert sent.headers["dispatch"] == job.dispatch  # The engine's own can't be overridden.

    def test_is_the_same_from_the_row_that_was_taken(self, job):
        job.message_options = {"priority": 7, "headers": {"source": "x"}}
        row = (
            job.pk, job.type, job.queue, json.dumps(job.payload), job.tenant_id, job.user_id,
            job.created_at, job.dispatch, job.failures, {"priority": 7, "headers": {"source": "x"}},
        )  # fmt: skip

        assert from_taken(row) == from_job(job)

    def test_is_the_same_from_a_row_of_sqlite(self, job):
        # SQLite gives ids without dashes.
        row = (
            job.pk.hex, job.type, job.queue, json.dumps(job.payload), job.tenant_id.hex, None,
            job.created_at.isoformat(), job.dispatch, job.failures, None,
        )  # fmt: skip

        assert from_taken(row) == from_job(job)
