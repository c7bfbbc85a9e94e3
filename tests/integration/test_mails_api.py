"""`/api/v1/notifications`: the answers that other programs rely on."""

import uuid
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from jobs.engine import lifecycle
from jobs.models import Event, Job
from jobs.testing import run_enqueued_jobs
from notifications.models import Notification
from project.accounts.scopes import Scope
from tests.api import faulty_fields, program, program_of_stranger
from tests.people import make_member, make_tenant

pytestmark = pytest.mark.django_db

URL = "/api/v1/notifications"
MAIL = {"email": "bob@example.com", "subject": "Hello, Zoë", "html": "<p>open-sesame</p>"}


@pytest.fixture
def api(client, acme, ann):
    """A program with Ann's token."""
    return program(client, URL, acme, ann)


def requested(api, **changes):
    return api("post", body=MAIL | changes).json()["notification_id"]


class TestSend:
    def test_is_accepted_and_says_where_to_look(self, api, acme, ann):
        answer = api("post", body=MAIL)
        assert answer.status_code == 202
        mail = Notification.objects.get()
        assert answer.json() == {
            "success": True,
            "notification_id": str(mail.pk),
            "job_id": str(mail.job_id),
            "status": "queued",
        }
        assert answer.headers["Location"] == f"{URL}/{mail.pk}"
        assert (mail.tenant_id, mail.requested_by_id) == (acme.pk, ann.pk)
        assert (mail.email, mail.subject) == (MAIL["email"], MAIL["subject"])
        assert Event.objects.get().name == "notification.requested"

    def test_with_a_key_is_done_once(self, api):
        first, again = (api("post", body=MAIL, Idempotency_Key="welcome-1") for _ in range(2))
        assert first.json() == again.json()
        assert first.status_code == again.status_code == 202
        assert again.headers["Location"] == first.headers["Location"]
        assert Notification.objects.count() == Job.objects.count() == 1

        other = api("post", body=MAIL | {"subject": "Other"}, Idempotency_Key="welcome-1")
        assert other.status_code == 409
        assert faulty_fields(other) == ["Idempotency-Key"]

    def test_that_is_refused_leaves_its_key_free(self, api):
        assert api("post", body=MAIL | {"email": "x"}, Idempotency_Key="k").status_code == 422
        assert api("post", body=MAIL, Idempotency_Key="k").status_code == 202

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"email": "bob"}, "email"),
            ({"email": "bob@example.com,eve@example.com"}, "email"),
            ({"email": "Bob <bob@example.com>"}, "email"),
            ({"email": "bob@example.com\r\nBcc: eve@example.com"}, "email"),
            ({"email": ""}, "email"),
            ({"email": 7}, "email"),
            ({"email": None}, "email"),
            ({"email": "b\0b@example.com"}, "email"),
            ({"subject": "a\nb"}, "subject"),
            ({"subject": ""}, "subject"),
            ({"subject": "x" * 201}, "subject"),
            ({"html": ""}, "html"),
            ({"html": ["<p>"]}, "html"),
            ({"tenant": "other"}, "tenant"),
            ({"notification_id": str(uuid.uuid4())}, "notification_id"),
        ],
    )
    def test_that_is_wrong_names_the_field(self, api, change, field):
        answer = api("post", body=MAIL | change)
        assert answer.status_code == 422
        assert faulty_fields(answer) == [field]
        assert not Job.objects.exists()

    @pytest.mark.parametrize("missing", list(MAIL))
    def test_that_lacks_a_field_names_it(self, api, missing):
        answer = api("post", body={name: MAIL[name] for name in MAIL.keys() - {missing}})
        assert (answer.status_code, faulty_fields(answer)) == (422, [missing])

    def test_over_64_kib_is_refused(self, api):
        assert api("post", body=MAIL | {"html": "x" * 65_536}).status_code == 413


class TestMail:
    def test_shows_everything_but_its_text_once_it_is_sent(self, api, ann):
        mail_id = requested(api)
        run_enqueued_jobs()
        answer = api("get", f"/{mail_id}")
        shown = answer.json()
        times = {name: shown.pop(name) for name in ("created_at", "settled_at")}
        assert shown == {
            "id": mail_id,
            "job_id": str(Job.objects.get().pk),
            "email": MAIL["email"],
            "subject": MAIL["subject"],
            "status": "sent",
            "error": None,
            "attempts": 1,
            "requested_by": str(ann.pk),
        }
        assert all(datetime.fromisoformat(each).tzinfo for each in times.values())
        assert b"open-sesame" not in answer.content

    def test_shows_that_it_waits(self, api):
        shown = api("get", f"/{requested(api)}").json()
        assert (shown["status"], shown["attempts"], shown["settled_at"]) == ("queued", 0, None)

    def test_shows_why_it_failed(self, api):
        mail_id = requested(api)
        lifecycle.fail(Job.objects.get(), ValueError("no such door"), outcome=None)
        shown = api("get", f"/{mail_id}").json()
        assert (shown["status"], shown["error"]) == ("failed", "ValueError: no such door")

    def test_is_shown_when_its_job_is_long_deleted(self, api):
        mail_id = requested(api)
        run_enqueued_jobs()
        Job.objects.all().delete()
        shown = api("get", f"/{mail_id}").json()
        assert (shown["status"], shown["attempts"], shown["job_id"]) == ("sent", 1, None)

    def test_is_listed_newest_first_in_pages(self, api):
        newest = [requested(api) for _ in range(3)][::-1]
        first = api("get", "?limit=2").json()
        assert [item["id"] for item in first["items"]] == newest[:2]
        second = api("get", f"?limit=2&before={first['next_before']}").json()
        assert [item["id"] for item in second["items"]] == newest[2:]
        assert second["next_before"] is None

    def test_is_listed_by_status(self, api):
        sent = requested(api)
        run_enqueued_jobs()
        waiting = requested(api)
        found = {
            status: [item["id"] for item in api("get", f"?status={status}").json()["items"]]
            for status in ("sent", "queued", "failed")
        }
        assert found == {"sent": [sent], "queued": [waiting], "failed": []}

    def test_is_listed_by_address(self, api):
        anns, bobs = requested(api, email="Ann@example.com"), requested(api)
        found = {
            wanted: [item["id"] for item in api("get", f"?email={wanted}").json()["items"]]
            for wanted in ("ann@EXAMPLE.com", "bob@example.com", "eve@example.com")
        }
        assert found == {
            "ann@EXAMPLE.com": [anns], "bob@example.com": [bobs], "eve@example.com": [],
        }  # fmt: skip
        assert api("get", "?email=ann@example.com&status=sent").json()["items"] == []

    def test_of_another_tenant_is_not_listed_by_its_address(self, api):
        requested(api)
        Notification.objects.update(tenant=make_tenant("globex"))
        assert api("get", f"?email={MAIL['email']}").json()["items"] == []

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("email=", "email"),
            ("email=ann", "email"),
            ("email=ann@example.com%00", "email"),
            ("status=lost", "status"),
            ("stauts=sent", "stauts"),
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("before=yesterday", "before"),
        ],
    )
    def test_is_not_listed_by_what_can_not_be(self, api, query, field):
        answer = api("get", f"?{query}")
        assert (answer.status_code, faulty_fields(answer)) == (422, [field])


class TestSteering:
    def test_cancel_says_the_new_status(self, api, ann):
        mail_id = requested(api)
        answer = api("post", f"/{mail_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert ann.email in answer.json()["error"]
        assert api("post", f"/{mail_id}/cancel").status_code == 409

    def test_resend_queues_it_again(self, api):
        mail_id = requested(api)
        assert api("post", f"/{mail_id}/resend").status_code == 409
        run_enqueued_jobs()
        answer = api("post", f"/{mail_id}/resend")
        shown = answer.json()
        assert (answer.status_code, shown["status"], shown["id"]) == (202, "queued", mail_id)
        assert shown["attempts"] == 0
        run_enqueued_jobs()
        assert api("get", f"/{mail_id}").json()["status"] == "sent"


CALLS = [
    ("post", "", "notifications:write"),
    ("get", "", "notifications:read"),
    ("get", "/{id}", "notifications:read"),
    ("post", "/{id}/cancel", "notifications:write"),
    ("post", "/{id}/resend", "notifications:write"),
]


class TestAccess:
    @pytest.mark.parametrize(("method", "path", "scope"), CALLS)
    def test_needs_valid_credentials(self, client, acme, ann, method, path, scope):
        call = getattr(client, method)
        path = path.format(id=uuid.uuid4())
        assert call(URL + path, MAIL, content_type="application/json").status_code == 401
        expired = program(client, URL, acme, ann, expires_at=timezone.now() - timedelta(seconds=1))
        assert expired(method, path).status_code == 401

    @pytest.mark.parametrize(("method", "path", "scope"), CALLS)
    def test_needs_the_scope(self, client, acme, ann, method, path, scope):
        others = [each for each in Scope.values if each != scope]
        without = program(client, URL, acme, ann, scopes=others)
        body = MAIL if path == "" and method == "post" else None
        assert without(method, path.format(id=uuid.uuid4()), body).status_code == 403

    @pytest.mark.parametrize(("method", "path", "scope"), CALLS)
    def test_is_not_for_plain_members(self, client, acme, method, path, scope):
        member = program(client, URL, acme, make_member(acme, "bob@acme.example"))
        body = MAIL if path == "" and method == "post" else None
        assert member(method, path.format(id=uuid.uuid4()), body).status_code == 403

    @pytest.mark.parametrize(
        ("method", "action"), [("get", ""), ("post", "/cancel"), ("post", "/resend")]
    )
    def test_to_another_tenants_is_as_to_none(self, client, api, method, action):
        mail_id = requested(api)
        stranger = program_of_stranger(client, URL)
        foreign = stranger(method, f"/{mail_id}{action}")
        unknown = stranger(method, f"/{uuid.uuid4()}{action}")
        assert foreign.status_code == unknown.status_code == 404
        assert stranger(method, f"/not-an-id{action}").status_code == 404
        assert stranger("get").json()["items"] == []
        assert Notification.objects.get().status == "queued"
