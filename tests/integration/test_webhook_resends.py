"""Deliveries that are sent again, one or all that match."""

import pytest

from jobs.dead_letters.record import record
from jobs.models import DeadLetter, Job
from jobs.operations import cancel_job
from jobs.testing import run_enqueued_jobs
from notifications.errors import StillUnderWay
from notifications.models import WebhookDelivery
from notifications.operations import deliveries, resending
from notifications.operations.breaker import SYNC
from notifications.payloads import ResendPayload
from tests.dead import dead_message_of
from tests.deliveries import at_once, deliver
from tests.drills import fresh
from tests.outgoing import (
    anew,
    attempt,
    attempt_often,
    history,
    job_of,
    make_delivery,
    make_endpoint,
    status_of,
    take_only,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("patient_breaker")]


def fail_for_good(delivery):
    attempt_often(delivery, 4)
    assert record(dead_message_of(job_of(delivery)))
    return anew(delivery)


class TestResend:
    def resend(self, delivery):
        return deliveries.resend_delivery(tenant_id=None, delivery_id=delivery.pk, by="ann")

    def test_of_a_failed_one_replays_it_and_closes_its_dead_letter(self, receiver, endpoint):
        receiver.default = 500
        failed = fail_for_good(make_delivery(endpoint))

        again = self.resend(failed)

        letter = DeadLetter.objects.get()
        assert (letter.state, letter.replay_job_id, letter.handled_by) == (
            "replayed",
            again.job_id,
            "ann",
        )
        assert (again.status, again.error, again.attempts) == ("queued", "", 0)
        assert again.settled_at is None
        receiver.default = 200
        run_enqueued_jobs()
        assert status_of(failed) == "delivered"
        assert [each.number for each in history(failed)] == [1, 2, 3, 4, 5]

    def test_of_a_delivered_one_is_a_new_job_with_the_same_id(self, receiver, endpoint):
        delivery = make_delivery(endpoint)
        run_enqueued_jobs()
        again = self.resend(delivery)
        run_enqueued_jobs()

        assert again.job_id != delivery.job_id
        assert [request.headers["webhook-id"] for request in receiver.requests] == [
            str(delivery.pk)
        ] * 2
        assert receiver.requests[0].body == receiver.requests[1].body

    def test_of_one_whose_job_is_long_deleted_is_a_new_job(self, receiver, endpoint):
        delivery = make_delivery(endpoint)
        run_enqueued_jobs()
        Job.objects.all().delete()
        self.resend(delivery)
        run_enqueued_jobs()
        assert (status_of(delivery), len(receiver.requests)) == ("delivered", 2)

    def test_of_one_on_its_way_is_refused(self, receiver, endpoint):
        delivery = make_delivery(endpoint)
        with pytest.raises(StillUnderWay, match="is queued"):
            self.resend(delivery)
        receiver.answers = [500]
        attempt(delivery)
        with pytest.raises(StillUnderWay, match="is processing"):
            self.resend(delivery)

    @pytest.mark.parametrize("status", [200, 500])
    def test_by_several_at_once_is_one_job(self, receiver, endpoint, status):
        receiver.default = status
        delivery = make_delivery(endpoint)
        attempt_often(delivery, 1 if status == 200 else 4)

        results = at_once(*[lambda: self.resend(delivery)] * 5)

        assert len([each for each in results if isinstance(each, WebhookDelivery)]) == 1
        assert Job.objects.filter(type=SYNC).count() == 2
        assert status_of(delivery) == "queued"


class TestResendByFilter:
    def ask(self, endpoint, **filters):
        return resending.request_resend(
            tenant_id=endpoint.tenant_id, user_id=None, endpoint_id=endpoint.pk, **filters
        )

    @pytest.fixture
    def failed(self, receiver, endpoint):
        receiver.default = 500
        rows = [make_delivery(endpoint) for _ in range(3)]
        run_enqueued_jobs(raise_errors=False)
        receiver.default = 200
        receiver.requests.clear()
        return rows

    def test_sends_all_that_match_oldest_first(self, receiver, endpoint, failed):
        delivered = make_delivery(endpoint)
        attempt(delivered)
        receiver.requests.clear()

        job, count = self.ask(endpoint)
        run_enqueued_jobs()

        assert (count, fresh(job).state) == (3, "succeeded")
        sent = [request.headers["webhook-id"] for request in receiver.requests]
        assert sent == [str(each.pk) for each in failed]
        assert {status_of(each) for each in failed} == {"delivered"}

    def test_keeps_to_its_filters(self, acme, receiver, endpoint, failed):
        other = make_delivery(endpoint, event_type="lamp.broken")
        receiver.default = 500
        run_enqueued_jobs(raise_errors=False)
        receiver.default = 200
        elsewhere = make_endpoint(acme, receiver.url)

        assert self.ask(endpoint, event_type="lamp.broken")[1] == 1
        assert self.ask(endpoint, since=anew(other).created_at)[1] == 1
        assert self.ask(endpoint, until=anew(failed[0]).created_at)[1] == 1
        assert self.ask(endpoint, status="delivered")[1] == 0
        assert self.ask(elsewhere)[1] == 0

    def test_does_no_more_when_it_runs_twice(self, receiver, endpoint, failed):
        job, _ = self.ask(endpoint)
        payload = ResendPayload(endpoint_id=endpoint.pk)
        Job.objects.filter(pk=job.pk).update(state="running", dispatch=1, attempt=1)
        running = fresh(job)

        assert resending.resend_matching(running, payload) == 3
        assert resending.resend_matching(running, payload) == 0
        assert Job.objects.filter(type=SYNC).count() == 6

    def test_leaves_what_settles_after_it_was_asked_for(self, receiver, endpoint, failed):
        # Given one that is sent again and fails while the job waits for its turn
        job, _ = self.ask(endpoint)
        receiver.default = 500
        later = deliveries.resend_delivery(tenant_id=None, delivery_id=failed[0].pk, by="ann")
        attempt_often(later, 4)

        assert deliver(take_only(job)) == "acknowledged"
        assert [status_of(each) for each in failed] == ["failed", "queued", "queued"]

    def test_stops_when_it_is_cancelled(self, receiver, endpoint, failed, monkeypatch):
        monkeypatch.setattr(resending, "BATCH_DELIVERIES", 1)
        job, _ = self.ask(endpoint)
        resend = deliveries.resend_delivery

        def resend_and_cancel(**arguments):
            sent = resend(**arguments)
            cancel_job(job_id=job.pk, by="ann")
            return sent

        monkeypatch.setattr(resending, "resend_delivery", resend_and_cancel)

        assert deliver(take_only(job)) == "acknowledged: ignored"
        assert [status_of(each) for each in failed] == ["queued", "failed", "failed"]

    def test_is_held_back_by_none_that_refuses(self, receiver, endpoint, failed):
        job, _ = self.ask(endpoint)
        deliveries.resend_delivery(tenant_id=None, delivery_id=failed[1].pk, by="ann")
        assert deliver(take_only(job)) == "acknowledged"
        assert {status_of(each) for each in failed} == {"queued"}

    def test_of_what_is_on_its_way_is_refused(self, endpoint):
        with pytest.raises(StillUnderWay):
            self.ask(endpoint, status="queued")
