"""Who may do what to workflows: each action by each kind of person, by GET and by POST."""

from typing import Any

import pytest
from django.test import Client

from jobs.models import Workflow, WorkflowTimer
from tests import workflow_pages as pages
from tests.people import OPERATOR, WHO, browser_of, make_user
from tests.workflow_pages import LIST, page_of

pytestmark = pytest.mark.django_db

#: Action: the permission it needs beside view, and what its page posts.
ACTIONS = {
    "cancel": ("cancel_workflow", {}),
    "restart": ("restart_workflow", {"from_step": "2"}),
    "move_deadline": ("move_workflow", {"minutes": "90"}),
    "cancel_selected": ("cancel_workflow", {}),
}
OTHERS = {permission for permission, _ in ACTIONS.values()}


@pytest.fixture
def workflow(request, acme):
    """One to which the test's action can be done."""
    workflow = pages.wait_for_decision(acme)
    ended = request.getfixturevalue("action") == "restart"
    return pages.cancelled(workflow) if ended else workflow


def person(who: str, action: str) -> Client:
    permission, _ = ACTIONS[action]
    return browser_of(who, permission, others=OTHERS, seen=("view_workflow",))


def request_of(client: Client, action: str, method: str, workflow: Workflow):
    given: dict[str, Any] = {**ACTIONS[action][1]}
    if action != "cancel_selected":
        return getattr(client, method)(page_of(workflow, action), given)
    given |= {"action": action, "_selected_action": [str(workflow.pk)]}
    return getattr(client, method)(LIST, given)


def world() -> tuple[Any, ...]:
    """Return all that an action may change."""
    return (
        sorted(Workflow.objects.values_list("pk", "status")),
        list(WorkflowTimer.objects.values_list("workflow", "setting")),
    )


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("who", WHO)
class TestAnAction:
    def test_is_done_for_those_who_may(self, action, who, workflow):
        client, before = person(who, action), world()

        answer = request_of(client, action, "post", workflow)

        may = who in ("staff with", "superuser")
        assert (world() != before) == may
        if not may and not action.endswith("_selected"):
            assert answer.status_code in (302, 403)
            assert answer.status_code == 403 or "/login/" in answer.url

    def test_is_never_done_by_get(self, action, who, workflow):
        client, before = person(who, action), world()

        answer = request_of(client, action, "get", workflow)

        assert world() == before
        if who in ("anonymous", "user"):
            assert answer.status_code == 302
        if who == "staff without" and not action.endswith("_selected"):
            assert answer.status_code == 403


class TestAnActor:
    def test_needs_to_see_workflows_to_act_on_one(self, acme):
        workflow = pages.wait_for_decision(acme)
        client = browser_of("staff with", "cancel_workflow", others=(), seen=("view_job",))
        assert client.post(page_of(workflow, "cancel")).status_code in (403, 404)
        assert Workflow.objects.get().is_live


class TestForgery:
    def test_is_refused(self, acme):
        workflow = pages.wait_for_decision(acme)
        client = Client(enforce_csrf_checks=True)
        client.force_login(make_user(OPERATOR, is_staff=True, is_superuser=True))
        assert client.post(page_of(workflow, "cancel")).status_code == 403
        assert Workflow.objects.get().is_live
