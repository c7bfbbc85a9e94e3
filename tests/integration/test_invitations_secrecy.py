"""Where the token of an invitation is not: in no column, no log, no job and no dead letter."""

import json
import smtplib
import urllib.request
from contextlib import closing
from typing import Any
from urllib.parse import unquote

import pytest
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.test import Client
from django.utils import timezone

from jobs.dead_letters.record import record
from jobs.engine.embedded.parts import Web
from jobs.models import Job
from jobs.testing import run_enqueued_jobs
from project.accounts.models import Invitation, Session
from project.accounts.scopes import Role
from tests.dead import dead_message_of
from tests.invitations import (
    PAGE,
    TOKEN,
    invite,
    invite_and_read,
    let_a_minute_pass,
    read_token,
)
from tests.people import PASSWORD, bearer, make_member, make_token, make_user

URL = "/api/v1/invitations"
BOB = "bob@acme.example"

TEXTS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = current_schema()
AND data_type IN ('text', 'character varying', 'json', 'jsonb', 'bytea', 'ARRAY')
"""


class Refusing(BaseEmailBackend):
    """A mail server that will never take it."""

    def send_messages(self, email_messages):
        raise smtplib.SMTPDataError(554, b"5.7.1 We do not want this")


@pytest.fixture
def ann(acme):
    return make_member(acme, "ann@acme.example", Role.OWNER)


def database_text():
    """Return all texts of the database, also those in sessions, which are signed but readable."""
    with connection.cursor() as cursor:
        cursor.execute(TEXTS)
        columns = cursor.fetchall()
        texts = []
        for table, column in columns:
            cursor.execute(f'SELECT "{column}"::text FROM "{table}"')
            texts += [row[0] for row in cursor.fetchall() if row[0]]
    assert ("accounts_invitation", "email") in columns
    texts += [json.dumps(each.get_decoded()) for each in Session.objects.all()]
    return "\n".join(texts)


def encodings_of(token):
    """Return the token as mail programs and their gateways may write it into an address."""
    return [
        token,
        token.replace("_", "%5F"),
        token.replace("_", "%5f").replace("-", "%2d"),
        token[:4] + "".join(f"%{ord(letter):02X}" for letter in token[4:]),
    ]


def log_text(caplog):
    """Return all that was logged, also what a formatter may add from a record's attributes."""
    return "\n".join(f"{each.getMessage()} {vars(each)}" for each in caplog.records)


@pytest.mark.django_db
class TestToken:
    @pytest.fixture(autouse=True)
    def everything(self, caplog):
        caplog.set_level("DEBUG")

    def test_is_stored_nowhere_from_the_invitation_to_the_membership(self, acme, ann, caplog):
        _, text = make_token(acme, ann)
        program: dict[str, Any] = {"content_type": "application/json", "headers": bearer(text)}

        # When Bob is invited, invited again, sent another mail, and joins
        answers = [Client().post(URL, {"email": BOB, "role": "member"}, **program)]
        tokens = [read_token()]
        let_a_minute_pass()
        keyed = {**program, "headers": {**bearer(text), "Idempotency-Key": "bob"}}
        answers += [Client().post(URL, {"email": BOB}, **keyed) for _ in range(2)]
        tokens += [read_token()]
        let_a_minute_pass()
        path = f"{URL}/{Invitation.objects.open().get().pk}"
        answers += [Client().post(f"{path}/resend", **program), Client().get(path, **program)]
        tokens += [read_token()]
        bob = Client()
        assert bob.get(PAGE, {"token": tokens[-1]}).status_code == 200
        joined = bob.post(PAGE, {"token": tokens[-1], "password": PASSWORD})
        run_enqueued_jobs()

        # Then his mails have the tokens, and nothing else has
        assert joined.status_code == 302
        assert len(set(tokens)) == 3
        assert BOB in database_text()
        for text in (database_text(), log_text(caplog), *(each.text for each in answers)):
            assert not TOKEN.search(text)
        assert not TOKEN.search(str(joined.headers))
        assert all(token in mail.outbox[number].body for number, token in enumerate(tokens))

    def test_dies_with_a_mail_that_can_not_be_sent(self, acme, ann, caplog, settings):
        settings.EMAIL_BACKEND = f"{__name__}.{Refusing.__name__}"
        invite(acme, ann)
        run_enqueued_jobs(raise_errors=False)
        job = Job.objects.get(type="notifications.send_notification")
        assert job.state == "failed"

        letter = record(dead_message_of(job))

        assert letter is not None
        written = json.dumps([job.payload, letter.__dict__], cls=DjangoJSONEncoder, default=str)
        assert "We do not want this" in database_text()
        for text in (database_text(), log_text(caplog), written):
            assert not TOKEN.search(text)

    def test_is_not_logged_where_its_page_refuses(self, acme, ann, caplog):
        invitation, token = invite_and_read(acme, ann)
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(make_user("eve@acme.example"))
        eve = Client()
        eve.force_login(make_user("eva@acme.example"))
        caplog.clear()

        # When it is shown to a wrong host, posted by a wrong person, from a wrong site, too late
        address = f"{PAGE}?token={token}"
        answers = [
            eve.get(address, headers={"host": "evil.example"}),
            eve.post(address, {"token": token}),
            strict.post(address, {"token": token}),
        ]
        Invitation.objects.filter(pk=invitation.pk).update(revoked_at=timezone.now())
        answers.append(eve.get(address))

        # Then it is told of, without the token
        assert [each.status_code for each in answers] == [400, 404, 403, 404]
        names = {each.name for each in caplog.records}
        assert names >= {
            "django.security.DisallowedHost", "django.request", "django.security.csrf"
        }  # fmt: skip
        assert not TOKEN.search(log_text(caplog))
        assert "inv_…" in log_text(caplog)

    @pytest.mark.parametrize("number", range(4))
    def test_is_not_logged_however_its_address_is_encoded(self, acme, ann, caplog, number):
        invitation, token = invite_and_read(acme, ann)
        written = encodings_of(token)[number]
        Invitation.objects.filter(pk=invitation.pk).update(revoked_at=timezone.now())
        caplog.clear()

        assert Client().get(f"{PAGE}?token={written}&x=1").status_code == 404

        text = log_text(caplog)
        assert "inv_…" in text
        assert token not in unquote(text)
        assert "&x=1" in text


@pytest.mark.django_db(transaction=True)
class TestServer:
    @pytest.mark.parametrize("number", range(4))
    def test_logs_its_requests_without_tokens(self, acme, ann, caplog, number):
        caplog.set_level("DEBUG")
        _, token = invite_and_read(acme, ann)
        written = encodings_of(token)[number]
        ended: list[object] = []
        web = Web(0, ended.append)
        web.start()
        try:
            with closing(urllib.request.urlopen(f"{web.url}{PAGE}?token={written}")) as answer:
                assert answer.status == 200
        finally:
            web.stop()
            web.join()

        [line] = [each.getMessage() for each in caplog.records if each.name == "django.server"]
        assert f"GET {PAGE}?token=inv_… HTTP" in line
        assert token not in unquote(log_text(caplog))
