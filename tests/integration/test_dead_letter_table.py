"""What a dead message means: the table of states, row for row, each to its end."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import operations
from jobs.dead_letters import table
from jobs.dead_letters.record import TRIES, record
from jobs.engine import lifecycle
from jobs.engine.dead_message import DeadMessage
from jobs.engine.foreign import UNKNOWN_TYPE_REST
from jobs.errors import MoveRefused
from jobs.models import Alert, DeadLetter, Job
from jobs.states import JobState
from tests.dead import dead_message, dead_message_of
from tests.deliveries import at_once
from tests.drills import fresh, make_job, run_atomic

pytestmark = pytest.mark.django_db(transaction=True)

ALERTED = [("open", 1)]  #: One dead letter, which somebody is told of.
SUPERSEDED = [("superseded", 0)]
NOTHING: list[tuple[str, int]] = []


@pytest.fixture
def retries(monkeypatch):
    """Let the drill's type have so many retries."""
    return lambda number: monkeypatch.setattr(run_atomic, "max_retries", number)


def store(message: DeadMessage) -> DeadLetter:
    letter = record(message)
    assert letter
    return letter


def stored():
    """Return the state of each dead letter, and how many alerts there were of it."""
    letters = DeadLetter.objects.order_by("id")
    return [
        (letter.state, Alert.objects.filter(incident=letter.incident).count()) for letter in letters
    ]


def ago(**duration):
    return timezone.now() - timedelta(**duration)


def make_failed(**columns):
    """Store a job that its worker's child has settled as failed, its message not yet rejected."""
    job = make_job(state=JobState.RUNNING, worker="one@here:7", **columns)
    lifecycle.fail(job, RuntimeError("it can't be done"), message_follows=True)
    return job


class TestAFailedJob:
    def test_is_stored_and_alerted(self):
        job = make_failed()

        letter = store(dead_message_of(job))

        assert stored() == ALERTED
        assert (letter.job_id, letter.dispatch, letter.attempts) == (job.pk, 1, 1)
        assert (letter.error_type, letter.worker) == ("RuntimeError", "one@here:7")
        assert letter.error == "RuntimeError: it can't be done"
        assert (letter.reason, letter.queue) == ("rejected", "jobs")
        assert fresh(job).dead_lettered_at

    @pytest.mark.parametrize("reason", ["rejected", "delivery_limit", "expired", "ledger", "new"])
    def test_is_stored_whatever_the_broker_calls_it(self, reason):
        record(dead_message_of(make_failed(), reason))
        assert stored() == ALERTED

    def test_is_stored_once_when_its_message_comes_again(self):
        message = dead_message_of(make_failed())
        assert record(message)
        assert record(message) is None
        assert stored() == ALERTED

    def test_is_stored_once_when_the_relay_has_sent_it_as_well(self):
        job = make_failed()
        record(dead_message_of(job))
        assert record(dead_message_of(job, "", dead_letter_of_ledger=True)) is None
        assert stored() == ALERTED


class TestARunningJob:
    """Its process died without a word."""

    @pytest.mark.parametrize(("failures", "seconds"), [(0, 10), (1, 20), (2, 40)])
    def test_with_retries_left_waits_as_after_any_error(self, failures, seconds):
        job = make_job(state=JobState.RUNNING, failures=failures, worker="one@here:7")
        before = timezone.now()

        assert record(dead_message_of(job)) is None

        now = fresh(job)
        assert (now.state, now.failures, now.losses) == ("retrying", failures + 1, 0)
        assert (now.lease_until, now.dead_lettered_at) == (None, None)
        assert abs((now.run_at - before).total_seconds() - seconds) < 5
        [ended] = now.history.all()
        assert (ended.outcome, ended.error_type) == ("failed", "ProcessDied")
        assert (ended.attempt, ended.worker) == (1, "one@here:7")
        assert stored() == NOTHING

    def test_without_retries_left_fails_is_stored_and_alerted(self):
        job = make_job(state=JobState.RUNNING, failures=3, worker="one@here:7")

        letter = store(dead_message_of(job))

        now = fresh(job)
        assert (now.state, now.failures) == ("failed", 4)
        assert now.dead_lettered_at
        assert (letter.error_type, letter.attempts) == ("ProcessDied", 4)
        assert "one@here:7 died without a word" in letter.error
        assert letter.worker == "one@here:7"
        assert stored() == ALERTED

    def test_of_a_type_with_no_retries_fails_at_once(self, retries):
        retries(0)
        job = make_job(state=JobState.RUNNING)
        record(dead_message_of(job))
        assert (fresh(job).state, stored()) == ("failed", ALERTED)

    def test_of_a_type_that_retries_for_ever_is_never_dead(self, retries):
        retries(None)
        job = make_job(state=JobState.RUNNING, failures=1_000)
        record(dead_message_of(job))
        assert (fresh(job).state, stored()) == ("retrying", NOTHING)

    def test_of_a_type_that_this_process_does_not_know_has_the_usual_retries(self):
        job = make_job(state=JobState.RUNNING, type="tests.unknown", failures=2)
        record(dead_message_of(job))
        assert (fresh(job).state, stored()) == ("retrying", NOTHING)

    def test_is_left_to_the_copy_that_runs_when_this_one_was_sent_too_often(self):
        # Given a job whose other copy of the same dispatch is being worked on
        job = make_job(state=JobState.RUNNING)

        record(dead_message_of(job, "delivery_limit"))

        assert (fresh(job).state, fresh(job).failures) == ("running", 0)
        assert stored() == SUPERSEDED

        # And when that one dies as well, it has a dead letter of its own
        lifecycle.fail(job, RuntimeError("after all"), message_follows=True)
        assert record(dead_message_of(job))
        assert stored() == [*SUPERSEDED, *ALERTED]

    def test_was_killed_again_and_again_when_its_lease_is_over(self):
        job = make_job(state=JobState.RUNNING, silent=True, failures=3)
        record(dead_message_of(job, "delivery_limit"))
        assert (fresh(job).state, stored()) == ("failed", ALERTED)


class TestAQueuedJob:
    """Its message died before it ran."""

    def test_waits_again_when_its_message_was_delivered_too_often(self):
        # Given a neighbour of what killed its worker, again and again
        job = make_job(state=JobState.QUEUED)
        before = fresh(job).run_at

        record(dead_message_of(job, "delivery_limit"))

        now = fresh(job)
        assert (now.state, now.run_at, now.losses) == ("waiting", before, 0)
        assert stored() == NOTHING

    def test_of_an_unknown_type_waits_for_a_deploy(self):
        job = make_job(
            state=JobState.QUEUED, type="tests.unknown", first_queued_at=ago(seconds=590)
        )
        before = timezone.now()

        record(dead_message_of(job))

        now = fresh(job)
        assert now.state == "waiting"
        assert abs(now.run_at - before - UNKNOWN_TYPE_REST) < timedelta(seconds=5)
        assert stored() == NOTHING

    def test_of_an_unknown_type_is_dead_ten_minutes_after_its_first_hand_over(self):
        # However lately it was handed over for the last time
        job = make_job(
            state=JobState.QUEUED,
            type="tests.unknown",
            dispatch=20,
            first_queued_at=ago(seconds=601),
            queued_at=ago(seconds=1),
        )

        letter = store(dead_message_of(job))

        assert fresh(job).state == "failed"
        assert (letter.error_type, letter.attempts) == ("UnknownTaskType", 0)
        assert "tests.unknown" in letter.error
        assert list(fresh(job).history.all()) == []
        assert stored() == ALERTED

    def test_of_a_type_that_only_this_process_knows_waits_for_the_deploy_too(self):
        job = make_job(state=JobState.QUEUED, first_queued_at=ago(seconds=1))
        record(dead_message_of(job))
        assert fresh(job).state == "waiting"

    @pytest.mark.parametrize(
        ("body", "error_type"),
        [
            (b"\xff\xfe{", "RefusedUnread"),
            (b"[[1],[2],{}]", "RefusedUnread"),
            (b"[[7], {}, {}]", "RefusedUnread"),
            (b'[[], {"label": "\\u0000"}, {}]', "RefusedUnread"),
        ],
    )
    def test_that_no_worker_could_read_is_dead_at_once(self, body, error_type):
        job = make_job(state=JobState.QUEUED, first_queued_at=ago(seconds=1))
        headers = dead_message_of(job).headers

        letter = store(dead_message(body, headers))

        assert fresh(job).state == "failed"
        assert (letter.error_type, letter.body) == (error_type, body)
        assert stored() == ALERTED

    def test_that_expired_in_its_queue_is_dead_at_once(self):
        job = make_job(state=JobState.QUEUED, first_queued_at=ago(seconds=1))
        letter = store(dead_message_of(job, "expired"))
        assert (fresh(job).state, letter.error_type) == ("failed", "JobExpired")
        assert stored() == ALERTED

    def test_that_came_too_late_is_dead_at_once(self):
        job = make_job(state=JobState.QUEUED, first_queued_at=ago(seconds=1))
        letter = store(dead_message_of(job, expires="2020-01-01T00:00:00Z"))
        assert (fresh(job).state, letter.error_type) == ("failed", "JobExpired")


class TestAMessageThatItsJobHasOutlived:
    @pytest.mark.parametrize("state", ["waiting", "retrying", "succeeded", "cancelled"])
    def test_is_stored_and_alerts_nobody(self, state):
        job = make_job(state=state, dispatch=1)

        letter = store(dead_message_of(job))

        assert fresh(job).state == state
        assert stored() == SUPERSEDED
        assert (letter.job_id, letter.incident_id) == (job.pk, None)
        assert letter.error == f"The job is {state} in dispatch 1."

    @pytest.mark.parametrize("state", [state.value for state in JobState])
    @pytest.mark.parametrize("dispatch", [0, 1, 3])
    def test_of_another_dispatch_changes_nothing(self, state, dispatch):
        # Given a job in dispatch 2, and a dead message of an older, or of a newer one: of a
        # database that was restored from a backup
        columns = {"lease_until": ago(seconds=-60)} if state == "running" else {}
        job = make_job(state=state, **{"dispatch": 2, **columns})
        before = Job.objects.values().get(pk=job.pk)

        letter = store(dead_message_of(job, dispatch=dispatch))

        assert Job.objects.values().get(pk=job.pk) == before
        assert letter.dispatch == dispatch
        assert stored() == SUPERSEDED

    def test_is_stored_once(self):
        message = dead_message_of(make_job(state=JobState.CANCELLED))
        assert record(message)
        assert record(message) is None
        assert stored() == SUPERSEDED

    def test_belongs_to_its_jobs_tenant_whatever_it_says_itself(self):
        job = make_job(state=JobState.CANCELLED)
        letter = store(dead_message_of(job, tenant_id=str(uuid.uuid4())))
        assert letter.tenant_id == job.tenant_id


class TestAMessageOfNoJob:
    def test_of_ours_is_stored_and_alerted(self):
        # Given a job whose row a restored database does not have
        job = make_failed()
        message = dead_message_of(job)
        Job.objects.all().delete()

        letter = store(message)

        assert letter.error_type == "UnknownJob"
        assert (letter.job_id, letter.tenant_id) == (None, job.tenant_id)
        assert stored() == ALERTED

    def test_of_another_program_gets_a_row_while_a_deploy_may_bring_its_type(self):
        job_id = uuid.uuid4()
        headers = {"id": str(job_id), "task": "reports.build"}

        assert record(dead_message(b'[[], {"a": 1}, {}]', headers)) is None

        job = Job.objects.get(pk=job_id)
        assert (job.state, job.type, job.queue) == ("waiting", "reports.build", "jobs")
        assert (job.payload, stored()) == ({"a": 1}, NOTHING)

    @pytest.mark.parametrize("value", ['"\\u0000"', '"\\ud800"', "NaN", "-Infinity"])
    def test_whose_payload_the_ledger_can_not_store_is_dead_at_once(self, value):
        headers = {"id": str(uuid.uuid4()), "task": "reports.build"}
        body = f'[[], {{"a": {value}}}, {{}}]'.encode()

        letter = store(dead_message(body, headers))

        assert (letter.error_type, letter.body) == ("RefusedUnread", body)
        assert (Job.objects.filter(type="reports.build").count(), stored()) == (0, ALERTED)

    @pytest.mark.parametrize("queue", ["jobs.dead_letters", "another"])
    def test_that_died_in_no_lane_is_dead_at_once(self, queue):
        headers = {"id": str(uuid.uuid4()), "task": "reports.build"}
        letter = store(dead_message(b"[[], {}, {}]", headers, queue=queue))
        assert (letter.error_type, stored()) == ("UnknownTaskType", ALERTED)


class TestAJobThatMovesBetweenTheLookAndTheWrite:
    @pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING])
    def test_is_looked_at_again(self, monkeypatch, state):
        # Given a job that somebody else cancels just when it is to be moved
        job = make_job(state=state, silent=True)
        row, looks = table.ROWS[state], []

        def be_overtaken(seen, message):
            looks.append(seen.state)
            at_once(lambda: operations.cancel_job(job_id=job.pk, by="somebody"))
            return row(seen, message)

        monkeypatch.setitem(table.ROWS, state, be_overtaken)

        # Then the next look sees that it was
        letter = store(dead_message_of(job, "delivery_limit"))
        assert looks == [state]
        assert (fresh(job).state, fresh(job).failures) == ("cancelled", 0)
        assert (letter.state, stored()) == ("superseded", SUPERSEDED)

    def test_is_left_to_another_delivery_when_it_moves_under_every_look(self, monkeypatch):
        job = make_job(state=JobState.QUEUED)
        looks = []

        def move_away(job, message):
            looks.append(job.state)
            raise MoveRefused(job, JobState.WAITING)

        monkeypatch.setitem(table.ROWS, JobState.QUEUED, move_away)

        with pytest.raises(MoveRefused):
            record(dead_message_of(job))
        assert len(looks) == TRIES
        assert (fresh(job).state, stored()) == ("queued", NOTHING)
