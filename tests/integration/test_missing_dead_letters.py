"""The relay's part: a failed job whose message is gone, or never was, has its dead letter too."""

from datetime import datetime, timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from jobs.dead_letters.record import record
from jobs.engine import lifecycle, missing, recovery, relay
from jobs.engine.dead_message import DeadMessage
from jobs.engine.message import Message
from jobs.engine.missing import DEAD_LETTERS_PER_TURN, send_missing_dead_letters
from jobs.engine.publisher import Unconfirmed
from jobs.engine.recovery import COPIES_MAX, Sweeper
from jobs.models import Alert, DeadLetter, Job
from jobs.states import DeadLetterState, JobState
from tests.dead import dead_message, dead_message_of
from tests.deliveries import Recorder, at_once, deliver
from tests.drills import fresh, make_job, script, store_backlog, take

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def broker():
    return Recorder()


def ago(**duration):
    return timezone.now() - timedelta(**duration)


def make_failed(*, message_follows=True):
    job = make_job(state=JobState.RUNNING)
    lifecycle.fail(job, RuntimeError("it can't be done"), message_follows=message_follows)
    return job


def due_at(job: Job) -> datetime:
    moment = fresh(job).dead_letter_due_at
    assert moment
    return moment


def pass_time(seconds: float) -> None:
    """Let every missing dead letter be due so much sooner."""
    Job.objects.update(dead_letter_due_at=F("dead_letter_due_at") - timedelta(seconds=seconds))


def arrive(message: Message) -> DeadMessage:
    """Return a message of the relay's as the alerting task gets it."""
    assert message.exchange == "jobs.dead"
    return dead_message(message.body, message.headers, reason="", routing_key=message.routing_key)


def outlive_the_copies(job, broker):
    Job.objects.filter(pk=job.pk).update(copies=COPIES_MAX, queued_at=ago(hours=6))
    Sweeper(broker, {"jobs": 0.0}).sweep()


class TestAJobThatFailedWithoutAMessage:
    """No message follows: its dead letter is sent in the next turn."""

    def test_because_its_losses_are_spent(self, broker):
        make_job(state=JobState.RUNNING, silent=True, losses=10)
        recovery.put_back_silent()
        self.assert_sent_at_once(broker, "LossesSpent")

    def test_because_its_lane_has_no_queue(self, broker):
        job = make_job()
        Job.objects.filter(pk=job.pk).update(queue="nowhere")
        broker.faults = {str(job.pk): "unroutable"}
        relay.relay_due_jobs(broker)
        broker.faults, broker.sent = {}, []
        self.assert_sent_at_once(broker, "Unroutable")

    def test_because_it_expired_while_it_waited(self, broker):
        make_job(expires_at=ago(seconds=1))
        recovery.fail_expired()
        self.assert_sent_at_once(broker, "JobExpired")

    def test_because_no_worker_ever_claimed_it(self, broker):
        outlive_the_copies(make_job(state=JobState.QUEUED), broker)
        self.assert_sent_at_once(broker, "NeverClaimed")

    def assert_sent_at_once(self, broker, error_type):
        assert send_missing_dead_letters(broker) == 1
        [message] = broker.sent
        letter = record(arrive(message))
        assert letter is not None
        assert (letter.error_type, letter.reason) == (error_type, "ledger")
        assert letter.job
        lane = letter.job.queue
        assert (letter.queue, letter.routing_key) == (lane, f"{lane}.drills.run_atomic")
        assert Alert.objects.count() == 1
        pass_time(1_000)
        assert send_missing_dead_letters(broker) == 0


class TestAJobWhoseMessageFollows:
    def test_is_given_five_minutes_for_it(self, broker):
        make_failed()
        pass_time(290)
        assert send_missing_dead_letters(broker) == 0
        pass_time(20)
        assert send_missing_dead_letters(broker) == 1

    def test_is_given_the_time_that_the_setting_says(self, broker, settings):
        settings.JOBS_DEAD_LETTER_AFTER_SECONDS = 20
        make_failed()
        pass_time(15)
        assert send_missing_dead_letters(broker) == 0
        pass_time(10)
        assert send_missing_dead_letters(broker) == 1

    def test_that_a_worker_has_rejected_is_given_them_too(self, broker, monkeypatch):
        def fail(job, payload):
            raise LookupError

        monkeypatch.setattr(script, "run", fail)
        job = make_job(failures=3)
        assert deliver(take()[0]) == "rejected: LookupError"
        assert fresh(job).state == "failed"
        assert send_missing_dead_letters(broker) == 0

    def test_is_never_sent_once_it_is_stored(self, broker):
        job = make_failed()
        record(dead_message_of(job))
        pass_time(100_000)
        assert send_missing_dead_letters(broker) == 0
        assert broker.sent == []

    def test_is_stored_once_when_both_come(self, broker):
        job = make_failed()
        pass_time(301)
        send_missing_dead_letters(broker)

        assert record(dead_message_of(job))
        assert record(arrive(broker.sent[0])) is None
        assert (DeadLetter.objects.count(), Alert.objects.count()) == (1, 1)

    def test_is_sent_again_every_five_minutes_until_it_is_stored(self, broker):
        # Given a broker that loses what it has confirmed
        make_failed()
        for _ in range(3):
            pass_time(301)
            assert send_missing_dead_letters(broker) == 1
            assert send_missing_dead_letters(broker) == 0
        for message in broker.sent:
            record(arrive(message))
        assert DeadLetter.objects.count() == 1


@pytest.mark.parametrize("state", [state for state in JobState if state != JobState.FAILED])
def test_a_job_that_has_not_failed_has_none(broker, state):
    make_job(state=state, dead_letter_due_at=ago(days=1))
    assert send_missing_dead_letters(broker) == 0


class TestABrokerThatIsAway:
    def test_leaves_it_due_at_once(self, broker):
        job = make_failed(message_follows=False)
        broker.away = True
        with pytest.raises(Unconfirmed):
            send_missing_dead_letters(broker)
        assert due_at(job) <= timezone.now()

        broker.away = False
        assert send_missing_dead_letters(broker) == 1

    def test_leaves_due_what_it_did_not_confirm_and_no_more(self, broker, monkeypatch):
        confirmed, unconfirmed = (make_failed(message_follows=False) for _ in "12")

        def break_off(messages):
            raise Unconfirmed(OSError("cut"), [str(unconfirmed.pk)])

        monkeypatch.setattr(broker, "send", break_off)
        with pytest.raises(Unconfirmed):
            send_missing_dead_letters(broker)
        assert due_at(confirmed) > timezone.now() + timedelta(seconds=250)
        assert due_at(unconfirmed) <= timezone.now()

    def test_leaves_due_what_it_refused(self, broker):
        taken, refused = (make_failed(message_follows=False) for _ in "12")
        broker.faults = {str(refused.pk): "refused by the broker (nack)"}
        assert send_missing_dead_letters(broker) == 1
        assert due_at(taken) > timezone.now()
        assert due_at(refused) <= timezone.now()


class TestTwoRelaysAtOnce:
    def test_send_each_once(self, broker):
        for _ in range(20):
            make_failed(message_follows=False)
        other = Recorder()

        at_once(lambda: send_missing_dead_letters(broker), lambda: send_missing_dead_letters(other))

        sent = [message.id for message in (*broker.sent, *other.sent)]
        assert (len(sent), len(set(sent))) == (20, 20)

    def test_store_it_once_although_one_died_before_it_sent(self, broker, monkeypatch):
        # Given a relay that was killed between postponing and sending
        job = make_failed(message_follows=False)
        missing._take_due()
        assert send_missing_dead_letters(broker) == 0

        # Then it is due again after five minutes
        pass_time(301)
        assert send_missing_dead_letters(broker) == 1
        record(arrive(broker.sent[0]))
        assert fresh(job).dead_lettered_at


class TestAWipedBroker:
    def test_with_500_unread_dead_letters_loses_none_and_doubles_none(self, broker):
        # Given 500 failed jobs, all of whose dead letters were in a broker that was wiped
        store_backlog(500, partitions=5)
        Job.objects.update(
            state=JobState.FAILED, dispatch=1, failures=1, error="RuntimeError: no",
            dead_letter_due_at=ago(seconds=1),
        )  # fmt: skip

        # When two relays look, again and again
        other = Recorder()
        for _ in range(3):
            at_once(*(lambda one=one: send_missing_dead_letters(one) for one in (broker, other)))
            pass_time(301)
        for message in (*broker.sent, *other.sent):
            record(arrive(message))

        # Then each is stored once, and somebody is told once of all
        assert DeadLetter.objects.filter(state=DeadLetterState.OPEN).count() == 500
        assert DeadLetter.objects.values("job").distinct().count() == 500
        assert Alert.objects.count() == 1
        assert send_missing_dead_letters(broker) == 0

    def test_is_refilled_at_a_bounded_rate_oldest_first(self, broker):
        store_backlog(DEAD_LETTERS_PER_TURN + 1, partitions=1)
        Job.objects.update(
            state=JobState.FAILED, dispatch=1, dead_letter_due_at=ago(seconds=1)
        )  # fmt: skip
        last = Job.objects.latest("run_at")
        Job.objects.filter(pk=last.pk).update(dead_letter_due_at=timezone.now())

        assert send_missing_dead_letters(broker) == DEAD_LETTERS_PER_TURN
        assert send_missing_dead_letters(broker) == 1
        assert broker.sent[-1].id == str(last.pk)
