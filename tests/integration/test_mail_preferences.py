"""The home page's boxes: which events a person is mailed about."""

import re

import pytest
from django.test import Client

from notifications.events import MAIL_TYPES
from notifications.models import MailPreference
from notifications.operations.preferences import get_preferences, set_preferences
from tests.people import make_user

pytestmark = pytest.mark.django_db

URL = "/mail-preferences"
BOX = re.compile(r'<input type="checkbox" name="wanted" value="([\w.]+)"( checked)?>')


@pytest.fixture
def ann(client):
    ann = make_user()
    client.force_login(ann)
    return ann


def boxes(page):
    """Return which boxes a page has, and which of them are ticked."""
    return {name: bool(ticked) for name, ticked in BOX.findall(page.text)}


class TestHome:
    def test_has_a_box_for_each_event_ticked_unless_one_said_no(self, client, ann):
        page = client.get("/")
        assert boxes(page) == dict.fromkeys(MAIL_TYPES, True)
        assert all(text in page.text for text in MAIL_TYPES.values())

        set_preferences(ann.pk, {"export.failed": False})

        assert boxes(client.get("/")) == {
            **dict.fromkeys(MAIL_TYPES, True),
            "export.failed": False,
        }


class TestSave:
    def test_takes_each_box_as_the_answer_for_its_event(self, client, ann):
        page = client.post(URL, {"wanted": ["export.failed", "job.dead_lettered"]}, follow=True)
        wanted = {name: name in ("export.failed", "job.dead_lettered") for name in MAIL_TYPES}
        assert "Saved which mails you get." in page.text
        assert boxes(page) == get_preferences(ann.pk) == wanted

    def test_takes_no_box_at_all_for_no_mail_at_all(self, client, ann):
        client.post(URL)
        assert get_preferences(ann.pk) == dict.fromkeys(MAIL_TYPES, False)
        client.post(URL, {"wanted": list(MAIL_TYPES)})
        assert get_preferences(ann.pk) == dict.fromkeys(MAIL_TYPES, True)

    def test_leaves_everybody_else_alone(self, client, ann):
        bob = make_user("bob@acme.example")
        client.post(URL)
        assert get_preferences(bob.pk) == dict.fromkeys(MAIL_TYPES, True)

    @pytest.mark.parametrize("name", ["root.all", "", "x\0y", "<script>"])
    def test_stores_nothing_where_a_box_is_unknown(self, client, ann, name):
        answer = client.post(URL, {"wanted": ["export.failed", name]})
        assert answer.status_code == 400
        assert not MailPreference.objects.exists()

    def test_takes_only_posts_of_people_who_are_signed_in(self, client, ann):
        assert client.get(URL).status_code == 405
        assert Client().post(URL)["Location"].startswith("/sign-in")

    def test_refuses_a_form_from_another_site(self, ann):
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(ann)
        assert browser.post(URL).status_code == 403
        assert not MailPreference.objects.exists()
