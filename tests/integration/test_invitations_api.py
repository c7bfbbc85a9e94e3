"""`/api/v1/invitations`: the answers that other programs rely on, and what they never tell."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Event, Job
from notifications.models import Notification
from project.accounts.models import Invitation, Membership
from project.accounts.scopes import MEMBER_SCOPES, Role, Scope
from tests.invitations import TOKEN, invite, invite_and_read, let_a_minute_pass, read_token
from tests.people import bearer, make_member, make_tenant, make_token, make_user

pytestmark = pytest.mark.django_db

URL = "/api/v1/invitations"
BOB = "bob@acme.example"


@pytest.fixture
def ann(acme):
    return make_member(acme, "ann@acme.example", Role.OWNER)


@pytest.fixture
def api(acme, ann):
    """A program with the token of Ann, who is an owner."""
    return program(acme, ann)


def program(tenant, user, **options):
    _, text = make_token(tenant, user, **options)

    def call(method, path="", body=None, **headers):
        content = {"data": body, "content_type": "application/json"} if body is not None else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return getattr(Client(), method)(URL + path, **content, headers=bearer(text) | named)

    return call


def problem(answer):
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    return answer.status_code, document["title"], [e["field"] for e in document.get("errors", ())]


class TestInvite:
    def test_is_accepted_and_says_where_to_look(self, api, acme, ann):
        answer = api("post", body={"email": BOB, "role": "admin"})
        stored = Invitation.objects.get()
        assert answer.status_code == 202
        assert answer.json() == {
            "success": True, "invitation_id": str(stored.pk), "status": "sent"
        }  # fmt: skip
        assert answer.headers["Location"] == f"{URL}/{stored.pk}"
        assert (stored.tenant, stored.invited_by, stored.role) == (acme, ann, "admin")

    def test_is_for_a_member_unless_it_says_otherwise(self, api):
        api("post", body={"email": BOB})
        assert Invitation.objects.get().role == Role.MEMBER

    def test_with_a_key_is_done_once(self, api):
        first = api("post", body={"email": BOB}, Idempotency_Key="bob-1")
        again = api("post", body={"email": BOB}, Idempotency_Key="bob-1")
        assert first.json() == again.json()
        assert Invitation.objects.count() == Notification.objects.count() == 1

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "email"),
            ({"email": "bob"}, "email"),
            ({"email": "bob@acme.example, eve@acme.example"}, "email"),
            ({"email": f"{'b' * 250}@acme.example"}, "email"),
            ({"email": "bob\0@acme.example"}, "email"),
            ({"email": BOB, "role": "king"}, "role"),
            ({"email": BOB, "token": "mine"}, "token"),
        ],
    )
    def test_that_is_wrong_names_the_field(self, api, body, field):
        status, _, fields = problem(api("post", body=body))
        assert (status, fields) == (422, [field])
        assert not Invitation.objects.exists()
        assert not Job.objects.exists()

    def test_lets_no_admin_make_an_owner(self, acme, ann):
        eve = make_member(acme, "eve@acme.example", Role.ADMIN)
        answer = program(acme, eve)("post", body={"email": BOB, "role": "owner"})
        assert problem(answer) == (403, "Role refused", ["role"])
        assert not Invitation.objects.exists()
        assert program(acme, eve)("post", body={"email": BOB, "role": "admin"}).status_code == 202

    def test_lets_not_even_a_superuser_do_so_by_api(self, acme):
        eve = make_member(acme, "eve@acme.example", Role.ADMIN, is_superuser=True)
        answer = program(acme, eve)("post", body={"email": BOB, "role": "owner"})
        assert answer.status_code == 403

    @pytest.mark.parametrize("role", Role.values)
    def test_lets_no_narrow_token_give_more_than_it_has(self, acme, ann, role):
        """Or whoever finds the token of a script could make an owner of themselves."""
        narrow = program(acme, ann, scopes=[Scope.INVITATIONS_WRITE])
        answer = narrow("post", body={"email": BOB, "role": role})
        assert problem(answer) == (403, "Role refused", ["role"])
        assert not Invitation.objects.exists()

        stored = invite(acme, ann, BOB, role)
        let_a_minute_pass()
        assert problem(narrow("post", f"/{stored.pk}/resend")) == problem(answer)
        assert Invitation.objects.get().token_sha256 == stored.token_sha256
        assert narrow("post", f"/{stored.pk}/revoke").status_code == 200

    def test_lets_a_token_give_a_role_that_may_do_no_more(self, acme, ann):
        wide = program(acme, ann, scopes=[*MEMBER_SCOPES, Scope.INVITATIONS_WRITE])
        for role, status in (("member", 202), ("admin", 403), ("owner", 403)):
            answer = wide("post", body={"email": f"{role}@acme.example", "role": role})
            assert answer.status_code == status

    def test_needs_a_role_and_a_scope(self, acme, ann):
        member = program(acme, make_member(acme, "eve@acme.example"))
        reader = program(acme, ann, scopes=[Scope.INVITATIONS_READ])
        assert member("post", body={"email": BOB}).status_code == 403
        assert reader("post", body={"email": BOB}).status_code == 403
        assert member("get").status_code == 403
        assert reader("get").status_code == 200
        assert Client().get(URL).status_code == 401

    def test_is_the_same_whoever_the_address_belongs_to(self, api, acme, ann):
        """
        Status, headers, shape, queries and what is left behind: an account shows in none.

        An open invitation is one more mail to stop. Who may invite sees it in the list anyway.
        """
        make_user("account@acme.example")
        make_user("locked@acme.example", is_active=False)
        make_member(acme, "member@acme.example")
        invite(acme, ann, "invited@acme.example")
        let_a_minute_pass()
        api("get")  # Its use is noted once a minute, which is a query of its own.
        names = ("nobody", "account", "locked", "member")

        seen = {self.trace(api, f"{name}@acme.example") for name in names}
        *shown, _ = self.trace(api, "invited@acme.example")

        assert len(seen) == 1, seen
        assert shown == [*seen.pop()][:-1]

    def trace(self, api, email):
        before = [rows.count() for rows in (Job.objects, Notification.objects, Event.objects)]
        with CaptureQueriesContext(connection) as queries:
            answer = api("post", body={"email": email})
        after = [rows.count() for rows in (Job.objects, Notification.objects, Event.objects)]
        invitation_id = answer.json()["invitation_id"]
        assert Notification.objects.latest("created_at", "pk").email == email
        return (
            answer.status_code,
            answer.content.decode().replace(invitation_id, "…"),
            str(sorted(answer.headers.items())).replace(invitation_id, "…"),
            tuple(now - then for now, then in zip(after, before, strict=True)),
            tuple(query["sql"].split(" ")[0] for query in queries),
        )


class TestLimits:
    @pytest.fixture(autouse=True)
    def people(self, acme):
        make_user("account@acme.example")
        make_member(acme, "member@acme.example")

    def again(self, api, email):
        api("post", body={"email": email})
        answer = api("post", body={"email": email})
        wait = int(answer.headers["Retry-After"])
        assert 0 < wait <= 60
        assert problem(answer) == (429, "Too Many Requests", [])
        return answer.text.replace(f"{wait} s", "… s")

    def test_answer_what_comes_too_soon_the_same_for_all(self, api):
        names = ("nobody", "account", "member")
        answers = {self.again(api, f"{name}@acme.example") for name in names}
        assert len(answers) == 1
        assert Notification.objects.count() == Invitation.objects.count() == 3

    def test_hold_for_what_is_sent_again_too(self, api, acme, ann):
        stored = invite(acme, ann)
        answer = api("post", f"/{stored.pk}/resend")
        assert problem(answer)[0] == 429
        assert answer.headers["Retry-After"]
        let_a_minute_pass()
        assert api("post", f"/{stored.pk}/resend").status_code == 202

    def test_leave_the_key_of_a_refused_request_free(self, api, acme, ann):
        invite(acme, ann)
        first = api("post", body={"email": BOB}, Idempotency_Key="bob-1")
        let_a_minute_pass()
        second = api("post", body={"email": BOB}, Idempotency_Key="bob-1")
        third = api("post", body={"email": BOB}, Idempotency_Key="bob-1")
        assert [each.status_code for each in (first, second, third)] == [429, 202, 202]
        assert second.json() == third.json()

    def test_leave_a_tenant_a_hundred_open_ones(self, api, acme):
        now = timezone.now()
        Invitation.objects.bulk_create(
            Invitation(tenant=acme, email=f"p{n}@a.example", token_sha256=str(n), expires_at=now)
            for n in range(100)
        )
        answer = api("post", body={"email": BOB})
        assert problem(answer)[:2] == (409, "Too many invitations")
        assert api("post", body={"email": "p7@a.example"}).status_code == 202


class TestList:
    def test_is_newest_first_and_in_pages(self, api, acme, ann):
        made = [str(invite(acme, ann, f"p{number}@acme.example").pk) for number in range(3)]
        page = api("get", "?limit=2").json()
        assert [each["id"] for each in page["items"]] == made[:0:-1]
        rest = api("get", f"?limit=2&before={page['next_before']}").json()
        assert ([each["id"] for each in rest["items"]], rest["next_before"]) == (made[:1], None)

    def test_tells_each_status(self, api, acme, ann):
        now = timezone.now()
        columns = {
            "pending": {},
            "accepted": {"accepted_at": now, "expires_at": now},
            "revoked": {"revoked_at": now, "expires_at": now},
            "expired": {"expires_at": now},
        }
        for status, changes in columns.items():
            row = invite(acme, ann, f"{status}@acme.example")
            Invitation.objects.filter(pk=row.pk).update(**{"expires_at": row.expires_at, **changes})

        for status in columns:
            [found] = api("get", f"?status={status}").json()["items"]
            assert (found["email"], found["status"]) == (f"{status}@acme.example", status)
        assert len(api("get").json()["items"]) == 4

    def test_refuses_what_is_no_filter(self, api):
        assert problem(api("get", "?status=open"))[::2] == (422, ["status"])
        assert problem(api("get", "?state=pending"))[::2] == (422, ["state"])

    def test_shows_nothing_of_another_tenant(self, api):
        globex = make_tenant("globex")
        foreign = invite(globex, make_member(globex, "gil@globex.example", Role.OWNER))
        assert api("get").json()["items"] == []
        for method, path in (("get", ""), ("post", "/resend"), ("post", "/revoke")):
            answer = api(method, f"/{foreign.pk}{path}")
            unknown = api(method, f"/{uuid.uuid4()}{path}")
            assert problem(answer) == problem(unknown) == (404, "Not Found", ["invitation_id"])
        assert api("get", "/nonsense").status_code == 404
        foreign.refresh_from_db()
        assert foreign.revoked_at is None


class TestOne:
    def test_shows_all_but_the_token(self, api, acme, ann):
        stored, token = invite_and_read(acme, ann)
        answer = api("get", f"/{stored.pk}")
        assert answer.json() == {
            "id": str(stored.pk),
            "email": BOB,
            "role": "member",
            "status": "pending",
            "invited_by": str(ann.pk),
            "created_at": answer.json()["created_at"],
            "expires_at": answer.json()["expires_at"],
            "accepted_at": None,
            "revoked_at": None,
        }
        assert token not in answer.text
        assert stored.token_sha256 not in answer.text

    def test_is_sent_again_with_a_new_link(self, api, acme, ann):
        stored, old = invite_and_read(acme, ann)
        let_a_minute_pass()
        answer = api("post", f"/{stored.pk}/resend")
        assert (answer.status_code, answer.json()["status"]) == (202, "pending")
        assert not TOKEN.search(answer.text)
        assert read_token() != old

    def test_is_revoked_once_and_stays_so(self, api, acme, ann):
        stored = invite(acme, ann)
        first, again = (api("post", f"/{stored.pk}/revoke") for _ in range(2))
        assert first.status_code == again.status_code == 200
        assert first.json() == again.json()
        assert first.json()["status"] == "revoked"
        assert problem(api("post", f"/{stored.pk}/resend"))[:2] == (409, "Invitation over")

    def test_of_an_owner_is_undone_by_owners_alone(self, api, acme, ann):
        stored = invite(acme, ann, BOB, Role.OWNER)
        let_a_minute_pass()
        admin = program(acme, make_member(acme, "eve@acme.example", Role.ADMIN))
        for answer in (
            admin("post", f"/{stored.pk}/revoke"),
            admin("post", body={"email": BOB, "role": "member"}),
        ):
            assert problem(answer) == (403, "Role refused", ["role"])
        assert Invitation.objects.open().get() == stored
        assert api("post", f"/{stored.pk}/revoke").status_code == 200

    def test_that_was_accepted_is_neither_sent_nor_revoked(self, api, acme, ann):
        stored = invite(acme, ann)
        Invitation.objects.update(accepted_at=timezone.now())
        for path in ("resend", "revoke"):
            answer = api("post", f"/{stored.pk}/{path}")
            assert problem(answer)[:2] == (409, "Invitation over")
            assert "accepted" in answer.json()["detail"]

    def test_needs_the_scope_to_be_changed(self, acme, ann):
        stored = invite(acme, ann)
        reader = program(acme, ann, scopes=[Scope.INVITATIONS_READ])
        for path in ("resend", "revoke"):
            assert reader("post", f"/{stored.pk}/{path}").status_code == 403


class TestAccept:
    def accept(self, client, token, **headers):
        return client.post(
            f"{URL}/accept", {"token": token}, content_type="application/json", headers=headers
        )

    def test_takes_a_session_without_any_tenant(self, client, acme, ann):
        client.force_login(make_user(BOB))
        _, token = invite_and_read(acme, ann, role=Role.ADMIN)
        for _ in range(2):
            answer = self.accept(client, token)
            assert answer.status_code == 200
            assert answer.json() == {"success": True, "tenant_id": str(acme.pk), "role": "admin"}
        assert client.get("/").wsgi_request.actor.tenant == acme

    def test_takes_a_program_without_any_scope(self, acme, ann):
        globex = make_tenant("globex")
        bob = make_member(globex, BOB)
        _, token = invite_and_read(acme, ann)
        answer = program(globex, bob, scopes=[])("post", "/accept", {"token": token})
        assert answer.json()["tenant_id"] == str(acme.pk)

    def test_takes_nobody(self, client, acme, ann):
        _, token = invite_and_read(acme, ann)
        assert self.accept(client, token).status_code == 401
        gone = make_token(acme, ann, expires_at=timezone.now() - timedelta(seconds=1))[1]
        assert self.accept(client, token, **bearer(gone)).status_code == 401

    def test_needs_a_csrf_token_in_a_session(self, acme, ann):
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(make_user(BOB))
        _, token = invite_and_read(acme, ann)
        assert self.accept(browser, token).status_code == 403
        assert not Membership.objects.filter(user__email=BOB).exists()

    def test_gives_one_answer_to_all_that_can_not_be(self, client, acme, ann):
        client.force_login(make_user(BOB))
        _, foreign = invite_and_read(acme, ann, "cid@acme.example")
        revoked, dead = invite_and_read(acme, ann)
        Invitation.objects.filter(pk=revoked.pk).update(revoked_at=timezone.now())
        tokens = (foreign, dead, "inv_" + "A" * 43, "", "x" * 200)
        answers = [self.accept(client, token) for token in tokens]
        assert len({each.content for each in answers}) == 1
        assert problem(answers[0]) == (404, "Invitation refused", ["token"])

    def test_does_not_exist_for_get(self, api):
        assert api("get", "/accept").status_code == 405
