"""Who may do what to dead letters: each action by each kind of person, by GET and by POST."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from jobs.dead_letters import bulk
from jobs.dead_letters.matching import Matching
from jobs.models import BulkReplay, DeadLetter, Job
from tests.letters import make_letter
from tests.people import OPERATOR, WHO, browser_of, make_user

pytestmark = pytest.mark.django_db(transaction=True)

PAYLOAD = {"job_type": "drills.run_atomic", "payload": "{}"}
BULK = {"rate_per_second": "5", "stop_share": "0.5"}

#: Action: the permission it needs beside view, and what its page posts.
ACTIONS = {
    "replay": ("replay_deadletter", {}),
    "replay_edited": ("edit_deadletter", PAYLOAD),
    "discard": ("discard_deadletter", {"reason": "a test"}),
    "replay_selected": ("replay_deadletter", {"asked": "1"}),
    "discard_selected": ("discard_deadletter", {"asked": "1", "reason": "a test"}),
    "replay_matching": ("replay_matching_deadletter", BULK),
    "stop": ("replay_matching_deadletter", {}),
}
OTHERS = {permission for permission, _ in ACTIONS.values()}


@pytest.fixture
def letter():
    return make_letter()


@pytest.fixture
def running(letter):
    return bulk.start_bulk_replay(matching=Matching(), by="ann")


def person(who: str, permission: str) -> Client:
    return browser_of(who, permission, others=OTHERS, seen=("view_deadletter", "view_bulkreplay"))


def request(client: Client, action: str, method: str, letter, running):
    given: dict[str, Any] = {**ACTIONS[action][1]}
    address = reverse("admin:jobs_deadletter_changelist")
    if action.endswith("_selected"):
        given = {**given, "action": action, "_selected_action": [str(letter.pk)]}
    elif action == "replay_matching":
        address = reverse("admin:jobs_deadletter_replay_matching")
    elif action == "stop":
        address = reverse("admin:jobs_bulkreplay_stop", args=[running.pk])
    else:
        address = reverse(f"admin:jobs_deadletter_{action}", args=[letter.pk])
    return getattr(client, method)(address, given)


def world() -> tuple[Any, ...]:
    """Return all that an action may change."""
    return (
        list(DeadLetter.objects.values_list("state", flat=True)),
        list(BulkReplay.objects.values_list("state", flat=True)),
        Job.objects.filter(replay_of__isnull=False).count(),
        BulkReplay.objects.count(),
    )


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("who", WHO)
class TestAnAction:
    def test_is_done_for_those_who_may(self, action, who, letter, running):
        permission, _ = ACTIONS[action]
        client, before = person(who, permission), world()

        answer = request(client, action, "post", letter, running)

        may = who in ("staff with", "superuser")
        assert (world() != before) == may
        if not may and not action.endswith("_selected"):
            assert answer.status_code in (302, 403)
            assert answer.status_code == 403 or "/login/" in answer.url

    def test_is_never_done_by_get(self, action, who, letter, running):
        permission, _ = ACTIONS[action]
        client, before = person(who, permission), world()

        answer = request(client, action, "get", letter, running)

        assert world() == before
        if who in ("anonymous", "user"):
            assert answer.status_code == 302
        if who == "staff without" and not action.endswith("_selected"):
            assert answer.status_code == 403


class TestForgery:
    def test_is_refused(self, letter):
        client = Client(enforce_csrf_checks=True)
        user = make_user(OPERATOR, is_staff=True, is_superuser=True)
        client.force_login(user)
        address = reverse("admin:jobs_deadletter_replay", args=[letter.pk])
        assert client.post(address).status_code == 403
        assert Job.objects.filter(replay_of__isnull=False).count() == 0
