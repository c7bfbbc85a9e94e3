"""`/api/v1/notification-preferences`: which events a person is mailed about."""

import pytest

from notifications.events import MAIL_TYPES
from notifications.models import MailPreference
from notifications.operations import preferences
from project.accounts.scopes import Scope
from tests.api import faulty_fields, program
from tests.deliveries import at_once
from tests.people import PASSWORD, make_member, make_user

URL = "/api/v1/notification-preferences"
ALL = dict.fromkeys(MAIL_TYPES, True)


@pytest.fixture
def ann(acme):
    return make_member(acme)


@pytest.fixture
def api(client, acme, ann):
    """A program with Ann's token."""
    return program(client, URL, acme, ann, scopes=[Scope.JOBS_READ])


@pytest.mark.django_db
class TestPreferences:
    def test_are_all_on_at_first(self, api):
        answer = api("get")
        assert (answer.status_code, answer.json()) == (200, ALL)

    def test_change_where_they_are_named(self, api):
        answer = api("put", body={"export.completed": False})
        assert (answer.status_code, answer.json()) == (200, ALL | {"export.completed": False})
        answer = api("put", body={"export.failed": False, "export.completed": True})
        assert answer.json() == api("get").json() == ALL | {"export.failed": False}

    def test_stay_as_they_are_when_nothing_is_named(self, api):
        assert api("put", body={}).json() == ALL
        assert not MailPreference.objects.exists()

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"export.lost": True}, "export.lost"),
            ({"*": False, "export.failed": False}, "*"),
            ({"export.failed": "perhaps"}, "export.failed"),
            ({"export.failed": None}, "export.failed"),
            ([], "body"),
        ],
    )
    def test_that_are_wrong_name_the_field_and_change_nothing(self, api, body, field):
        answer = api("put", body=body)
        assert (answer.status_code, faulty_fields(answer)) == (422, [field])
        assert not MailPreference.objects.exists()

    def test_belong_to_the_person_alone(self, client, acme, api):
        bob = make_member(acme, "bob@acme.example")
        program(client, URL, acme, bob)("put", body={"export.failed": False})
        assert api("get").json() == ALL

    def test_are_for_a_person_without_a_tenant_too(self, client):
        user = make_user("solo@offload.example")
        assert client.login(username=user.email, password=PASSWORD)
        assert client.get(URL).json() == ALL

    @pytest.mark.parametrize(("method", "body"), [("get", None), ("put", {})])
    def test_need_valid_credentials(self, client, method, body):
        assert (
            getattr(client, method)(URL, body, content_type="application/json").status_code == 401
        )

    def test_go_with_their_person(self, api, ann):
        api("put", body={"export.failed": False})
        ann.delete()
        assert not MailPreference.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestManyAtOnce:
    def test_leave_one_answer_for_each_event(self, ann):
        def choose(wanted):
            return preferences.set_preferences(ann.pk, dict.fromkeys(MAIL_TYPES, wanted))

        results = at_once(*[lambda wanted=wanted: choose(wanted) for wanted in (True, False) * 3])

        assert not [each for each in results if isinstance(each, Exception)]
        assert MailPreference.objects.count() == len(MAIL_TYPES)
        assert len(set(preferences.get_preferences(ann.pk).values())) == 1
