"""People go on while the clean-up holds its locks: nobody waits for it."""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.db.utils import OperationalError
from django.test import Client
from django.utils import timezone

from jobs.upkeep.batches import act_in_batches
from project.accounts.models import Session
from project.accounts.retention import delete_expired_sessions
from project.accounts.sessions import SessionStore
from tests.cleaning import meanwhile
from tests.people import PASSWORD, make_member, make_tenant

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now()


def delete_by_key():
    """Delete the same, as it is done with rows that others point to."""
    expired = Session.objects.filter(expire_date__lt=NOW)
    return act_in_batches(expired, lambda rows: rows.delete(), by="expire_date", size=5)


def delete_by_place():
    return delete_expired_sessions(now=NOW)


@pytest.fixture
def expired():
    """Sessions on the same pages and in the same indexes as those in use."""
    return Session.objects.bulk_create(
        Session(session_key=f"expired-{number}", expire_date=NOW - timedelta(days=number))
        for number in range(1, 21)
    )


@contextmanager
def nothing_may_wait():
    """Fail a statement that waits for a lock: those of a clean-up are held until the block ends."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '1s'")
        try:
            yield
        finally:
            cursor.execute("RESET lock_timeout")


def sign_in(client):
    return client.post("/sign-in", {"username": "ann@acme.example", "password": PASSWORD})


@pytest.mark.parametrize("delete", [delete_by_place, delete_by_key])
class TestPeople:
    def test_wait_for_no_batch_whose_transaction_is_open(self, expired, delete):
        # Given a person who is signed in, and one who is about to be
        make_member(make_tenant("acme"))
        here, there = Client(), Client()
        sign_in(here)
        store = SessionStore(here.session.session_key)

        # When the clean-up has deleted, and not committed
        with meanwhile(delete), nothing_may_wait():
            # Then somebody can sign in, go on, save his session, and sign out
            assert sign_in(there).status_code == 302
            assert here.get("/").status_code == there.get("/").status_code == 200
            store["seen"] = "today"
            store.save()
            assert there.post("/sign-out").status_code == 302

        assert SessionStore(store.session_key)["seen"] == "today"
        assert [each.pk for each in Session.objects.all()] == [store.session_key]

    def test_would_have_waited_for_a_row_of_the_batch(self, expired, delete):
        # Given what proves that the locks were held in the test above
        row = Session.objects.filter(pk=expired[0].pk)

        refused = pytest.raises(OperationalError, match="lock timeout")
        with meanwhile(delete), nothing_may_wait(), refused:
            row.update(expire_date=NOW)
        assert not Session.objects.exists()
