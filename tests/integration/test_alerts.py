"""Alerts: the first of a cause at once, then one per interval; channels that fail hold nobody."""

import logging
import threading
from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from jobs import enqueue, operations
from jobs.alerts import channels, watch
from jobs.alerts import operations as alerts
from jobs.dead_letters.record import record
from jobs.engine import lifecycle
from jobs.models import Alert, AlertDelivery, DeadLetter, Incident, Job, Process
from jobs.states import AlertKind, JobState
from jobs.testing import run_enqueued_jobs
from tests.dead import dead_message_of
from tests.deliveries import at_once, deliver
from tests.drills import ACME, fresh, make_due, make_job, take
from tests.letters import make_letter, make_unreadable
from tests.receiver import receiver

pytestmark = pytest.mark.django_db(transaction=True)


#: An address at which nobody listens.
NOBODY = "http://127.0.0.1:1/nobody"


@pytest.fixture
def hook(settings):
    with receiver() as server:
        settings.ALERT_WEBHOOK_URL = server.url
        yield server


@pytest.fixture
def mailed(settings):
    settings.ALERT_EMAIL = ["ops@example.com", "oncall@example.com"]
    return mail.outbox


def let_interval_pass() -> None:
    Incident.objects.update(last_alert_at=timezone.now() - timedelta(hours=1))


def sent_jobs() -> list[Job]:
    return list(Job.objects.filter(type=alerts.SEND_ALERT).order_by("pk"))


class TestTheFirstOfACause:
    def test_is_posted_at_once_with_what_is_known(self, hook):
        letter = make_letter(OSError("disk is full"), failures=3)
        run_enqueued_jobs()

        [body] = hook.bodies
        assert body["severity"] == "error"
        assert body["message"] == "Task drills.run_atomic failed after 4 attempts"
        assert body.keys() == {"severity", "message", "data"}
        data = body["data"]
        assert data["job_id"] == str(letter.job_id)
        assert data["tenant_id"] == str(ACME)
        assert (data["error"], data["error_type"]) == ("OSError: disk is full", "OSError")
        assert (data["attempts"], data["count"], data["reason"]) == (4, 1, "rejected")
        assert data["place"].endswith("letters.py:make_letter")

    def test_is_mailed_to_everybody(self, mailed):
        make_letter(OSError("disk is full"))
        run_enqueued_jobs()
        [message] = mailed
        assert message.to == ["ops@example.com", "oncall@example.com"]
        assert message.subject == "[Offload] Task drills.run_atomic failed after 1 attempt"
        assert "disk is full" in message.body
        assert message.extra_headers["Message-ID"] == f"<alert-{Alert.objects.get().pk}@offload>"

    def test_is_a_row_and_a_log_line_where_no_channel_is_named(self, caplog):
        with caplog.at_level(logging.ERROR, "jobs"):
            letter = make_letter()
        assert Alert.objects.count() == 1
        assert not AlertDelivery.objects.exists()
        lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
        [line] = [each for each in lines if each["event"] == "job.dead_lettered"]
        assert line["job_id"] == str(letter.job_id)
        known = {"type", "tenant_id", "attempts", "error", "place", "worker", "queue", "reason"}
        assert known <= line.keys()


class TestTheNextOfACause:
    def test_are_counted_and_told_once_the_interval_is_over(self, hook):
        for _ in range(5):
            make_letter()
        run_enqueued_jobs()
        assert len(hook.bodies) == 1

        let_interval_pass()
        for _ in range(3):
            watch.look()
        run_enqueued_jobs()

        assert len(hook.bodies) == 2
        assert hook.bodies[1]["message"] == "Task drills.run_atomic failed 4 times more"
        assert hook.bodies[1]["data"]["count"] == 5

    def test_are_told_by_the_next_death_if_that_comes_first(self, hook):
        make_letter()
        let_interval_pass()
        make_letter()
        run_enqueued_jobs()
        assert [body["data"]["count"] for body in hook.bodies] == [1, 2]

    def test_are_not_told_where_nothing_was_added(self):
        make_letter()
        let_interval_pass()
        watch.look()
        assert Alert.objects.count() == 1

    def test_of_many_at_once_are_one_alert(self):
        jobs = [make_job(state=JobState.RUNNING) for _ in range(200)]
        for job in jobs:
            lifecycle.fail(job, RuntimeError("same"), message_follows=True)
        messages = [dead_message_of(fresh(job)) for job in jobs]
        shares = [messages[number::4] for number in range(4)]

        at_once(*[lambda share=share: [record(each) for each in share] for share in shares])

        assert DeadLetter.objects.count() == 200
        assert Alert.objects.count() == 1

    def test_of_another_cause_are_another_alert(self):
        make_letter(OSError("disk"))
        make_letter(RuntimeError("logic"))
        make_unreadable()
        assert Alert.objects.count() == Incident.objects.count() == 3


class TestAChannelThatFails:
    def test_is_tried_again_with_waits_up_to_ten_minutes(self, hook):
        hook.statuses = [500] * 9
        make_letter()
        run_enqueued_jobs()

        [job] = sent_jobs()
        assert job.state == "succeeded"
        assert len(hook.bodies) == 10
        assert len(set(hook.keys)) == 1
        delivery = AlertDelivery.objects.get()
        assert (delivery.state, delivery.error) == ("delivered", "")

    @pytest.mark.parametrize("status", [302, 404, 429, 503])
    def test_is_everything_but_2xx(self, hook, status):
        hook.statuses = [status]
        make_letter()
        run_enqueued_jobs()
        [job] = sent_jobs()
        assert [each.outcome for each in job.history.all()] == ["failed", "succeeded"]
        assert f"answered {status}" in job.history.get(attempt=1).error_message
        assert len(hook.bodies) == 2

    def test_waits_for_ten_minutes_at_most(self, settings):
        settings.ALERT_WEBHOOK_URL = NOBODY
        make_letter()
        [job] = sent_jobs()
        waits = []
        for failures in (0, 1, 2, 6, 100):
            Job.objects.filter(pk=job.pk).update(failures=failures)
            make_due(job)
            [message] = [each for each in take() if each.id == str(job.pk)]
            assert deliver(message) == "acknowledged: retried"
            again = fresh(job)
            ended = job.history.get(attempt=again.attempt).ended_at
            waits.append(round((again.run_at - ended).total_seconds()))
        assert waits == [10, 20, 40, 600, 600]

    def test_may_not_drip_its_answer_for_ever(self, hook, settings):
        settings.ALERTS_TIMEOUT_SECONDS = 1
        hook.drip_seconds = 0.05
        make_letter()

        # Where nothing bounds the attempt, the receiver hangs up: another error
        net = threading.Timer(60, lambda: setattr(hook, "drip_seconds", 0))
        net.start()
        with pytest.raises(TimeoutError, match="took over 1 s"):
            channels.send(AlertDelivery.objects.get())
        net.cancel()

    def test_does_not_hold_the_other_channel(self, settings, mailed):
        settings.ALERT_WEBHOOK_URL = NOBODY
        make_letter()
        run_enqueued_jobs(raise_errors=False)
        assert len(mailed) == 1
        assert {each.channel: each.state for each in AlertDelivery.objects.all()} == {
            "webhook": "undelivered",
            "email": "delivered",
        }

    def test_shows_as_undelivered_after_a_day_and_alerts_nobody(self, settings):
        settings.ALERT_WEBHOOK_URL = NOBODY
        make_letter()
        [job] = sent_jobs()
        Job.objects.filter(pk=job.pk).update(failures=150)
        run_enqueued_jobs(raise_errors=False)

        delivery = AlertDelivery.objects.get()
        assert delivery.state == "undelivered"
        assert "ConnectError" in delivery.error
        letter = record(dead_message_of(fresh(job)))
        assert letter is not None
        assert letter.type == alerts.SEND_ALERT
        assert Alert.objects.count() == 1

    def test_is_made_good_by_a_replay(self, settings):
        settings.ALERT_WEBHOOK_URL = NOBODY
        make_letter()
        [job] = sent_jobs()
        Job.objects.filter(pk=job.pk).update(failures=150)
        run_enqueued_jobs(raise_errors=False)

        with receiver() as server:
            settings.ALERT_WEBHOOK_URL = server.url
            operations.replay_job(job_id=job.pk, by="ann")
            assert AlertDelivery.objects.get().state == "pending"
            run_enqueued_jobs()
            assert len(server.bodies) == 1
        assert AlertDelivery.objects.get().state == "delivered"

    def test_has_no_second_delivery_where_the_first_was_noted(self, hook):
        make_letter()
        AlertDelivery.objects.update(state="delivered")
        run_enqueued_jobs()
        assert hook.bodies == []


class TestTheWatch:
    @pytest.fixture
    def late(self):
        job = enqueue("drills.run_atomic", {})
        Job.objects.filter(pk=job.pk).update(run_at=timezone.now() - timedelta(minutes=5))

    def test_tells_of_jobs_that_wait_for_a_relay_past_that_relay(self, hook, late):
        for _ in range(3):
            watch.look()
        [body] = hook.bodies
        assert body["message"].startswith("Due jobs have waited for the relay for 3")
        assert body["data"]["relays"] == 0
        run_enqueued_jobs()
        assert len(hook.bodies) == 1

    def test_says_nothing_of_a_relay_that_keeps_up(self, late):
        now = timezone.now()
        Process.objects.create(name="relay@here", kind="relay", seen_at=now, caught_up_at=now)
        watch.look()
        assert not Alert.objects.exists()

    def test_tells_once_a_day_of_dead_letters_that_nobody_dealt_with(self, mailed):
        make_letter()
        Alert.objects.all().delete()
        DeadLetter.objects.update(recorded_at=timezone.now() - timedelta(hours=25))
        for _ in range(3):
            watch.look()
        alert = Alert.objects.get()
        assert alert.kind == AlertKind.DEAD_LETTER_AGE
        assert alert.message == "Open dead letters: 1, the oldest for 25 hours"

    def test_of_a_failed_schedule_has_what_it_was_given(self):
        data = {"type": "cron_failure", "cron": "* * * * *", "task": "x", "error": "y"}
        for _ in range(2):
            alerts.raise_alert(
                AlertKind.CRON_FAILURE, fingerprint="cron_failure:x", message="failed", data=data
            )
        assert Alert.objects.get().data.items() >= data.items()
