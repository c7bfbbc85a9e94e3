"""The clean-up of sessions and invitations: what has expired goes, what is in use stays."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from jobs.upkeep import batches
from project.accounts.models import Invitation, Session
from project.accounts.retention import delete_expired_invitations, delete_expired_sessions
from project.accounts.sessions import SessionStore
from project.accounts.tasks import delete_expired_invitations as invitations_part
from project.accounts.tasks import delete_expired_sessions as sessions_part
from tests.cleaning import meanwhile, run_part
from tests.deliveries import at_once
from tests.people import make_tenant

NOW = timezone.now()
INSTANT = timedelta(microseconds=1)


def sign_in(**data):
    """Return a session as a browser has it."""
    store = SessionStore()
    store.update(data)
    store.create()
    return store


def expire(store, at=NOW - INSTANT):
    Session.objects.filter(pk=store.session_key).update(expire_date=at)


def sessions():
    return set(Session.objects.values_list("pk", flat=True))


@pytest.mark.django_db(transaction=True)
class TestDeleteExpiredSessions:
    def test_deletes_to_the_instant(self):
        [gone, live] = [sign_in(), sign_in()]
        expire(gone, at=NOW - INSTANT)
        expire(live, at=NOW)

        run_part(sessions_part, at=NOW)

        assert sessions() == {live.session_key}

    def test_leaves_those_who_are_signed_in(self):
        live = sign_in(seen="today")

        assert delete_expired_sessions(now=timezone.now()) == 0
        assert SessionStore(live.session_key)["seen"] == "today"

    def test_leaves_a_session_that_a_request_extends_meanwhile(self):
        extended, gone = sign_in(), sign_in()
        expire(extended), expire(gone)

        with meanwhile(extended.save):  # Of a request that began before it expired.
            assert delete_expired_sessions(now=NOW) == 1
        assert delete_expired_sessions(now=NOW) == 0
        assert sessions() == {extended.session_key}

    def test_is_safe_when_run_twice_at_once(self, monkeypatch):
        monkeypatch.setattr(batches, "BATCH_ROWS", 2)
        live = sign_in()
        for _ in range(30):
            expire(sign_in())

        delete = partial(delete_expired_sessions, now=NOW)

        assert sum(at_once(delete, delete)) == 30
        assert sessions() == {live.session_key}

    def test_measures_by_the_time_of_its_slot(self):
        store = sign_in()
        expire(store, at=NOW + timedelta(days=3))

        run_part(sessions_part, at=NOW + timedelta(days=2))
        assert sessions() == {store.session_key}
        run_part(sessions_part, at=NOW + timedelta(days=4))
        assert sessions() == set()


@pytest.mark.django_db
class TestDeleteExpiredInvitations:
    @pytest.fixture(autouse=True)
    def keep(self, settings):
        settings.ACCOUNTS_INVITATIONS_KEEP_DAYS = 5

    @pytest.fixture
    def invite(self):
        tenant = make_tenant()

        def invite(name, *, expires_at, **columns):
            email = f"{name}@acme.example"
            columns |= {"tenant": tenant, "email": email, "token_sha256": name}
            return Invitation.objects.create(expires_at=expires_at, **columns)

        return invite

    def test_deletes_those_that_nobody_accepted_in_time(self, invite):
        boundary = NOW - timedelta(days=5)
        invite("gone", expires_at=boundary - INSTANT)
        invite("kept", expires_at=boundary)
        invite("open", expires_at=NOW + timedelta(days=7))
        invite("accepted", expires_at=boundary - INSTANT, accepted_at=NOW - timedelta(days=9))

        run_part(invitations_part, at=NOW)

        left = set(Invitation.objects.values_list("token_sha256", flat=True))
        assert left == {"kept", "open", "accepted"}
        assert delete_expired_invitations(now=NOW) == 0

    def test_deletes_them_at_once_where_none_are_kept(self, invite, settings):
        settings.ACCOUNTS_INVITATIONS_KEEP_DAYS = 0
        invite("gone", expires_at=NOW - INSTANT)
        invite("open", expires_at=NOW)

        assert delete_expired_invitations(now=NOW) == 1
        assert Invitation.objects.get().token_sha256 == "open"
