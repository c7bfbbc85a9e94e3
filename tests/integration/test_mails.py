"""Mails from their request to a real mail server, and what becomes of those it refuses."""

import json
import uuid

import kombu
import pytest
from celery import current_app
from django.db import connection, transaction

from jobs import enqueue, enqueue_many
from jobs.dead_letters.operations import replay_dead_letter
from jobs.dead_letters.record import record
from jobs.engine.message import Message
from jobs.engine.requests import JobRequest
from jobs.errors import KeyInUse, NotLive, PayloadRefused
from jobs.models import DeadLetter, Event, Job
from jobs.operations import replay_job
from jobs.testing import run_enqueued_jobs
from notifications.channels.email.message import message_id_of
from notifications.errors import MailRefused, StillUnderWay, UnknownNotification
from notifications.models import Notification
from notifications.operations import mails
from project import env
from tests.dead import dead_message, dead_message_of
from tests.deliveries import at_once, deliver
from tests.drills import fresh, make_due, take
from tests.mail_server import KEEP_AND_CUT, mail_server, refuse
from tests.outgoing import anew, attempt, attempt_often, job_of
from tests.people import make_member, make_tenant

pytestmark = pytest.mark.django_db(transaction=True)

HTML = "<p>Your link: <a href='https://example.com/?token=open-sesame'>here</a></p>"
MAIL = {"email": "ann@example.com", "subject": "Your link", "html": HTML}
SECRET = "open-sesame"
BUSY, NO_SUCH_USER = refuse("RCPT", 451, "4.3.0 Busy"), refuse("RCPT", 550, "5.1.1 No such user")


@pytest.fixture(autouse=True)
def server(tmp_path, settings, monkeypatch):
    settings.DEFAULT_FROM_EMAIL = "Offload <offload@offload.example>"
    with mail_server(tmp_path) as server:
        monkeypatch.setenv("EMAIL_URL", server.url)
        for name, value in env.email("EMAIL_URL", "").items():
            setattr(settings, name, value)
        yield server


def request(tenant=None, **changes):
    wanted = {"tenant_id": tenant and tenant.pk, "user_id": None, **MAIL, **changes}
    return mails.request_mail(**wanted)


def message_ids(server):
    return [str(mail.message["Message-ID"]).strip() for mail in server.mails()]


class TestAMail:
    def test_is_stored_before_anything_is_sent(self, acme, server):
        mail = request(acme)
        assert anew(mail).status == "queued"
        assert anew(mail).html.get_secret_value() == HTML
        assert (server.connections(), job_of(mail).payload["html"]) == (0, None)

    def test_is_queued_then_processed_then_sent(self, acme, server):
        mail = request(acme)
        server.next(BUSY)
        seen = [anew(mail).status]
        attempt(mail)
        seen.append(anew(mail).status)
        attempt(mail)

        now = anew(mail)
        assert [*seen, now.status] == ["queued", "processing", "sent"]
        assert (now.attempts, now.error) == (2, "")
        assert now.settled_at
        [sent] = server.mails()
        assert (sent.recipients, sent.subject) == (["ann@example.com"], "Your link")
        assert sent.body("html").strip() == HTML

    def test_has_one_message_id_over_all_attempts(self, acme, server):
        # Given a server that accepts the mail, and whose answer is lost
        mail = request(acme)
        server.next(KEEP_AND_CUT)
        attempt_often(mail, 2)

        assert message_ids(server) == [message_id_of(mail.pk)] * 2
        assert anew(mail).status == "sent"

    def test_is_refused_for_good_at_once_by_a_5xx(self, acme, server):
        mail = request(acme)
        server.next(NO_SUCH_USER)

        assert attempt(mail) == "rejected: MailRejected"

        now = anew(mail)
        assert (now.status, now.attempts) == ("failed", 1)
        assert now.error == "MailRejected: 550 5.1.1 No such user"
        assert server.mails() == []

    def test_fails_after_its_attempts_with_4xx(self, acme, server):
        mail = request(acme)
        server.next(*[BUSY] * 4)
        assert attempt_often(mail, 4) == [
            *["acknowledged: retried"] * 3,
            "rejected: DeliveryFailed",
        ]
        assert (anew(mail).status, anew(mail).attempts) == ("failed", 4)

    def test_that_is_cancelled_is_never_sent(self, acme, server):
        mail = request(acme)
        mails.cancel_mail(tenant_id=acme.pk, notification_id=mail.pk, by="ann")
        run_enqueued_jobs()
        assert (anew(mail).status, anew(mail).error) == ("cancelled", "Cancelled by ann.")
        assert server.connections() == 0
        with pytest.raises(NotLive):
            mails.cancel_mail(tenant_id=acme.pk, notification_id=mail.pk, by="ann")

    def test_may_be_the_systems_own(self, server):
        mail = request(None)
        run_enqueued_jobs()
        assert (anew(mail).tenant_id, anew(mail).status) == (None, "sent")

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("email", "ann@example.com, bob@example.com"),
            ("email", "ann@example.com\nBcc: bob@example.com"),
            ("email", "no address"),
            ("subject", "two\nlines"),
            ("subject", ""),
            ("html", ""),
            ("html", "x" * 262_145),
        ],
    )
    def test_that_no_mail_may_be_is_not_stored(self, acme, field, value):
        with pytest.raises(MailRefused) as refused:
            request(acme, **{field: value})
        assert refused.value.field == field
        assert not Job.objects.exists()

    def test_of_a_person_is_an_event_of_the_tenant(self, acme):
        ann = make_member(acme)
        mails.request_mail_of_person(tenant_id=acme.pk, user_id=ann.pk, **MAIL)
        assert Event.objects.get().name == "notification.requested"

    def test_that_rolls_back_was_never_asked_for(self, acme):
        def ask_and_crash():
            with transaction.atomic():
                request(acme)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            ask_and_crash()
        assert (Notification.objects.count(), Job.objects.count()) == (0, 0)


class TestResend:
    def resend(self, mail):
        return mails.resend_mail(tenant_id=mail.tenant_id, notification_id=mail.pk, by="ann")

    def test_of_a_failed_one_replays_its_dead_letter(self, acme, server):
        mail = request(acme)
        server.next(NO_SUCH_USER)
        attempt(mail)
        record(dead_message_of(job_of(mail)))

        again = self.resend(mail)
        assert (again.status, again.error, again.attempts) == ("queued", "", 0)
        assert DeadLetter.objects.get().state == "replayed"
        run_enqueued_jobs()
        assert anew(mail).status == "sent"

    def test_of_a_sent_one_has_the_same_message_id(self, acme, server):
        mail = request(acme)
        run_enqueued_jobs()
        again = self.resend(mail)
        run_enqueued_jobs()
        assert again.job_id != mail.job_id
        assert message_ids(server) == [message_id_of(mail.pk)] * 2

    def test_of_one_on_its_way_is_refused(self, acme):
        mail = request(acme)
        with pytest.raises(StillUnderWay, match="is queued"):
            self.resend(mail)

    def test_of_another_tenants_is_refused_as_of_none(self, acme):
        mail = request(acme)
        for mail_id in (mail.pk, uuid.uuid4()):
            with pytest.raises(UnknownNotification, match=str(mail_id)):
                mails.resend_mail(
                    tenant_id=make_tenant(f"t{mail_id}").pk, notification_id=mail_id, by="eve"
                )

    @pytest.mark.parametrize("answers", [[], [NO_SUCH_USER]])
    def test_by_several_at_once_is_one_job(self, acme, server, answers):
        mail = request(acme)
        server.next(*answers)
        attempt(mail)
        results = at_once(*[lambda: self.resend(mail)] * 5)
        assert len([each for each in results if isinstance(each, Notification)]) == 1
        assert Job.objects.count() == 2


class TestReplay:
    def test_of_a_dead_letter_keeps_the_row_and_its_id(self, acme, server):
        mail = request(acme)
        server.next(NO_SUCH_USER)
        attempt(mail)
        letter = record(dead_message_of(job_of(mail)))
        assert letter

        replay_dead_letter(dead_letter_id=letter.pk, by="ann")
        run_enqueued_jobs()

        now = Notification.objects.get()
        assert (now.pk, now.status) == (mail.pk, "sent")
        assert job_of(now).replay_of_id == mail.job_id
        assert message_ids(server) == [message_id_of(mail.pk)]


class TestAWholeMessage:
    """Of another program, which has no row of ours to name."""

    def enqueue(self, tenant=None, **changes):
        return enqueue(mails.TASK, MAIL | changes, tenant_id=tenant and tenant.pk)

    def test_is_stored_once_over_attempts_and_replays(self, acme, server):
        server.next(KEEP_AND_CUT, BUSY, BUSY, NO_SUCH_USER)
        job = self.enqueue(acme)
        for _ in range(4):
            make_due(job)
            deliver(take()[0])
        stored = Notification.objects.get()
        assert (stored.tenant_id, stored.status) == (acme.pk, "failed")

        replay_job(job_id=job.pk, by="ann")
        run_enqueued_jobs()

        now = Notification.objects.get()
        assert (now.pk, now.status) == (stored.pk, "sent")
        assert message_ids(server) == [message_id_of(stored.pk)] * 2

    def test_is_sent_by_its_first_attempt(self, acme, server):
        self.enqueue(acme)
        assert deliver(take()[0]) == "acknowledged"
        assert (Notification.objects.get().status, len(server.mails())) == ("sent", 1)

    def test_of_a_person_who_is_gone_is_sent(self, acme):
        enqueue(mails.TASK, MAIL, tenant_id=acme.pk, user_id=uuid.uuid4())
        run_enqueued_jobs()
        assert Notification.objects.get().status == "sent"

    def test_of_no_tenant_is_the_systems(self, server):
        self.enqueue()
        run_enqueued_jobs()
        assert Notification.objects.get().tenant_id is None

    @pytest.mark.parametrize(
        "changes", [{"email": "ann@"}, {"subject": "two\nlines"}, {"html": ""}]
    )
    def test_that_no_mail_may_be_is_dead_at_once(self, acme, server, changes):
        job = self.enqueue(acme, **changes)
        assert deliver(take()[0]) == "rejected: GiveUp"
        assert (fresh(job).state, fresh(job).failures) == ("failed", 1)
        assert next(iter(changes)) in fresh(job).error
        assert (Notification.objects.count(), server.connections()) == (0, 0)

    def test_leaves_its_text_in_its_row_alone(self, acme):
        job = self.enqueue(acme)
        stored = Notification.objects.get()

        assert fresh(job).payload["notification_id"] == str(stored.pk)
        assert SECRET not in str(fresh(job).payload)
        assert (stored.job_id, stored.status, stored.html.get_secret_value()) == (
            job.pk, "queued", HTML,
        )  # fmt: skip

    def test_that_is_rolled_back_leaves_nothing(self, acme):
        with transaction.atomic():
            self.enqueue(acme)
            transaction.set_rollback(True)
        assert (Notification.objects.count(), Job.objects.count()) == (0, 0)

    def test_whose_key_is_in_use_leaves_nothing(self, acme):
        enqueue(mails.TASK, MAIL, tenant_id=acme.pk, key="one")
        with pytest.raises(KeyInUse):
            enqueue(mails.TASK, MAIL, tenant_id=acme.pk, key="one")
        assert Notification.objects.count() == 1

    def test_that_no_mail_may_be_leaves_no_text_either(self, acme):
        job = self.enqueue(acme, subject="two\nlines")
        assert SECRET not in str(fresh(job).payload)

    def test_is_one_of_many(self, acme, server):
        enqueue_many(mails.TASK, [MAIL, MAIL | {"subject": "Another"}], tenant_id=acme.pk)
        run_enqueued_jobs()
        assert sorted(mail.subject for mail in server.mails()) == ["Another", "Your link"]

    def test_that_is_edited_for_its_replay_is_another_mail(self, acme, server):
        server.next(NO_SUCH_USER)
        job = self.enqueue(acme)
        deliver(take()[0])
        first = Notification.objects.get()

        replay_job(job_id=job.pk, by="ann", payload=MAIL | {"email": "bob@example.com"})
        run_enqueued_jobs()

        assert [mail.recipients for mail in server.mails()] == [["bob@example.com"]]
        assert anew(first).status == "failed"

    def test_that_lacks_a_part_is_refused(self, acme):
        with pytest.raises(PayloadRefused, match="email, subject and html"):
            enqueue(mails.TASK, {"email": "ann@example.com"}, tenant_id=acme.pk)

    def test_that_names_the_mail_of_another_job_sends_nothing(self, acme, server):
        mail = request(acme)
        thief = enqueue(
            mails.TASK, {"notification_id": str(mail.pk)}, tenant_id=make_tenant("other").pk
        )
        mails.cancel_mail(tenant_id=None, notification_id=mail.pk, by="ann")
        run_enqueued_jobs(raise_errors=False)
        assert (fresh(thief).state, server.connections()) == ("failed", 0)


class TestAMailOfAnotherProgram:
    """A message that no relay sent."""

    @staticmethod
    def message(tenant_id, **changes):
        headers = {
            "task": mails.TASK, "id": str(uuid.uuid4()), "tenant_id": str(tenant_id),
            "kwargsrepr": repr(MAIL),
        }  # fmt: skip
        return Message(headers["id"], 0, "", "", headers, json.dumps([[], MAIL | changes, {}]))

    def test_leaves_its_text_in_its_row_alone(self, acme, server):
        assert deliver(self.message(acme.pk)) == "acknowledged"

        [mail] = Notification.objects.all()
        assert (mail.status, len(server.mails())) == ("sent", 1)
        assert job_of(mail).payload["notification_id"] == str(mail.pk)
        assert SECRET not in str(job_of(mail).payload)

    def test_is_shown_without_its_text_by_celery(self, acme):
        sent = self.message(acme.pk)
        received = kombu.Message(
            sent.body, headers=sent.headers, delivery_info={"routing_key": "notifications.x"},
            content_type="application/json", content_encoding="utf-8",
        )  # fmt: skip
        request = JobRequest(received, app=current_app, task=current_app.tasks[mails.TASK])

        assert SECRET in sent.body
        assert SECRET not in f"{request.info()} {request.info(safe=True)} {request.kwargsrepr}"

    def test_is_one_however_often_it_comes(self, acme, server):
        message = self.message(acme.pk)
        at_once(*[lambda: deliver(message)] * 4)

        assert (Notification.objects.count(), len(server.mails())) == (1, 1)

    def test_of_a_tenant_that_is_not_there_fails_at_once(self):
        assert deliver(self.message(uuid.uuid4())) == "rejected: GiveUp"
        assert "there is no tenant" in Job.objects.get().error
        assert SECRET not in str(Job.objects.get().payload)

    @pytest.mark.parametrize(
        ("behaviour", "changes"), [(NO_SUCH_USER, {}), (None, {"subject": "two\nlines"})]
    )
    def test_has_no_text_in_its_dead_letter(self, acme, server, behaviour, changes):
        if behaviour:
            server.next(behaviour)
        message = self.message(acme.pk, **changes)
        assert deliver(message).startswith("rejected")

        record(dead_message(message.body, message.headers))

        letter, job = DeadLetter.objects.get(), Job.objects.get()
        assert letter.error_type
        assert SECRET not in f"{bytes(letter.body)!r} {letter.headers} {job.payload}"


class TestAMailThatAnOlderReleaseLeftWhole:
    """Its text lies in its job's payload, with the row that its first attempt stored beside it."""

    @pytest.fixture
    def mail(self, acme, server):
        server.next(NO_SUCH_USER)
        mail = request(acme)
        attempt(mail)
        Job.objects.filter(pk=mail.job_id).update(payload=MAIL)
        return anew(mail)

    def test_is_sent_again_as_the_same_mail(self, acme, server, mail):
        again = mails.resend_mail(tenant_id=acme.pk, notification_id=mail.pk, by="ann")
        run_enqueued_jobs()

        assert (again.pk, Notification.objects.count()) == (mail.pk, 1)
        assert message_ids(server) == [message_id_of(mail.pk)]
        assert SECRET not in str(job_of(mail).payload)

    def test_that_is_edited_is_another(self, server, mail):
        replay_job(job_id=mail.job_id, by="ann", payload=MAIL | {"email": "bob@example.com"})
        run_enqueued_jobs()

        assert Notification.objects.count() == 2
        assert anew(mail).status == "failed"


class TestTheHtml:
    def test_is_in_no_log_line_and_no_text_of_its_row(self, acme, server, caplog):
        server.next(BUSY, NO_SUCH_USER)
        with caplog.at_level("DEBUG"):
            mail = request(acme)
            attempt_often(mail, 2)
            mails.resend_mail(tenant_id=None, notification_id=mail.pk, by="ann")
            run_enqueued_jobs()
        now = anew(mail)
        shown = f"{caplog.text} {now!r} {now} {now.__dict__} {now.html!r} {now.html}"
        assert SECRET not in shown

    def test_is_encrypted_in_the_database(self, acme):
        request(acme)
        with connection.cursor() as cursor:
            cursor.execute("SELECT html FROM notifications_notification")
            [stored] = cursor.fetchone()
        assert SECRET.encode() not in bytes(stored)
