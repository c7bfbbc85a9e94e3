"""What carries the news is no news itself: no failure of a mail or a delivery is announced."""

from collections import Counter

import pytest

from jobs import enqueue
from jobs.dead_letters.record import record
from jobs.models import DeadLetter, Job
from jobs.testing import run_enqueued_jobs
from notifications.operations import mails
from tests.announcements import ANNOUNCE, export, mailed, told
from tests.dead import dead_message_of
from tests.deliveries import deliver
from tests.drills import take
from tests.letters import make_letter
from tests.outgoing import make_endpoint
from tests.people import make_member
from tests.webhook_receiver import webhook_receiver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("patient_breaker")]


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.EXPORTS_STORAGE_URL = f"file://{tmp_path / 'exports'}"


@pytest.fixture
def ann(acme):
    return make_member(acme)


class TestNoLoops:
    def test_come_of_an_endpoint_that_always_fails(self, settings, acme, ann):
        # Given an endpoint that is told of everything, and never accepts it
        with webhook_receiver(default=500) as receiver:
            endpoint = make_endpoint(acme, receiver.url)
            export(acme, ann)

            # When everything is done until nothing is left, dead letters too
            while run_enqueued_jobs(raise_errors=False):
                for job in Job.objects.filter(state="failed", dead_lettered_at=None):
                    assert record(dead_message_of(job))

        # Then its own failures are no news
        assert told(endpoint) == ["export.completed"]
        assert Counter(Job.objects.values_list("type", flat=True)) == {
            "exports.export_data": 1, ANNOUNCE: 1, "notifications.sync_external": 1,
            mails.TASK: 1,
        }  # fmt: skip
        assert DeadLetter.objects.get().type == "notifications.sync_external"

    @pytest.mark.parametrize("lane", ["notifications", "alerts"])
    def test_come_of_lanes_that_carry_the_news(self, acme, lane):
        endpoint = make_endpoint(acme)
        make_letter(tenant_id=acme.pk, queue=lane)
        make_letter(tenant_id=acme.pk, queue=lane)
        run_enqueued_jobs(raise_errors=False)
        assert (told(endpoint), mailed()) == ([], [])

    def test_come_of_a_mail_that_is_refused(self, acme, ann):
        endpoint = make_endpoint(acme)
        enqueue(mails.TASK, {"email": "x", "subject": "x", "html": "x"}, tenant_id=acme.pk)
        deliver(take()[0])
        assert record(dead_message_of(Job.objects.get()))
        run_enqueued_jobs()
        assert told(endpoint) == []
