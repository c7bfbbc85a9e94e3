"""What a restart keeps of the step that it begins with: chosen before anything is locked."""

import pytest
from django.db import connection

from exports.object_store.file import FileStore
from exports.operations import cancel_export, request_export, retry_export
from exports.states import ExportStatus
from jobs.models import Workflow
from jobs.testing import run_enqueued_jobs
from jobs.workflows import operations
from jobs.workflows.errors import NotRestartable, RestartNotNow, WorkflowEnded
from jobs.workflows.registry import get_definition
from project.workspace.models import Item, Project
from tests import workflow_drills as drills
from tests.api import program
from tests.deliveries import at_once
from tests.drills import ACME
from tests.exporting_workflows import after, note_written

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 7


@pytest.fixture
def cancelled(acts):
    """A workflow that was cancelled when two of its three branches were done."""
    workflow = drills.reach(3)
    done = workflow.steps.filter(number=3).exclude(branch=1)
    done.update(status="done", output={"converted": 0})
    return operations.cancel_workflow(workflow_id=workflow.pk, by="ann")


@pytest.fixture
def keeps(monkeypatch, cancelled):
    """Let the definition say by this what is kept."""

    def set_keeps(function):
        monkeypatch.setattr(get_definition(drills.ASSEMBLE), "keeps", function)

    return set_keeps


def restart(workflow):
    return operations.restart_workflow(workflow_id=workflow.pk, by="ann", tenant_id=ACME)


class TestWhatIsKept:
    def test_is_asked_once_for_all_branches_that_are_done(self, cancelled, keeps):
        asked = []

        def keep_the_last(rows):
            asked.append([row.branch for row in rows])
            return {2}

        keeps(keep_the_last)

        new = restart(cancelled)

        assert asked == [[0, 2]]
        kept = new.steps.filter(number=3).order_by("branch")
        assert [each.status for each in kept] == ["waiting", "waiting", "done"]

    def test_is_asked_while_nothing_is_locked_and_a_cancel_beside_it_is_answered(
        self, cancelled, keeps
    ):
        seen = []

        def ask(rows):
            seen.append(connection.in_atomic_block)
            seen.extend(
                at_once(lambda: operations.cancel_workflow(workflow_id=cancelled.pk, by="eve"))
            )
            return {0, 2}

        keeps(ask)
        restart(cancelled)

        assert seen[0] is False
        assert isinstance(seen[1], WorkflowEnded)

    def test_is_asked_for_no_step_that_begins_anew(self, cancelled, keeps):
        keeps(lambda rows: pytest.fail("All of it is done again."))

        operations.restart_workflow(workflow_id=cancelled.pk, by="ann", from_step=2)

    def test_is_nothing_to_a_restart_that_another_one_overtakes(self, cancelled, keeps):
        def ask(rows):
            keeps(lambda rows: {0, 2})
            restart(cancelled)
            return {0, 2}

        keeps(ask)
        with pytest.raises(NotRestartable, match="restarted already"):
            restart(cancelled)
        assert Workflow.objects.filter(restart_of=cancelled).count() == 1

    def test_that_can_not_be_found_out_restarts_nothing(self, cancelled, keeps):
        def ask(rows):
            raise RestartNotNow("The store is away.")

        keeps(ask)
        with pytest.raises(RestartNotNow):
            restart(cancelled)
        assert Workflow.objects.count() == 1

    def test_counts_at_once_and_the_history_begins_at_its_step(self, cancelled, keeps):
        keeps(lambda rows: {0, 2})

        new = drills.fresh(restart(cancelled))

        assert (new.step_number, new.percent) == (3, 53)  # Two steps and two thirds, of five.
        first = new.changes.order_by("pk")[0]
        assert (first.what, first.step_number) == ("started", 3)
        run_enqueued_jobs()
        assert drills.fresh(new).percent == 60


class TestAStoreThatIsAway:
    @pytest.fixture
    def folder(self, tmp_path):
        return tmp_path / "exports"

    @pytest.fixture
    def export(self, settings, folder, acme, ann, monkeypatch):
        """An export that was cancelled when two of its four parts were done."""
        settings.EXPORTS_STORAGE_URL = f"file://{folder}"
        settings.EXPORTS_PARTS_FROM_ROWS = ROWS
        settings.EXPORTS_PART_ROWS = 2
        settings.JOBS_LANE_IN_FLIGHT_MAX = {"exports": 1}
        project = Project.objects.create(tenant=acme, name="Autumn")
        Item.objects.bulk_create(
            Item(tenant=acme, project=project, sku=f"S{number}") for number in range(ROWS)
        )
        export = request_export(tenant_id=acme.pk, user_id=ann.pk, dataset="items", format="csv")
        whose = {"tenant_id": acme.pk, "export_id": export.pk}
        with monkeypatch.context() as patch:
            after(patch, "write", lambda: cancel_export(by="Ann", **whose), time=3)
            run_enqueued_jobs()
        return export

    @pytest.mark.parametrize("way", ["exports/{0.pk}/retry", "workflows/{0.workflow_id}/restart"])
    def test_is_told_and_nothing_is_restarted(
        self, export, folder, acme, ann, client, monkeypatch, way
    ):
        api = program(client, "/api/v1/", acme, ann)
        folder.rename(folder.with_name("unmounted"))

        answer = api("post", way.format(export), {})

        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "can't be reached. Nothing was changed; try again." in answer.json()["detail"]
        export.refresh_from_db()
        assert (export.status, Workflow.objects.count()) == (ExportStatus.CANCELLED, 1)

        # And once it is back, the same request goes on with the parts that are done
        folder.with_name("unmounted").rename(folder)
        written = note_written(monkeypatch)
        assert api("post", way.format(export), {}).status_code == 202
        run_enqueued_jobs()
        export.refresh_from_db()
        assert (export.status, written) == (ExportStatus.COMPLETED, [3, 4])

    def test_is_asked_once_for_all_parts(self, export, acme, monkeypatch):
        calls = []
        real = FileStore.sizes

        def note(store, folder):
            calls.append(folder)
            return real(store, folder)

        with monkeypatch.context() as patch:
            patch.setattr(FileStore, "sizes", note)
            patch.setattr(FileStore, "size", lambda *_: pytest.fail("It asks for each part."))
            retry_export(tenant_id=acme.pk, export_id=export.pk, by="Ann")

        assert calls == [f"parts/{acme.pk}/{export.pk}"]
