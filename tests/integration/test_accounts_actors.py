"""Who a request comes from: by session, by token, or nobody."""

from datetime import timedelta

import pytest
from django.utils import timezone

from project.accounts import operations
from project.accounts.actors import Actor
from project.accounts.authentication import actor_of_token
from project.accounts.errors import NotAMember, UnknownScope
from project.accounts.models import ApiToken
from project.accounts.scopes import Role, Scope
from tests.people import bearer, make_member, make_tenant, make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(acme):
    return make_member(acme, "ann@acme.example", Role.OWNER)


def actor_of(client, **headers) -> Actor:
    actor: Actor = client.get("/", headers=headers).wsgi_request.actor
    return actor


class TestActorOfSession:
    def test_is_the_signed_in_person_in_their_tenant(self, client, acme, ann):
        client.force_login(ann)
        actor = actor_of(client)
        assert actor.is_authenticated
        assert (actor.user_id, actor.tenant_id, actor.role) == (ann.pk, acme.pk, Role.OWNER)
        assert actor.scopes == frozenset(Scope.values)

    def test_is_nobody_without_a_session(self, client):
        actor = actor_of(client)
        assert not actor.is_authenticated
        assert (actor.user_id, actor.tenant_id, actor.scopes) == (None, None, frozenset())
        assert actor.refused == "You are not signed in."

    def test_gives_a_member_fewer_scopes_than_an_owner(self, client, acme):
        client.force_login(make_member(acme, "bob@acme.example"))
        scopes = actor_of(client).scopes
        assert {Scope.EXPORTS_READ, Scope.EXPORTS_WRITE} <= scopes < frozenset(Scope.values)

    def test_has_no_tenant_and_no_scope_without_a_membership(self, client):
        client.force_login(make_user())
        actor = actor_of(client)
        assert actor.is_authenticated
        assert (actor.tenant, actor.role, actor.scopes) == (None, "", frozenset())

    def test_loses_the_tenant_with_the_membership_at_once(self, client, acme, ann):
        client.force_login(ann)
        assert actor_of(client).tenant_id == acme.pk

        operations.remove_member(tenant=acme, user=ann)

        assert actor_of(client).tenant_id is None

    def test_falls_back_to_another_tenant_when_the_active_one_is_lost(self, client, acme, ann):
        # Given a person who works for the second of two tenants
        other = make_tenant("other")
        operations.add_member(tenant=other, user=ann)
        client.force_login(ann)
        client.post("/switch-tenant", {"tenant_id": other.pk})
        assert actor_of(client).tenant_id == other.pk

        # When that tenant is deleted, then the session lives on with the first
        other.delete()
        assert actor_of(client).tenant_id == acme.pk

    def test_is_nobody_once_the_account_is_switched_off(self, client, ann):
        client.force_login(ann)
        ann.is_active = False
        ann.save(update_fields=["is_active"])
        assert not actor_of(client).is_authenticated

    def test_costs_no_query_where_nobody_asks(self, client, ann, django_assert_num_queries):
        client.force_login(ann)
        with django_assert_num_queries(0):
            client.get("/static/none", headers=bearer("off_0123456789ab_" + "a" * 43))


class TestActorOfToken:
    def test_is_the_owner_in_the_tenant_of_the_token(self, client, acme, ann):
        _, text = make_token(acme, ann)
        actor = actor_of(client, **bearer(text))
        assert (actor.user, actor.tenant, actor.role) == (ann, acme, Role.OWNER)

    def test_has_only_the_scopes_of_the_token(self, client, acme, ann):
        _, text = make_token(acme, ann, scopes=[Scope.JOBS_READ])
        assert actor_of(client, **bearer(text)).scopes == {"jobs:read"}

    def test_never_has_more_than_its_owner_has_today(self, client, acme, ann):
        _, text = make_token(acme, ann)
        operations.add_member(tenant=acme, user=ann, role=Role.MEMBER)
        assert Scope.JOBS_WRITE not in actor_of(client, **bearer(text)).scopes

    def test_takes_the_scheme_in_any_case(self, client, acme, ann):
        _, text = make_token(acme, ann)
        assert actor_of(client, Authorization=f"bearer  {text}").is_authenticated

    def test_outranks_the_session(self, client, acme, ann):
        # Given somebody who is signed in, and a token of somebody else
        client.force_login(ann)
        bob = make_member(acme, "bob@acme.example")
        _, text = make_token(acme, bob)
        assert actor_of(client, **bearer(text)).user == bob

    @pytest.mark.parametrize("text", ["", "nonsense", "off_0123456789ab_" + "a" * 43])
    def test_is_nobody_for_a_wrong_token_even_in_a_session(self, client, ann, text):
        client.force_login(ann)
        actor = actor_of(client, **bearer(text))
        assert not actor.is_authenticated
        assert actor.refused

    def test_is_nobody_for_the_right_prefix_with_another_secret(self, client, acme, ann):
        token, _ = make_token(acme, ann)
        _, other = make_token(acme, ann)
        stolen = f"off_{token.prefix}_{other.split('_', 2)[2]}"
        assert actor_of(client, **bearer(stolen)).refused == "The token is not known."

    def test_is_nobody_from_the_moment_it_expires(self, acme, ann):
        expires_at = timezone.now() + timedelta(hours=1)
        _, text = make_token(acme, ann, expires_at=expires_at)
        just_before = actor_of_token(text, now=expires_at - timedelta(microseconds=1))
        assert just_before.is_authenticated
        assert actor_of_token(text, now=expires_at).refused == "The token has expired."

    def test_is_nobody_once_revoked(self, client, acme, ann):
        token, text = make_token(acme, ann)
        operations.revoke_token(token=token, now=timezone.now())
        assert actor_of(client, **bearer(text)).refused == "The token was revoked."

    def test_is_nobody_once_the_owner_is_switched_off(self, client, acme, ann):
        _, text = make_token(acme, ann)
        ann.is_active = False
        ann.save(update_fields=["is_active"])
        assert actor_of(client, **bearer(text)).refused == "The token's owner is not active."

    def test_is_nobody_once_the_owner_left_the_tenant(self, client, acme, ann):
        # Given a token of somebody who is a member elsewhere too
        operations.add_member(tenant=make_tenant("other"), user=ann)
        _, text = make_token(acme, ann)
        operations.remove_member(tenant=acme, user=ann)
        actor = actor_of(client, **bearer(text))
        assert not actor.is_authenticated
        assert "no longer a member" in actor.refused


class TestCreateToken:
    def test_stores_no_trace_of_the_secret(self, acme, ann):
        token, text = make_token(acme, ann)
        secret = text.split("_", 2)[2]
        stored = ApiToken.objects.values().get(pk=token.pk)
        assert secret not in str(stored)
        assert secret not in f"{token} {token!r}"

    def test_refuses_a_scope_that_does_not_exist(self, acme, ann):
        with pytest.raises(UnknownScope, match="root:all"):
            make_token(acme, ann, scopes=["exports:read", "root:all"])

    def test_refuses_somebody_from_outside_the_tenant(self, ann):
        with pytest.raises(NotAMember):
            make_token(make_tenant("other"), ann)


class TestRevokeToken:
    def test_keeps_the_first_moment(self, acme, ann):
        token, _ = make_token(acme, ann)
        first = timezone.now()
        assert operations.revoke_token(token=token, now=first)
        assert not operations.revoke_token(token=token, now=first + timedelta(days=1))
        token.refresh_from_db()
        assert token.revoked_at == first


class TestNoteUse:
    def test_writes_at_most_once_a_minute(self, acme, ann):
        token, text = make_token(acme, ann)
        first = timezone.now()

        for seconds, noted in [(0, 0), (59, 0), (60, 60), (119, 60), (200, 200)]:
            actor_of_token(text, now=first + timedelta(seconds=seconds))
            token.refresh_from_db()
            assert token.last_used_at == first + timedelta(seconds=noted)

    def test_is_not_noted_for_a_refused_token(self, acme, ann):
        token, text = make_token(acme, ann)
        operations.revoke_token(token=token, now=timezone.now())
        actor_of_token(text, now=timezone.now())
        token.refresh_from_db()
        assert token.last_used_at is None
