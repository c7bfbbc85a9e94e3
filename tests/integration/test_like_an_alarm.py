"""
Timers beside what Cloudflare publishes of alarms: each row in docs/workflows.md has one test here.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import transaction

from jobs.engine import chores, lifecycle
from jobs.models import Job
from jobs.states import WorkflowStatus
from jobs.workflows import advancing, operations
from jobs.workflows.errors import UnknownTimer
from jobs.workflows.locking import lock_workflow
from jobs.workflows.sweep import sweep
from jobs.workflows.timers import deadline_of, enqueue_due_timers
from tests import workflow_drills as drills
from tests.cleaning import meanwhile
from tests.deliveries import at_once, deliver
from tests.drills import effects, leave_effect, make_due, take

pytestmark = pytest.mark.django_db(transaction=True)

IGNORED = "acknowledged: ignored"
FINAL = [status for status in WorkflowStatus if status != WorkflowStatus.PROCESSING]


class Killed(BaseException):
    """Ends a handler as a signal would: no `except` of the engine is reached."""


@pytest.fixture(autouse=True)
def acts():
    """What steps and timers do instead of their own."""
    with drills.known() as script:
        yield script


@pytest.fixture
def workflow():
    """One that waits for somebody."""
    return drills.start(drills.WAIT)


def set_alarm(workflow, due_at=None):
    due_at = due_at or drills.moment(hours=1)
    operations.set_timer(workflow_id=workflow.pk, name="remind", due_at=due_at)
    return due_at


def delete_alarm(workflow):
    operations.cancel_timer(workflow_id=workflow.pk, name="remind")


def get_alarm(workflow):
    alarm = drills.timer(workflow, "remind")
    return alarm and alarm.due_at


def alarm_job():
    return Job.objects.get(type="workflows.fire_timer")


class TestLikeAnAlarm:
    def test_is_one_for_each_name_of_a_workflow(self, workflow):
        other = drills.start(drills.WAIT)
        for each in (workflow, workflow, other):
            set_alarm(each)

        names = workflow.timers.order_by("name").values_list("name", flat=True)
        assert list(names) == ["remind", "timeout"]
        assert other.timers.count() == 2

    def test_is_overwritten_by_a_new_one(self, workflow):
        set_alarm(workflow, drills.moment(seconds=-1))
        enqueue_due_timers()
        later = set_alarm(workflow)

        assert drills.deliver_due() == [IGNORED]
        assert (effects("remind"), get_alarm(workflow)) == (0, later)

    def test_is_read_as_the_time_that_was_set(self, workflow):
        assert get_alarm(workflow) is None
        assert set_alarm(workflow) == get_alarm(workflow)
        assert deadline_of(workflow) == drills.timer(workflow, "timeout").due_at

    def test_in_the_past_fires_at_the_next_look(self, workflow):
        set_alarm(workflow, drills.moment(days=-1))
        enqueue_due_timers()

        assert drills.deliver_due() == ["acknowledged"]
        assert effects("remind") == 1

    def test_is_looked_for_every_two_seconds_by_each_relay(self):
        assert chores._chores["workflow timers"].do is sweep
        assert chores._chores["workflow timers"].every_seconds == 2

    def test_fires_until_it_is_done_and_takes_effect_once(self, workflow):
        # Given an alarm whose worker died before it fired
        set_alarm(workflow, drills.moment(seconds=-1))
        enqueue_due_timers()
        (message,) = take()
        drills.die(alarm_job(), message)

        # When another fires it, and both messages come once more
        (again,) = take()
        answers = [deliver(again), deliver(again), deliver(message)]

        assert answers == ["acknowledged", IGNORED, IGNORED]
        assert effects("remind") == 1

    def test_is_retried_after_longer_and_longer_waits(self, workflow, acts):
        acts["remind"] = drills.fault
        set_alarm(workflow, drills.moment(seconds=-1))
        enqueue_due_timers()

        assert drills.waits_of(alarm_job()) == [10, 20, 40]

    def test_set_anew_between_its_attempts_is_retried_no_more(self, workflow, acts):
        acts["remind"] = drills.fault
        set_alarm(workflow)
        drills.fire(workflow, "remind")
        acts.clear()
        later = set_alarm(workflow)
        make_due(alarm_job())

        assert drills.deliver_due() == [IGNORED]
        assert (effects("remind"), get_alarm(workflow)) == (0, later)

    def test_that_fails_for_good_ends_its_workflow(self, workflow, acts):
        acts["remind"] = drills.fault
        set_alarm(workflow, drills.moment(seconds=-1))
        enqueue_due_timers()
        drills.fail_for_good(alarm_job())

        now = drills.fresh(workflow)
        assert (now.status, now.error) == ("failed", "Timer remind: RuntimeError: fault")

    def test_whose_worker_died_begins_anew_with_nothing_left_of_it(self, workflow, acts):
        # Given a handler whose worker was killed after what it wrote
        def die(timer_run):
            leave_effect("undone")
            raise Killed

        acts["remind"] = die
        set_alarm(workflow)
        with pytest.raises(Killed):
            drills.fire(workflow, "remind")
        acts.clear()

        # When recovery has put its job back, then another does all of it
        lifecycle.put_back(alarm_job(), "its worker is silent")
        make_due(alarm_job())
        assert drills.deliver_due() == ["acknowledged"]
        assert (effects("undone"), effects("remind")) == (0, 1)

    def test_is_not_set_while_its_handler_runs(self, workflow, acts):
        seen = []
        acts["remind"] = lambda run: seen.append(get_alarm(run.workflow))
        set_alarm(workflow)
        drills.fire(workflow, "remind")

        assert seen == [None]

    def test_is_still_set_between_its_attempts(self, workflow, acts):
        acts["remind"] = drills.fault
        set_alarm(workflow)
        drills.fire(workflow, "remind")

        assert alarm_job().state == "retrying"
        assert get_alarm(workflow) is not None

    def test_is_deleted_when_its_handler_has_completed(self, workflow):
        set_alarm(workflow)
        drills.fire(workflow, "remind")

        assert get_alarm(workflow) is None
        assert enqueue_due_timers() == 0

    def test_that_its_handler_sets_anew_is_kept(self, workflow, acts):
        later = drills.moment(hours=2)
        acts["remind"] = lambda run: run.set_timer("remind", later)
        set_alarm(workflow)
        drills.fire(workflow, "remind")

        assert get_alarm(workflow) == later

    def test_that_fires_is_not_stopped_by_a_setting(self, workflow, acts):
        # Given a handler at work, while somebody sets the alarm to a time that has passed
        with ThreadPoolExecutor() as elsewhere:
            begun = []

            def run(timer_run):
                past = drills.moment(seconds=-1)
                begun.append(elsewhere.submit(lambda: at_once(lambda: set_alarm(workflow, past))))
                leave_effect("remind")

            acts["remind"] = run
            set_alarm(workflow)
            assert drills.fire(workflow, "remind") == ["acknowledged"]
            begun[0].result()

        # Then that one was done with, and fires once more
        acts.clear()
        assert effects("remind") == 1
        enqueue_due_timers()
        assert drills.deliver_due() == ["acknowledged"]
        assert (effects("remind"), get_alarm(workflow)) == (2, None)

    def test_set_in_the_past_by_its_own_handler_fires_at_each_look(self, workflow, acts):
        def run(timer_run):
            leave_effect("remind")
            timer_run.set_timer("remind", drills.moment(seconds=-1))

        acts["remind"] = run
        set_alarm(workflow)
        drills.fire(workflow, "remind")

        for looks in (2, 3):
            assert enqueue_due_timers() == 1
            assert enqueue_due_timers() == 0
            drills.deliver_due()
            assert effects("remind") == looks

    def test_can_be_deleted(self, workflow):
        set_alarm(workflow, drills.moment(seconds=-1))
        delete_alarm(workflow)

        assert (get_alarm(workflow), enqueue_due_timers()) == (None, 0)

    def test_that_fires_is_not_stopped_by_a_deletion(self, workflow, acts):
        # Given a handler at work, which holds the workflow's lock
        with ThreadPoolExecutor() as elsewhere:
            begun = []

            def run(timer_run):
                begun.append(elsewhere.submit(lambda: at_once(lambda: delete_alarm(workflow))))
                leave_effect("remind")

            acts["remind"] = run
            set_alarm(workflow)

            # When the alarm is deleted meanwhile, then it was done with all the same
            assert drills.fire(workflow, "remind") == ["acknowledged"]
            (refused,) = begun[0].result()

        assert (type(refused), effects("remind")) == (UnknownTimer, 1)

    def test_deleted_by_its_own_handler_is_retried_all_the_same(self, workflow, acts):
        def run(timer_run):
            timer_run.cancel_timer("remind")
            raise RuntimeError

        acts["remind"] = run
        set_alarm(workflow)
        drills.fire(workflow, "remind")

        assert alarm_job().state == "retrying"
        assert get_alarm(workflow) is not None

    @pytest.mark.parametrize("status", FINAL)
    def test_is_deleted_with_the_end_of_its_workflow(self, workflow, status):
        set_alarm(workflow)
        with transaction.atomic():
            advancing.end(lock_workflow(workflow.pk), status)

        assert not workflow.timers.exists()

    def test_is_set_with_what_else_its_transaction_writes_or_not_at_all(self, workflow):
        with transaction.atomic():
            set_alarm(workflow)
            transaction.set_rollback(True)

        assert get_alarm(workflow) is None

    def test_waits_for_who_writes_the_workflow(self, workflow):
        set_alarm(workflow, drills.moment(seconds=-1))
        enqueue_due_timers()
        (message,) = take()

        def cancel():
            operations.cancel_workflow(workflow_id=workflow.pk, by="ann")

        with ThreadPoolExecutor() as elsewhere, meanwhile(cancel):
            waits = elsewhere.submit(lambda: at_once(lambda: deliver(message)))

        assert (waits.result(), effects("remind")) == ([IGNORED], 0)
