"""A large export that is cancelled, deleted, too late, or broken; and how it goes on from there."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from exports import parting, workflows
from exports.cleanup.clean_up import clean_up
from exports.errors import NoSuchObject
from exports.models import Export
from exports.object_store.file import FileStore
from exports.operations import cancel_export, request_export, retry_export
from exports.parts.keys import part_key
from exports.parts.manifest import read_manifest
from exports.states import ExportStatus
from jobs.errors import NotLive, NotReplayable
from jobs.models import Job, Workflow
from jobs.operations import replay_job
from jobs.states import StepStatus, WorkflowStatus
from jobs.testing import run_enqueued_jobs
from jobs.workflows.operations import cancel_workflow, restart_workflow, set_timer
from jobs.workflows.timers import enqueue_due_timers
from project.accounts.scopes import Role
from project.workspace.models import Item, Project
from tests.exporting_parts import content, of_a_single_job, put
from tests.exporting_workflows import (
    WORK,
    after,
    announced,
    attempts_of_parts,
    break_part,
    failed_jobs,
    keys,
    live_jobs,
    note_written,
    statuses,
)
from tests.people import bearer, make_member, make_token

pytestmark = pytest.mark.django_db

ROWS = 7
DONE = StepStatus.DONE


@pytest.fixture
def store(tmp_path):
    return FileStore(tmp_path / "exports")


@pytest.fixture(autouse=True)
def in_parts(settings, tmp_path):
    """Four parts, written one after the other."""
    settings.EXPORTS_STORAGE_URL = f"file://{tmp_path / 'exports'}"
    settings.EXPORTS_PARTS_FROM_ROWS = ROWS
    settings.EXPORTS_PART_ROWS = 2
    settings.JOBS_LANE_IN_FLIGHT_MAX = {"exports": 1}


@pytest.fixture
def ann(acme):
    return make_member(acme, role=Role.ADMIN)


@pytest.fixture
def export(acme, ann):
    project = Project.objects.create(tenant=acme, name="Autumn")
    Item.objects.bulk_create(
        Item(tenant=acme, project=project, sku=f"S{number}") for number in range(ROWS)
    )
    return request_export(tenant_id=acme.pk, user_id=ann.pk, dataset="items", format="csv")


@pytest.fixture
def cancel(export):
    return lambda: cancel_export(tenant_id=export.tenant_id, export_id=export.pk, by="Ann")


@pytest.fixture
def retry(export):
    return lambda: retry_export(tenant_id=export.tenant_id, export_id=export.pk, by="Ann")


@pytest.fixture
def stopped_in_the_middle(export, cancel, monkeypatch):
    """An export that was cancelled when two of its four parts were done, and quiet by now."""
    with monkeypatch.context() as patch:
        after(patch, "plan", lambda: None)
        after(patch, "write", cancel, time=3)  # The third is not recorded any more.
        run_enqueued_jobs()
    return Workflow.objects.get()


def now(export):
    return Export.objects.get(pk=export.pk)


def assert_completed(store, export):
    """It is as an undisturbed one is: file, manifest and no parts."""
    ended = now(export)
    assert (ended.status, ended.error) == (ExportStatus.COMPLETED, "")
    assert content(store, export.key) == of_a_single_job(export)
    assert read_manifest(store, ended).sha256 == ended.sha256
    assert keys(store) == []
    assert live_jobs() == []


class TestCancel:
    def test_before_it_begins_leaves_nothing_to_do(self, export, cancel, store):
        assert cancel().status == ExportStatus.CANCELLED
        run_enqueued_jobs()
        assert statuses(Workflow.objects.get()) == [(1, "cancelled")]
        assert live_jobs() == []
        assert keys(store) == []

    @pytest.mark.parametrize("step", WORK)
    def test_at_a_step_is_seen_everywhere(self, export, cancel, store, monkeypatch, step):
        # Given an export that is cancelled as the work of a step is done, and not recorded yet
        after(monkeypatch, step, cancel)
        run_enqueued_jobs()

        # Then nothing of it goes on, and every place says so
        ended, workflow, number = now(export), Workflow.objects.get(), [*WORK].index(step) + 1
        assert (ended.status, ended.error) == ("cancelled", "Cancelled by Ann.")
        assert (workflow.status, workflow.step_number) == (WorkflowStatus.CANCELLED, number)
        assert {status for n, status in statuses(workflow) if n < number} <= {DONE}
        assert {status for n, status in statuses(workflow) if n >= number} == {"cancelled"}
        assert live_jobs() == []
        assert failed_jobs() == []
        assert announced() == Counter()
        assert not Job.objects.filter(type="exports.complete_export").exists()

        # And the night takes what it had written
        clean_up(store, now=timezone.now() + timedelta(days=2))
        assert [keys(store, each) for each in ("parts", "exports", "manifests")] == [[], [], []]
        assert now(export).status == ExportStatus.CANCELLED

    def test_of_the_workflow_cancels_the_export(self, export):
        cancel_workflow(workflow_id=export.workflow_id, by="an operator")
        assert now(export).status == ExportStatus.CANCELLED

    def test_is_not_undone_by_a_step_that_begins_at_this_moment(self, export, cancel, monkeypatch):
        # Given a first step that has looked at its workflow, which is cancelled then
        real = parting.begin

        def cancel_and_begin(export):
            cancel()
            real(export)

        monkeypatch.setattr(parting, "begin", cancel_and_begin)
        run_enqueued_jobs()
        assert now(export).status == ExportStatus.CANCELLED

    def test_publishes_no_file_later(self, export, cancel, store, monkeypatch):
        # Given an export that is cancelled while its parts are put together
        real = workflows.Showing.__call__

        def cancel_and_show(showing, rows):
            if showing.run.number == workflows.ASSEMBLE and now(export).is_live:
                cancel()
            real(showing, rows)

        monkeypatch.setattr(workflows.Showing, "__call__", cancel_and_show)
        run_enqueued_jobs()
        with pytest.raises(NoSuchObject):
            store.size(export.key)

    def test_is_refused_once_it_is_completed(self, export, cancel):
        run_enqueued_jobs()
        with pytest.raises(NotLive, match="has completed"):
            cancel()


class TestRetry:
    def test_goes_on_with_the_parts_that_are_done(
        self, export, retry, store, stopped_in_the_middle, monkeypatch
    ):
        parts = {each.key: each for each in store.list_objects("parts")}
        written = note_written(monkeypatch)
        looks = []
        after(monkeypatch, "write", lambda: looks.append(now(export)))
        after(monkeypatch, "plan", lambda: pytest.fail("The keys are cut already."))

        again = retry()
        assert (again.status, again.attempts, again.started_at) == (ExportStatus.QUEUED, 0, None)
        kept = {}
        after(monkeypatch, "assemble", lambda: kept.update(listed(store)))
        run_enqueued_jobs()

        assert written == [3, 4]
        assert [part_key(export.key, number) in parts for number in (1, 2, 3)] == [True] * 3
        for number in (1, 2):
            key = part_key(export.key, number)
            assert kept[key] == parts[key].modified_at
        assert (looks[0].status, looks[0].rows_done, looks[0].rows_total) == ("processing", 6, 7)
        assert_completed(store, export)
        assert attempts_of_parts(now(export).workflow) == [1, 1, 1, 1]

    def test_may_come_from_the_workflow(
        self, export, store, stopped_in_the_middle, monkeypatch, client, acme, ann
    ):
        written = note_written(monkeypatch)
        _, token = make_token(acme, ann)
        url = f"/api/v1/workflows/{export.workflow_id}/restart"
        answer = client.post(url, {}, content_type="application/json", headers=bearer(token))
        assert answer.status_code == 202, answer.content
        assert now(export).workflow_id != export.workflow_id
        run_enqueued_jobs()
        assert written == [3, 4]
        assert_completed(store, export)

    def test_from_an_earlier_step_does_all_of_it_again(
        self, export, store, stopped_in_the_middle, monkeypatch
    ):
        written = note_written(monkeypatch)
        restart_workflow(workflow_id=export.workflow_id, by="Ann", from_step=workflows.PLAN)
        run_enqueued_jobs()
        assert written == [1, 2, 3, 4]
        assert_completed(store, export)

    @pytest.mark.parametrize("step", WORK)
    def test_goes_on_from_every_step(self, export, cancel, retry, store, monkeypatch, step):
        with monkeypatch.context() as patch:
            after(patch, step, cancel)
            run_enqueued_jobs()
        retry()
        run_enqueued_jobs()
        assert_completed(store, export)

    def test_writes_a_part_that_failed(self, export, retry, store, monkeypatch):
        with monkeypatch.context() as patch:
            break_part(patch, 3, OSError("no such disk"))
            run_enqueued_jobs(raise_errors=False)
        assert now(export).status == ExportStatus.FAILED
        written = note_written(monkeypatch)
        retry()
        run_enqueued_jobs()
        assert 3 in written
        assert not {1, 2} & set(written)
        assert_completed(store, export)
        assert announced()["export.completed"] == announced()["export.failed"] == 1

    def test_writes_the_parts_again_that_the_night_has_taken(
        self, export, retry, store, stopped_in_the_middle
    ):
        clean_up(store, now=timezone.now() + timedelta(days=2))
        assert keys(store) == []
        retry()
        run_enqueued_jobs()
        assert_completed(store, export)

    def test_is_done_once(self, export, cancel, retry):
        cancel()
        retry()
        with pytest.raises(NotReplayable, match="is queued; it can't run again"):
            retry()

    def test_is_refused_while_it_is_live_or_completed(self, export, retry):
        with pytest.raises(NotReplayable):
            retry()
        run_enqueued_jobs()
        with pytest.raises(NotReplayable):
            retry()

    def test_of_the_job_of_a_part_is_refused(self, export, monkeypatch):
        break_part(monkeypatch, 3, OSError("no such disk"))
        run_enqueued_jobs(raise_errors=False)
        [failed] = failed_jobs()
        with pytest.raises(NotReplayable, match="Restart workflow"):
            replay_job(job_id=failed.pk, by="Ann")
        assert now(export).status == ExportStatus.FAILED


class TestDamage:
    def test_to_a_part_fails_the_export_and_a_retry_writes_it_again(
        self, export, retry, store, monkeypatch
    ):
        def damage():
            put(store, part_key(export.key, 2), b"x")

        after(monkeypatch, "write", damage, time=4)
        run_enqueued_jobs(raise_errors=False)
        assert now(export).status == ExportStatus.FAILED
        assert "not what was written: 2. Retry the export" in now(export).error

        monkeypatch.undo()
        written = note_written(monkeypatch)
        retry()
        run_enqueued_jobs()
        assert written == [2]
        assert_completed(store, export)

    def test_to_several_parts_costs_one_retry(self, export, retry, store, monkeypatch):
        def damage():
            put(store, part_key(export.key, 1), b"x")
            store.delete(part_key(export.key, 3))
            put(store, part_key(export.key, 4), b"")

        with monkeypatch.context() as patch:
            after(patch, "write", damage, time=4)
            run_enqueued_jobs(raise_errors=False)
        assert "not what was written: 1, 4; missing: 3. Retry the export" in now(export).error
        assert keys(store) == [part_key(export.key, 2)]

        written = note_written(monkeypatch)
        retry()
        run_enqueued_jobs()
        assert written == [1, 3, 4]
        assert_completed(store, export)

    def test_is_not_cleared_away_by_a_step_that_has_lost_its_job(
        self, export, cancel, store, monkeypatch
    ):
        # Given a file that can't be made, and an export that is cancelled before anybody says so
        real = vars(workflows)["assemble"]

        def assemble_and_cancel(*args, **options):
            put(store, part_key(export.key, 2), b"x")
            try:
                real(*args, **options)
            finally:
                cancel()

        monkeypatch.setattr(workflows, "assemble", assemble_and_cancel)
        run_enqueued_jobs()

        # Then the parts are left for whoever goes on with them
        assert now(export).status == ExportStatus.CANCELLED
        assert len(keys(store)) == 4


class TestTheNight:
    def test_takes_a_file_whose_export_is_made_again_all_the_same(
        self, export, cancel, retry, store, monkeypatch
    ):
        # Given an export that was cancelled when its file was published, which the night took
        after(monkeypatch, "describe", cancel)
        run_enqueued_jobs()
        monkeypatch.undo()
        clean_up(store, now=timezone.now() + timedelta(days=2))
        assert keys(store, "exports") == []

        # When it is retried, then it is written anew, and is there
        retry()
        run_enqueued_jobs()
        assert_completed(store, export)


class TestDeadline:
    def test_fails_the_export_and_stops_its_parts(self, export, store, monkeypatch):
        def be_late():
            past = timezone.now() - timedelta(seconds=1)
            set_timer(workflow_id=export.workflow_id, name="timeout", due_at=past)
            assert enqueue_due_timers() == 1

        after(monkeypatch, "write", be_late, time=2)
        run_enqueued_jobs()

        ended, workflow = now(export), Workflow.objects.get()
        assert (ended.status, workflow.status) == (ExportStatus.FAILED, WorkflowStatus.TIMEOUT)
        assert ended.error == "Step 2 was not done in time."
        assert {status for _, status in statuses(workflow)} == {DONE, "cancelled"}
        assert live_jobs() == []
        assert announced() == Counter({"export.failed": 1, "workflow.timed_out": 1})

    def test_is_nothing_once_it_is_completed(self, export, store):
        run_enqueued_jobs()
        assert not Workflow.objects.get().timers.exists()
        assert enqueue_due_timers() == 0

    def test_that_has_passed_leaves_the_parts_for_a_retry(self, export, retry, store, monkeypatch):
        self.test_fails_the_export_and_stops_its_parts(export, store, monkeypatch)
        monkeypatch.undo()
        retry()
        run_enqueued_jobs()
        assert_completed(store, export)


class TestDelete:
    @pytest.mark.parametrize("step", [*WORK, None])
    def test_in_the_middle_ends_its_workflow(self, export, store, monkeypatch, step):
        def delete():
            Export.objects.all().delete()

        if step:
            after(monkeypatch, step, delete)
        else:
            delete()
        run_enqueued_jobs(raise_errors=False)
        assert Workflow.objects.get().status in (WorkflowStatus.FAILED, WorkflowStatus.CANCELLED)
        assert live_jobs() == []
        assert announced() == Counter()
        clean_up(store, now=timezone.now() + timedelta(days=2))
        assert [keys(store, each) for each in ("parts", "exports", "manifests")] == [[], [], []]

    def test_lets_its_workflow_not_be_restarted(self, export, cancel):
        cancel()
        Export.objects.all().delete()
        with pytest.raises(NotReplayable, match="is gone; request it again"):
            restart_workflow(workflow_id=export.workflow_id, by="Ann")
        assert Workflow.objects.count() == 1


def listed(store):
    return {each.key: each.modified_at for each in store.list_objects("parts")}
