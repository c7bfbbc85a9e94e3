"""Mails hold a part of the workers of the lane at most, and tenants take turns for that part."""

from collections import Counter

import pytest

from jobs.engine import foreign, lifecycle
from jobs.errors import NotNow
from jobs.ids import new_id
from jobs.models import Job
from notifications.operations import mails
from notifications.operations.shares import leave_room_beside_mails
from tests.deliveries import deliver
from tests.drills import fresh, take
from tests.mail_server import mail_server
from tests.mails import use_mail_server
from tests.outgoing import anew, make_delivery, make_endpoint, trust_loopback
from tests.people import make_tenant

pytestmark = pytest.mark.django_db(transaction=True)

MOST = 4
MAIL = {"email": "ann@example.com", "subject": "Hello", "html": "<p>Hello</p>"}


def request(tenant):
    return mails.request_mail(tenant_id=tenant.pk, user_id=None, **MAIL)


def types(messages):
    return Counter(message.headers["task"] for message in messages)


def run_past_the_relay(tenant, count):
    """Let workers run mails of messages that another program has sent them."""
    jobs = []
    for _ in range(count):
        job_id = new_id()
        foreign.store_queued(
            job_id, job_type=mails.TASK, payload=MAIL, tenant_id=tenant.pk, user_id=None
        )
        jobs.append(lifecycle.claim(job_id, 0, worker="drill@here"))
    return jobs


class TestTheShareOfMails:
    def test_is_all_that_the_relay_hands_over_of_a_backlog(self, acme, settings):
        trust_loopback(settings)
        for _ in range(10):
            request(acme)
        make_delivery(make_endpoint(acme))
        assert types(take()) == {mails.TASK: MOST, "notifications.sync_external": 1}
        assert take() == []

    def test_is_divided_by_tenants_that_wait(self, acme):
        other = make_tenant("other")
        for _ in range(10):
            request(acme)
        late = request(other)
        messages = take()
        assert len(messages) == MOST
        assert str(late.job_id) in {message.id for message in messages}

    def test_puts_back_once_and_unspent_what_came_past_the_relay(
        self, acme, settings, monkeypatch, tmp_path
    ):
        # Given as many mails under way as may be
        other = make_tenant("other")
        running = run_past_the_relay(other, MOST)
        with mail_server(tmp_path) as server:
            use_mail_server(settings, monkeypatch, server.url)
            mail = request(acme)
            assert take() == []
            Job.objects.filter(pk=running[0].pk).update(state="waiting")
            [message] = take()
            Job.objects.filter(pk=running[0].pk).update(state="running")

            # When one more begins, then it waits
            assert deliver(message) == "acknowledged: ignored"
            job = fresh(Job(pk=mail.job_id))
            assert (job.state, job.failures, anew(mail).status) == ("waiting", 0, "queued")
            assert server.connections() == 0

            # And where there is room again, the relay hands it over
            Job.objects.filter(pk=running[0].pk).update(state="succeeded")
            Job.objects.filter(pk=job.pk).update(run_at=job.created_at)
            [message] = take()
            assert deliver(message) == "acknowledged"
            assert len(server.mails()) == 1

    def test_goes_to_those_that_came_first(self, acme):
        jobs = run_past_the_relay(acme, MOST + 2)
        refused = []
        for job in jobs:
            try:
                leave_room_beside_mails(job)
            except NotNow:
                refused.append(job.pk)
        assert refused == [job.pk for job in jobs[MOST:]]
