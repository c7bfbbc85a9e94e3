"""What an operator may do to workflows in the admin, and what a second click is told."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.admin.countdown import in_utc
from jobs.models import Workflow
from jobs.states import WorkflowStatus
from jobs.testing import run_enqueued_jobs
from jobs.workflows import registry
from jobs.workflows.timers import deadline_of
from tests import workflow_drills as drills
from tests import workflow_pages as pages
from tests.people import OPERATOR
from tests.workflow_pages import LIST, page_of, said, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(acme):
    return pages.wait_for_decision(acme)


@pytest.fixture
def cancelled(waiting):
    return pages.cancelled(waiting)


def offered(client, workflow) -> set[str]:
    page = text_of(client.get(page_of(workflow)))
    actions = ("cancel", "restart", "move_deadline")
    return {action for action in actions if f'href="{page_of(workflow, action)}"' in page}


class TestButtons:
    def test_are_those_that_would_do_something(self, admin, waiting):
        assert offered(admin, waiting) == {"cancel", "move_deadline"}
        pages.cancelled(waiting)
        assert offered(admin, waiting) == {"restart"}
        admin.post(page_of(waiting, "restart"), {"from_step": "1"})
        assert offered(admin, waiting) == set()

    def test_are_none_once_it_is_completed(self, admin, waiting):
        pages.decide(waiting)
        run_enqueued_jobs()
        assert offered(admin, waiting) == set()


class TestCancel:
    def test_asks_before_it_acts(self, admin, waiting):
        assert "Cancel this workflow" in text_of(admin.get(page_of(waiting, "cancel")))
        assert Workflow.objects.get().is_live

    def test_ends_the_workflow_and_says_so(self, admin, waiting):
        answer = admin.post(page_of(waiting, "cancel"), follow=True)
        workflow = Workflow.objects.get()
        assert said(answer) == [f"Cancelled {waiting}."]
        assert workflow.status == WorkflowStatus.CANCELLED
        assert OPERATOR in workflow.error

    def test_tells_a_second_click_that_it_is_done(self, admin, cancelled):
        [told] = said(admin.post(page_of(cancelled, "cancel"), follow=True))
        assert "is cancelled; nothing more can be done to it" in told

    def test_is_told_who_was_faster(self, admin, waiting):
        pages.decide(waiting)
        run_enqueued_jobs()
        [told] = said(admin.post(page_of(waiting, "cancel"), follow=True))
        assert "is completed; nothing more can be done to it" in told

    def test_is_recorded_in_the_history(self, admin, waiting):
        admin.post(page_of(waiting, "cancel"))
        assert "Cancelled" in text_of(admin.get(page_of(waiting, "history")))

    def test_does_the_rest_of_a_selection_where_one_is_refused(self, admin, cancelled, acme):
        live = [pages.start_archiving(acme) for _ in range(2)]
        ids = [str(each.pk) for each in (cancelled, *live)]
        answer = admin.post(
            LIST, {"action": "cancel_selected", "_selected_action": ids}, follow=True
        )
        assert len(said(answer)) == 3
        assert not Workflow.objects.filter(status=WorkflowStatus.PROCESSING).exists()


class TestRestart:
    def test_offers_the_steps_up_to_the_one_at_which_it_ended(self, admin, cancelled):
        page = text_of(admin.get(page_of(cancelled, "restart")))
        assert "Step 1: workspace.count_project_items" in page
        assert '<option value="2" selected>Step 2: workspace.confirm_archiving' in page
        assert "Step 3" not in page

    @pytest.mark.parametrize("step", [1, 2])
    def test_goes_on_from_the_step_that_is_chosen(self, admin, cancelled, step):
        answer = admin.post(page_of(cancelled, "restart"), {"from_step": str(step)}, follow=True)

        new = Workflow.objects.get(restart_of=cancelled)
        assert said(answer) == [f"{cancelled} goes on from step {step} as {new.pk}."]
        assert new.step_number == step
        assert page_of(new) in text_of(answer)

    def test_offers_no_later_step_than_the_definition_lets_it_begin_with(
        self, admin, cancelled, monkeypatch
    ):
        monkeypatch.setattr(registry.get_definition(cancelled.name), "last_restart", 1)
        page = text_of(admin.get(page_of(cancelled, "restart")))
        assert '<option value="1" selected>Step 1: workspace.count_project_items' in page
        assert "Step 2" not in page
        answer = admin.post(page_of(cancelled, "restart"), {"from_step": "2"})
        assert "errornote" in text_of(answer)
        assert Workflow.objects.count() == 1

    def test_offers_the_step_at_which_it_ended_where_that_is_the_earlier_one(
        self, admin, cancelled, monkeypatch
    ):
        monkeypatch.setattr(registry.get_definition(cancelled.name), "last_restart", 3)
        page = text_of(admin.get(page_of(cancelled, "restart")))
        assert '<option value="2" selected>' in page
        assert "Step 3" not in page

    def test_says_with_which_step_the_new_one_really_begins(self, admin):
        # Given one whose third step had no branches, so that it was stopped at the fourth
        with drills.known():
            old = pages.cancelled(drills.reach(4, parts=0))

            answer = admin.post(page_of(old, "restart"), {"from_step": "3"}, follow=True)

        new = Workflow.objects.get(restart_of=old)
        assert said(answer) == [f"{old} goes on from step 4 as {new.pk}."]
        assert new.step_number == 4

    def test_tells_a_second_click_that_it_is_done(self, admin, cancelled):
        for _ in range(2):
            answer = admin.post(page_of(cancelled, "restart"), {"from_step": "2"}, follow=True)
        [told] = said(answer)
        assert "was restarted already" in told
        assert Workflow.objects.filter(restart_of=cancelled).count() == 1

    @pytest.mark.parametrize("step", ["", "0", "3", "-1", "x", "1.5"])
    def test_refuses_a_step_that_it_does_not_offer(self, admin, cancelled, step):
        answer = admin.post(page_of(cancelled, "restart"), {"from_step": step})
        assert "errornote" in text_of(answer)
        assert Workflow.objects.count() == 1

    def test_is_refused_while_it_is_live(self, admin, waiting):
        [told] = said(admin.post(page_of(waiting, "restart"), {"from_step": "2"}, follow=True))
        assert "is processing; it can't be restarted" in told

    def test_is_refused_by_a_release_that_does_not_know_it(self, admin, cancelled):
        definition = registry.get_definition(cancelled.name)
        registry.forget(cancelled.name)
        try:
            answer = admin.post(page_of(cancelled, "restart"), {"from_step": "2"}, follow=True)
        finally:
            registry.register(definition)
        [told] = said(answer)
        assert "There is no workflow named" in told


class TestMoveDeadline:
    def test_sets_it_in_so_many_minutes(self, admin, waiting):
        answer = admin.post(page_of(waiting, "move_deadline"), {"minutes": "90"}, follow=True)

        due_at = deadline_of(waiting)
        assert due_at
        assert abs(due_at - timezone.now() - timedelta(minutes=90)) < timedelta(minutes=5)
        assert said(answer) == [f"{waiting} times out at {due_at:%Y-%m-%d %H:%M:%S} UTC."]

    def test_is_told_in_the_workflows_history(self, admin, waiting):
        before = deadline_of(waiting)

        admin.post(page_of(waiting, "move_deadline"), {"minutes": "90"})

        after = deadline_of(waiting)
        told = f"deadline moved from {in_utc(before)} to {in_utc(after)} by {OPERATOR}"
        assert told in text_of(admin.get(page_of(waiting)))
        change = waiting.changes.get(what=told)
        assert (change.status, change.step_number) == ("processing", pages.DECISION)

    @pytest.mark.parametrize("minutes", ["", "0", "-3", "x", "525601", "1e9"])
    def test_refuses_what_is_no_time_to_come(self, admin, waiting, minutes):
        before = deadline_of(waiting)
        answer = admin.post(page_of(waiting, "move_deadline"), {"minutes": minutes})
        assert "errornote" in text_of(answer)
        assert deadline_of(waiting) == before
        assert not waiting.changes.filter(what__contains="moved").exists()

    def test_is_refused_once_it_has_ended(self, admin, cancelled):
        answer = admin.post(page_of(cancelled, "move_deadline"), {"minutes": "9"}, follow=True)
        [told] = said(answer)
        assert "is cancelled; nothing more can be done to it" in told


class TestWhatIsGone:
    @pytest.mark.parametrize("action", ["cancel", "restart", "move_deadline"])
    def test_can_not_be_acted_on(self, admin, waiting, action):
        page = page_of(waiting, action)
        waiting.delete()
        for answer in (admin.get(page), admin.post(page, {"from_step": "1", "minutes": "1"})):
            assert answer.status_code == 404
