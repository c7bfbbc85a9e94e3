"""Timers: set, moved and cancelled by name, by steps, by each other, by operations; fired once."""

import json
from datetime import datetime

import pytest
from django.db import connection

from jobs import operations as job_operations
from jobs.models import WorkflowTimer
from jobs.workflows import operations, sweep, timers
from jobs.workflows.errors import ArgumentRefused, UnknownTimer, UnknownWorkflow, WorkflowEnded
from jobs.workflows.timers import deadline_of, due_timers, enqueue_due_timers
from tests import workflow_drills as drills
from tests.drills import ACME, GLOBEX, effects, leave_effect

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("acts")]

IGNORED = "acknowledged: ignored"


@pytest.fixture
def waiting():
    """A workflow that waits for somebody."""
    return drills.start(drills.WAIT)


def fault(_):
    leave_effect("undone")
    raise RuntimeError("no bell")


class TestATimer:
    def test_does_what_its_definition_says_and_the_workflow_goes_on(self, waiting):
        drills.set_timer(waiting)

        assert drills.fire(waiting, "remind") == ["acknowledged"]
        assert (drills.fresh(waiting).status, effects("remind")) == ("processing", 1)
        assert drills.timer(waiting, "remind") is None
        assert deadline_of(waiting)

    def test_is_set_and_cancelled_by_steps(self, acts):
        later = drills.moment(hours=1)

        def run(step_run):
            step_run.set_timer("nudge", later)
            step_run.set_timer("timeout", later)

        acts["prepare"] = run
        acts["approve"] = lambda step_run: step_run.cancel_timer("nudge")
        workflow = drills.reach(4)
        assert drills.timer(workflow, "nudge").due_at == later

        drills.approve_with(workflow)
        assert drills.timer(workflow, "nudge") is None
        assert deadline_of(workflow) == later

    def test_set_by_a_step_that_fails_was_never_set(self, acts):
        def run(step_run):
            step_run.set_timer("nudge", drills.moment())
            raise RuntimeError

        acts["prepare"] = run
        workflow = drills.start()
        drills.deliver_due()

        assert drills.timer(workflow, "nudge") is None

    def test_is_set_anew_by_its_own_function(self, waiting, acts):
        later = drills.moment(hours=1)
        acts["remind"] = lambda run: run.set_timer("remind", later)
        drills.set_timer(waiting)
        drills.fire(waiting, "remind")

        assert drills.timer(waiting, "remind").due_at == later
        acts.clear()
        drills.fire(waiting, "remind")
        assert (effects("remind"), drills.timer(waiting, "remind")) == (1, None)

    def test_moves_and_cancels_others(self, waiting, acts):
        later = drills.moment(hours=9)

        def run(timer_run):
            timer_run.set_timer("timeout", later)
            timer_run.cancel_timer("other")

        acts["remind"] = run
        drills.set_timer(waiting)
        WorkflowTimer.objects.create(workflow=waiting, name="other", due_at=later)
        drills.fire(waiting, "remind")

        assert deadline_of(waiting) == later
        assert drills.timer(waiting, "other") is None

    def test_set_anew_while_its_job_waits_is_nothing_the_first_time(self, waiting):
        drills.set_timer(waiting, due_at=drills.moment(seconds=-1))
        enqueue_due_timers()
        later = drills.set_timer(waiting)

        assert drills.deliver_due() == [IGNORED]
        assert (effects("remind"), drills.timer(waiting, "remind").due_at) == (0, later)
        assert "set anew or cancelled" in drills.timer_job().error

        drills.fire(waiting, "remind")
        assert effects("remind") == 1

    def test_cancelled_while_its_job_waits_is_nothing(self, waiting):
        drills.set_timer(waiting, due_at=drills.moment(seconds=-1))
        enqueue_due_timers()
        drills.cancel_timer(waiting)

        assert drills.deliver_due() == [IGNORED]
        assert effects("remind") == 0

    def test_whose_job_is_cancelled_by_hand_is_cancelled(self, waiting):
        drills.set_timer(waiting, due_at=drills.moment(seconds=-1))
        enqueue_due_timers()
        job_operations.cancel_job(job_id=drills.timer_job().pk, by="eve")

        assert drills.timer(waiting, "remind") is None
        assert drills.fresh(waiting).is_live

    def test_that_fails_for_good_fails_the_workflow(self, waiting, acts):
        acts["remind"] = fault
        drills.set_timer(waiting)
        drills.fire(waiting, "remind")
        drills.fail_for_good(drills.timer_job())

        now = drills.fresh(waiting)
        assert (now.status, now.error) == ("failed", "Timer remind: RuntimeError: no bell")


class TestAStep:
    def test_that_sets_a_timer_that_nobody_declared_fails(self, acts):
        acts["prepare"] = lambda run: run.set_timer("nugde", drills.moment(hours=1))
        workflow = drills.start()
        drills.fail_for_good(drills.job_of(workflow, 1))

        assert drills.fresh(workflow).error == (
            "Step 1, drills.prepare_assembly: UnknownTimer: "
            "There is no timer 'nugde'. Known: nudge, timeout."
        )

    def test_sets_no_timer_for_a_time_without_zone(self, acts):
        naive = datetime(2026, 1, 1)  # noqa: DTZ001 - On purpose.
        acts["prepare"] = lambda run: run.set_timer("nudge", naive)
        workflow = drills.start()
        drills.fail_for_good(drills.job_of(workflow, 1))

        assert "ArgumentRefused: due_at: 2026-01-01 00:00:00 has no" in drills.fresh(workflow).error

    @pytest.mark.parametrize(("number", "name"), [(2, "fetch"), (3, "convert")])
    @pytest.mark.parametrize("method", ["set_timer", "cancel_timer"])
    def test_that_holds_no_lock_touches_no_timer(self, acts, number, name, method):
        workflow = drills.reach(number)
        drills.set_timer(workflow, "nudge")
        before = drills.timer(workflow, "nudge").due_at
        given = (drills.moment(hours=5),) if method == "set_timer" else ()
        acts[name] = lambda run: getattr(run, method)("nudge", *given)

        drills.deliver_due()

        assert "is a long or parallel one" in drills.job_of(workflow, number).error
        assert drills.timer(workflow, "nudge").due_at == before

    def test_that_has_branches_may_set_timers_where_they_are_made(self, acts):
        def run(step_run):
            step_run.set_timer("nudge", drills.moment(hours=1))
            return []

        acts["branches"] = run

        assert drills.timer(drills.reach(4), "nudge")


class TestATimersFunction:
    def test_that_sets_one_that_nobody_declared_fails(self, waiting, acts):
        acts["remind"] = lambda run: run.set_timer("remnid", drills.moment(hours=1))
        drills.set_timer(waiting)
        drills.fire(waiting, "remind")
        drills.fail_for_good(drills.timer_job())

        assert "There is no timer 'remnid'. Known: remind, timeout." in drills.fresh(waiting).error


class TestAnOperation:
    def test_on_a_name_that_nobody_declared_is_refused(self, waiting):
        with pytest.raises(UnknownTimer, match="no timer 'nonsense'"):
            drills.set_timer(waiting, "nonsense")
        with pytest.raises(UnknownTimer):
            drills.cancel_timer(waiting)

    def test_with_a_time_without_zone_is_refused(self, waiting):
        with pytest.raises(ArgumentRefused, match="due_at: .* has no time zone"):
            drills.set_timer(waiting, due_at=datetime(2026, 1, 1))  # noqa: DTZ001 - On purpose.

    def test_after_the_end_is_refused(self, waiting):
        operations.cancel_workflow(workflow_id=waiting.pk, by="ann")

        for operation in (drills.set_timer, drills.cancel_timer):
            with pytest.raises(WorkflowEnded):
                operation(waiting)
        assert not WorkflowTimer.objects.exists()

    def test_of_another_tenant_is_refused(self, waiting):
        for operation in (drills.set_timer, drills.cancel_timer):
            with pytest.raises(UnknownWorkflow):
                operation(waiting, tenant_id=GLOBEX)


class TestATimerThatIsCancelledAndSetAgain:
    def test_is_another_than_the_one_whose_job_waits(self, waiting):
        # Given a timer whose job waits for a worker
        drills.set_timer(waiting, due_at=drills.moment(seconds=-1))
        enqueue_due_timers()

        # When it is cancelled and set for later
        drills.cancel_timer(waiting)
        later = drills.set_timer(waiting)

        # Then that job is nothing, and the new timer stands
        assert drills.deliver_due() == [IGNORED]
        assert effects("remind") == 0
        assert drills.timer(waiting, "remind").due_at == later


class TestEnqueueDueTimers:
    def test_takes_each_that_is_due_once(self, waiting):
        drills.set_timer(waiting, due_at=drills.moment(seconds=-1))

        assert [enqueue_due_timers(), enqueue_due_timers()] == [1, 0]
        assert drills.timer_job().payload == {
            "workflow_id": str(waiting.pk),
            "name": "remind",
            "timer_id": drills.timer(waiting, "remind").pk,
            "setting": 1,
        }
        assert drills.timer_job().tenant_id == ACME

    def test_takes_all_of_an_outage_in_one_look(self, waiting, monkeypatch):
        monkeypatch.setattr(timers, "BATCH_TIMERS", 2)
        monkeypatch.setattr(sweep, "BATCH_TIMERS", 2)
        for _ in range(5):
            drills.let_it_be_due(drills.start(drills.WAIT), "timeout")

        assert sweep.sweep() == 5

    def test_puts_no_timer_behind_what_else_its_tenant_has_waiting(self, waiting):
        drills.set_timer(waiting, due_at=drills.moment(seconds=-1))
        enqueue_due_timers()

        job = drills.timer_job()
        assert (job.queue, job.partition) == ("timers", f"timers/{ACME}")

    def test_reads_only_what_is_due_among_ten_thousand(self, waiting):
        # Given ten thousand open workflows, of which one has a timer that is due
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO jobs_workflow (id, name, version, tenant_id, status, step_number,
                                           step_count, initial_state, state, percent, error)
                SELECT gen_random_uuid(), 'drills.wait', 3, %s, 'processing', 1, 1, '{}', '{}',
                       0, ''
                  FROM GENERATE_SERIES(1, 10000)""",
                [ACME],
            )
            cursor.execute(
                """
                INSERT INTO jobs_workflowtimer (workflow_id, name, due_at, setting)
                SELECT id, 'timeout', NOW() + INTERVAL '1 hour', 1 FROM jobs_workflow
                    ON CONFLICT DO NOTHING"""
            )
            cursor.execute("ANALYZE jobs_workflow, jobs_workflowtimer")
        drills.let_it_be_due(waiting, "timeout")

        # When the sweep looks, then its index gives it that one row, and nothing is thrown away
        (plan,) = json.loads(due_timers()[:500].explain(analyze=True, format="json"))
        (scan,) = scans(plan["Plan"])
        assert (scan["Node Type"], scan["Index Name"]) == ("Index Scan", "jobs_timers_by_due")
        assert (scan["Actual Rows"], scan.get("Rows Removed by Filter", 0)) == (1, 0)
        assert enqueue_due_timers() == 1


def scans(node):
    below = [each for child in node.get("Plans", ()) for each in scans(child)]
    return below + ([node] if "Scan" in node["Node Type"] else [])
