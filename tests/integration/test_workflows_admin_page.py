"""The admin's page of one workflow: its steps as a timeline, its history, its timers, its line."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from jobs.admin.countdown import clock
from jobs.admin.workflow_bars import Bar, Times, Whole, whole_of
from jobs.admin.workflow_lines import BRANCHES_SHOWN_MAX, JSON_SHOWN_CHARACTERS, line_of_step
from jobs.engine import lifecycle
from jobs.models import DeadLetter, Job, Workflow, WorkflowStep, WorkflowTimer
from jobs.states import StepStatus, WorkflowStatus
from jobs.testing import run_enqueued_jobs
from jobs.workflows import operations
from tests import workflow_pages as pages
from tests.workflow_pages import HOSTILE, page_of, text_of

pytestmark = pytest.mark.django_db

START = timezone.now().replace(microsecond=0)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def waiting(acme):
    return pages.wait_for_decision(acme)


def add_branches(workflow: Workflow, count: int, **columns) -> list[WorkflowStep]:
    """Let a workflow be at its third step, in so many branches that have not begun."""
    Workflow.objects.filter(pk=workflow.pk).update(step_number=3)
    values = {"name": "x.convert_part", **columns}
    rows = [
        WorkflowStep(workflow=workflow, number=3, branch=branch, **values)
        for branch in range(count)
    ]
    return WorkflowStep.objects.bulk_create(rows)


def leave_branches(workflow: Workflow, *, kept: int, done: int = 0, waiting: int = 0) -> None:
    """Let it be at its third step, in branches that it kept of a run that was two days before."""
    rows = add_branches(workflow, kept + done + waiting)
    begun = workflow.created_at - timedelta(days=2)
    keep, do = ([row.pk for row in each] for each in (rows[:kept], rows[kept : kept + done]))
    for ids, at in ((keep, begun), (do, workflow.created_at)):
        times = {"created_at": at, "started_at": at, "ended_at": at + MINUTE}
        WorkflowStep.objects.filter(pk__in=ids).update(status="done", **times)


class TestPage:
    def test_shows_what_has_been_done_waits_and_is_to_come(self, admin, waiting):
        page = text_of(admin.get(page_of(waiting)))

        for name in ("count_project_items", "confirm_archiving", "archive_one_project"):
            assert f"workspace.{name}" in page
        assert "waits to be sent" in page
        assert "not begun" in page
        assert 'aria-valuenow="33"' in page
        assert "&quot;items&quot;: 0" in page

    def test_leads_to_the_jobs_of_its_steps_and_their_dead_letters(self, admin, acme):
        workflow = pages.start_archiving(acme)
        job = Job.objects.get()
        letters = [
            DeadLetter.objects.create(death=death, job=job, reason="rejected", body=b"")
            for death in "ab"
        ]

        page = text_of(admin.get(page_of(workflow)))

        assert reverse("admin:jobs_job_change", args=[job.pk]) in page
        assert reverse("admin:jobs_deadletter_change", args=[letters[1].pk]) in page
        assert reverse("admin:jobs_deadletter_change", args=[letters[0].pk]) not in page

    def test_leads_to_no_job_that_was_deleted(self, admin, waiting):
        Job.objects.all().delete()
        assert "/admin/jobs/job/0" not in text_of(admin.get(page_of(waiting)))

    def test_folds_branches_into_one_line(self, admin, waiting):
        rows = add_branches(waiting, 8, attempts=1, started_at=START)
        done = [row.pk for row in rows[:3]]
        WorkflowStep.objects.filter(pk__in=done).update(status="done", ended_at=START)

        page = text_of(admin.get(page_of(waiting)))

        assert "3 of 8 done" in page
        assert page.count("x.convert_part") == 1
        assert all(f"Branch {branch}<" in page for branch in range(8))

    def test_opens_with_more_branches_than_it_shows(self, admin, waiting):
        rows = add_branches(waiting, BRANCHES_SHOWN_MAX + 50, status="done", ended_at=START)
        WorkflowStep.objects.filter(pk=rows[-1].pk).update(status="failed", error="no such part")

        page = text_of(admin.get(page_of(waiting)))

        assert page.count("Branch ") == BRANCHES_SHOWN_MAX
        assert "And 50 more" in page
        assert "no such part" in page

    def test_says_how_far_a_long_step_is(self, admin, waiting):
        add_branches(
            waiting, 1, status="running", started_at=START,
            progress_done=1_200, progress_total=60_000,
        )  # fmt: skip
        assert "1,200 of 60,000" in text_of(admin.get(page_of(waiting)))

    def test_cuts_long_documents(self, admin, waiting):
        add_branches(waiting, 1, output={"text": "x" * JSON_SHOWN_CHARACTERS * 3})
        page = text_of(admin.get(page_of(waiting)))
        assert "characters more" in page
        assert page.count("x" * 100) < JSON_SHOWN_CHARACTERS / 50

    def test_shows_hostile_contents_as_text(self, admin, waiting):
        hostile = {HOSTILE: [HOSTILE]}
        add_branches(
            waiting, 3, name=HOSTILE, error=HOSTILE, input=hostile, output=hostile, status="failed"
        )
        Workflow.objects.filter(pk=waiting.pk).update(
            name=HOSTILE, key=HOSTILE, error=HOSTILE, state=hostile, initial_state=hostile
        )
        waiting.changes.create(status="processing", step_number=3, what=HOSTILE)
        waiting.timers.create(name=HOSTILE, due_at=START)

        page = text_of(admin.get(page_of(waiting)))

        assert HOSTILE not in page
        assert page.count("&lt;script&gt;") > 15

    @pytest.mark.parametrize("status", WorkflowStatus.values)
    def test_opens_in_every_status(self, admin, waiting, status):
        values = {"status": status, "step_number": 4, "ended_at": timezone.now()}
        Workflow.objects.filter(pk=waiting.pk).update(**values)
        assert status in text_of(admin.get(page_of(waiting)))

    @pytest.mark.parametrize("status", StepStatus.values)
    def test_opens_with_steps_in_every_status(self, admin, waiting, status):
        add_branches(waiting, 2, status=status)
        add_one = {"workflow": waiting, "number": 9, "name": "from another release"}
        WorkflowStep.objects.create(status=status, **add_one)
        assert "from another release" in text_of(admin.get(page_of(waiting)))

    def test_does_not_open_for_what_is_not_there(self, admin, waiting):
        waiting.delete()
        for key in (waiting.pk, "nonsense"):
            answer = admin.get(reverse("admin:jobs_workflow_change", args=[key]))
            assert answer.status_code == 302


class TestHistory:
    def test_tells_of_every_change(self, admin, waiting):
        pages.decide(waiting)
        run_enqueued_jobs()
        page = text_of(admin.get(page_of(waiting)))
        for what in ("started", "step 1 done", "step 2 done", "step 3 done", "completed"):
            assert what in page


class TestTimers:
    def test_are_listed_with_what_is_left_of_them(self, admin, waiting):
        WorkflowTimer.objects.create(
            workflow=waiting, name="remind", due_at=timezone.now() + 5 * MINUTE, setting=3
        )
        page = text_of(admin.get(page_of(waiting)))
        assert "timeout" in page
        assert "remind" in page
        assert "set 3 times" in page
        assert page.count("data-seconds-left=") == 3  # Its deadline, and two timers.


class TestLine:
    def test_leads_from_a_workflow_to_the_one_that_goes_on_with_it(self, admin, waiting):
        pages.cancelled(waiting)
        new = operations.restart_workflow(workflow_id=waiting.pk, by="ann")

        assert page_of(new) in text_of(admin.get(page_of(waiting)))
        assert page_of(waiting) in text_of(admin.get(page_of(new)))

    def test_says_which_steps_were_kept(self, admin, waiting):
        pages.cancelled(waiting)
        new = operations.restart_workflow(workflow_id=waiting.pk, by="ann")
        Workflow.objects.filter(pk=new.pk).update(created_at=timezone.now() + MINUTE)

        page = text_of(admin.get(page_of(new)))

        assert page.count("kept from the run before") == 1

    def test_says_of_a_step_of_branches_that_all_were_kept(self, admin, waiting):
        leave_branches(waiting, kept=3)
        page = text_of(admin.get(page_of(waiting)))
        assert "3 of 3 done, kept from the run before" in page
        assert page.count("kept from the run before") == 4  # The branches, too.

    def test_says_how_many_branches_were_kept(self, admin, waiting):
        leave_branches(waiting, kept=3, done=2, waiting=4)
        page = text_of(admin.get(page_of(waiting)))
        assert "5 of 9 done, 3 of them kept from the run before" in page

    def test_draws_and_measures_what_was_not_kept_alone(self, waiting):
        # Given branches that were kept of a run two days ago, and others done within a minute
        leave_branches(waiting, kept=3, done=2)

        line = line_of_step(waiting, whole_of(waiting), list(waiting.steps.filter(number=3)))

        assert line.took == "1:00"
        assert line.bar
        assert line.branches[0].bar is None


class TestBar:
    def test_lies_where_the_step_was_in_the_whole(self):
        whole = Whole(START, START + 10 * MINUTE)
        step = Times(START + 2 * MINUTE, START + 4 * MINUTE, START + 9 * MINUTE)
        assert whole.bar(step) == Bar(left=20, waiting=20, width=50)
        assert whole.took(step) == 5 * MINUTE

    def test_reaches_to_the_end_while_it_is_not_done(self):
        whole = Whole(START, START + 10 * MINUTE)
        assert whole.bar(Times(START, START + 5 * MINUTE, None)) == Bar(0, 50, 50)
        assert whole.bar(Times(START + 5 * MINUTE, None, None)) == Bar(50, 50, 0)

    @pytest.mark.parametrize("length", [timedelta(0), -MINUTE, MINUTE])
    @pytest.mark.parametrize("at", [-9 * MINUTE, timedelta(0), 9 * MINUTE])
    def test_stays_inside_of_it(self, length, at):
        bar = Whole(START, START + length).bar(Times(START + at, START + at, START + at))
        assert bar.width > 0
        assert bar.left >= 0
        assert bar.left + bar.waiting + bar.width <= 100


class TestClock:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (-5, "due"), (0, "due"), (0.4, "0:00"), (9, "0:09"), (245.9, "4:05"),
            (3_845, "1:04:05"), (176_645, "2 d 01:04:05"),
        ],
    )  # fmt: skip
    def test_shows_what_is_left(self, seconds, words):
        assert clock(timedelta(seconds=seconds)) == words


class TestAFailedStep:
    def test_says_why(self, admin, acme):
        workflow = pages.start_archiving(acme)
        job = Job.objects.get()
        lifecycle.fail(job, ValueError(HOSTILE), outcome=None)

        page = text_of(admin.get(page_of(workflow)))

        assert HOSTILE not in page
        assert page.count("ValueError: &lt;script&gt;") >= 2  # At the step, and at the workflow.
