"""A large export is written in parts: what its workflow, the API and the store say meanwhile."""

import hashlib
import json
import uuid
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from exports import workflows
from exports.models import Export
from exports.object_store.file import FilePart
from exports.object_store.s3 import S3Part
from exports.operations import request_export
from exports.parts import ranges
from exports.parts.keys import manifest_key, part_key
from exports.parts.manifest import read_manifest
from exports.parts.ranges import KeyRange
from exports.states import ExportStatus
from jobs.dead_letters.record import record
from jobs.engine import lifecycle
from jobs.models import DeadLetter, Job, Workflow
from jobs.states import IN_FLIGHT, JobState, Outcome, WorkflowStatus
from jobs.testing import run_enqueued_jobs
from notifications.models import Notification
from project.workspace.models import Item, Project
from tests.dead import dead_message_of
from tests.exporting_parts import content, make_store, of_a_single_job, put, s3_endpoint
from tests.exporting_workflows import (
    after,
    announced,
    break_part,
    failed_jobs,
    keys,
    live_jobs,
)
from tests.integration.test_exports_api import program
from tests.people import make_member, make_tenant

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 7
PARTS = 4  #: Of two rows each; the last has one.


@pytest.fixture(scope="module")
def endpoint():
    with s3_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(params=["file", "s3"])
def kind(request):
    return request.param


@pytest.fixture(autouse=True)
def in_parts(settings, tmp_path):
    """Files in a folder, unless a test asks for a store; small numbers; nothing else differs."""
    settings.EXPORTS_STORAGE_URL = f"file://{tmp_path / 'exports'}"
    settings.EXPORTS_PARTS_FROM_ROWS = ROWS
    settings.EXPORTS_PART_ROWS = 2


@pytest.fixture
def store(kind, tmp_path, endpoint, settings):
    store, settings.EXPORTS_STORAGE_URL = make_store(kind, tmp_path / "exports", endpoint)
    return store


@pytest.fixture
def folder(tmp_path, settings):
    store, settings.EXPORTS_STORAGE_URL = make_store("file", tmp_path / "exports", "")
    return store


@pytest.fixture
def one_at_a_time(settings):
    """Let a tenant have one job of exports in flight: its parts are written one after the other."""
    settings.JOBS_LANE_IN_FLIGHT_MAX = {"exports": 1}


@pytest.fixture
def ann(acme):
    return make_member(acme)


@pytest.fixture
def items(acme):
    project = Project.objects.create(tenant=acme, name="Autumn")
    return Item.objects.bulk_create(
        Item(tenant=acme, project=project, sku=f"S{number}", name="=1+1, lamp")
        for number in range(ROWS)
    )


@pytest.fixture
def request_items(acme, ann, items):
    def request_items(format="csv"):
        return request_export(tenant_id=acme.pk, user_id=ann.pk, dataset="items", format=format)

    return request_items


@pytest.fixture
def api(client, acme, ann):
    return program(client, acme, ann)


class TestRequest:
    def test_of_so_many_rows_starts_a_workflow(self, request_items, ann):
        export = request_items()
        workflow = Workflow.objects.get()
        assert (export.workflow, export.job) == (workflow, None)
        assert (workflow.tenant_id, workflow.user_id) == (export.tenant_id, ann.pk)
        assert live_jobs() == ["exports.plan_parts"]

    def test_of_one_row_less_enqueues_one_job(self, request_items, items):
        items[0].delete()
        export = request_items()
        assert export.job == Job.objects.get()
        assert not Workflow.objects.exists()

    def test_counts_the_rows_of_its_own_tenant(self, items):
        other = make_tenant("other")
        export = request_export(tenant_id=other.pk, user_id=None, dataset="items", format="csv")
        assert export.workflow is None


class TestAnswers:
    def test_name_the_job_of_the_first_step_and_the_workflow(self, api, items):
        answer = api("post", body={"dataset": "items", "format": "csv"})
        export = Export.objects.get()
        assert answer.status_code == 202
        assert answer.json() == {
            "success": True,
            "export_id": str(export.pk),
            "job_id": str(Job.objects.get(type="exports.plan_parts").pk),
            "status": "queued",
        }
        shown = api("get", f"/{export.pk}").json()
        assert shown["workflow_id"] == str(export.workflow_id)
        assert (shown["job_id"], shown["status"], shown["attempts"]) == (None, "queued", 0)
        assert shown["progress"] == {"rows": 0, "total": None}

    def test_show_progress_that_only_rises(self, api, request_items, monkeypatch, one_at_a_time):
        export = request_items()
        seen = []

        def look():
            shown = api("get", f"/{export.pk}").json()
            seen.append((shown["status"], shown["progress"]["rows"], shown["progress"]["total"]))

        for part in range(1, PARTS + 1):
            after(monkeypatch, "write", look, time=part)
        run_enqueued_jobs()
        look()
        rows = [2, 4, 6, 7]
        assert seen == [*(("processing", n, 7) for n in rows), ("completed", 7, 7)]

    def test_say_what_the_file_is_and_give_it(self, api, request_items):
        export = request_items()
        run_enqueued_jobs()
        shown = api("get", f"/{export.pk}").json()
        assert (shown["status"], shown["row_count"], shown["error"]) == ("completed", 7, None)
        assert shown["attempts"] == 1
        assert all(shown[time] for time in ("created_at", "started_at", "settled_at"))
        data = b"".join(api("get", f"/{export.pk}/download").streaming_content)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (
            shown["size_bytes"],
            shown["sha256"],
        )

    def test_count_the_attempts_of_the_part_that_needed_most(self, api, request_items, monkeypatch):
        export = request_items()
        with monkeypatch.context() as patch:
            break_part(patch, 2, OSError("no such disk"))
            run_enqueued_jobs(raise_errors=False)
        assert api("get", f"/{export.pk}").json()["attempts"] == 4


class TestFile:
    @pytest.mark.parametrize("format", ["csv", "json"])
    def test_has_the_bytes_of_a_single_job(self, store, request_items, settings, format):
        export = request_items(format)
        settings.EXPORTS_PARTS_FROM_ROWS = ROWS + 1
        single = request_items(format)
        run_enqueued_jobs()
        export.refresh_from_db()
        single.refresh_from_db()
        assert (export.workflow is None, single.workflow is None) == (False, True)
        assert content(store, export.key) == content(store, single.key)
        assert (export.sha256, export.size_bytes, export.row_count) == (
            single.sha256,
            single.size_bytes,
            single.row_count,
        )

    def test_of_rows_that_were_all_deleted_meanwhile_is_empty(self, folder, request_items):
        export = request_items()
        Item.objects.all().delete()
        run_enqueued_jobs()
        export.refresh_from_db()
        assert (export.status, export.row_count) == (ExportStatus.COMPLETED, 0)
        assert content(folder, export.key) == of_a_single_job(export)

    def test_leaves_a_manifest_and_no_parts(self, store, request_items):
        export = request_items()
        run_enqueued_jobs()
        export.refresh_from_db()
        manifest = read_manifest(store, export)
        assert keys(store) == []
        assert keys(store, "manifests") == [manifest_key(export.tenant_id, export.pk)]
        assert [part.rows for part in manifest.parts] == [2, 2, 2, 1]
        assert (manifest.rows, manifest.sha256) == (export.row_count, export.sha256)

    def test_follows_the_rule_of_consistency(
        self, folder, request_items, items, acme, monkeypatch, one_at_a_time
    ):
        # Given an export of which the first part, of two rows, is written
        def change():
            Item.objects.filter(pk=items[0].pk).update(name="changed too late")
            items[1].delete()
            items[2].delete()
            Item.objects.filter(pk=items[3].pk).update(name="changed in time")
            late = {"tenant": acme, "project": items[0].project}
            between = items[4].pk.int + 1
            Item.objects.create(**late, sku="within", pk=type(items[4].pk)(int=between))
            Item.objects.create(**late, sku="greater")

        # When rows of it, and of parts that come later, are changed, deleted and added
        after(monkeypatch, "write", change)
        export = request_items("json")
        run_enqueued_jobs()

        # Then each part is as its own snapshot was, and greater keys do not appear
        rows = json.loads(content(folder, export.key))
        assert [row["sku"] for row in rows] == ["S0", "S1", "S3", "S4", "within", "S5", "S6"]
        assert [row["name"] for row in rows[:3]] == ["=1+1, lamp", "=1+1, lamp", "changed in time"]
        assert len(rows) == read_manifest(folder, export).rows


class TestVeryManyParts:
    @pytest.fixture(autouse=True)
    def of_one_row(self, settings):
        settings.EXPORTS_PART_ROWS = 1

    def written(self, folder, export):
        """Return the rows of each part of an export that must be right."""
        run_enqueued_jobs()
        export.refresh_from_db()
        assert (export.status, export.error) == (ExportStatus.COMPLETED, "")
        assert content(folder, export.key) == of_a_single_job(export)
        return [part.rows for part in read_manifest(folder, export).parts]

    def test_are_not_made_the_parts_grow(self, folder, request_items, monkeypatch):
        monkeypatch.setattr(ranges, "PARTS_MAX", 3)
        assert self.written(folder, request_items()) == [3, 3, 1]

    def test_are_as_many_as_their_ranges_fit_into_a_result(
        self, folder, request_items, items, settings
    ):
        Item.objects.bulk_create(
            Item(tenant=each.tenant, project=each.project, sku=f"{each.sku}-{number}")
            for each in items
            for number in range(10)
        )
        settings.JOBS_WORKFLOWS_RESULT_MAX_BYTES = 1_024  # Of ranges of UUIDs it takes seven.
        assert self.written(folder, request_items()) == [13, *[16] * 4]

    def test_of_a_thousand_fit_into_the_default(self, settings):
        keys = [str(uuid.uuid4()) for _ in range(ranges.PARTS_MAX + 1)]
        made = [KeyRange(n, keys[n - 1], keys[n]) for n in range(1, ranges.PARTS_MAX + 1)]
        size_bytes = settings.JOBS_WORKFLOWS_RESULT_MAX_BYTES // 7
        assert ranges.fitting(made, size_bytes=size_bytes) == made

    @pytest.mark.parametrize(
        ("rows", "in_a_part"), [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (10**8, 10**5)]
    )
    def test_have_so_many_rows(self, rows, in_a_part):
        assert ranges.rows_per_part_of(rows) == in_a_part


class TestPart:
    def test_that_fails_for_good_fails_the_export_and_is_told_once(
        self, request_items, monkeypatch, ann
    ):
        break_part(monkeypatch, 2, OSError("no such disk"))
        export = request_items()
        run_enqueued_jobs(raise_errors=False)
        [failed] = failed_jobs()
        letters = [record(dead_message_of(failed)) for _ in range(2)]
        run_enqueued_jobs()

        export.refresh_from_db()
        assert export.status == ExportStatus.FAILED
        assert export.error == "Step 2, exports.write_part: OSError: no such disk"
        assert export.workflow
        assert export.workflow.status == WorkflowStatus.FAILED
        assert live_jobs() == []
        assert letters == [DeadLetter.objects.get(), None]
        assert announced() == Counter({"export.failed": 1, "job.dead_lettered": 1})
        [mail] = Notification.objects.all()  # Of the export; the dead letter is the operator's.
        assert mail.email == ann.email
        assert "export" in mail.subject.lower()

    def test_of_a_zombie_is_not_published(self, store, kind, request_items, monkeypatch):
        # Given a part that sleeps just before its publish, and is given up for dead
        part_class: Any = {"file": FilePart, "s3": S3Part}[kind]
        real = part_class.publish
        asleep: list[str] = []

        def sleep_once(part):
            if not asleep and "/00002." in part.key:
                asleep.append(part.key)
                sleep_until_all_is_over(export)
            real(part)

        monkeypatch.setattr(part_class, "publish", sleep_once)
        export = request_items()
        run_enqueued_jobs(raise_errors=False)

        # Then the bytes of the export that others have completed meanwhile stay
        export.refresh_from_db()
        assert export.status == ExportStatus.COMPLETED
        data = content(store, export.key)
        assert hashlib.sha256(data).hexdigest() == export.sha256
        assert data.count(b"in time") == ROWS - 2  # The first part was written before.
        assert keys(store) == []
        assert asleep == [part_key(export.key, 2)]

    def test_waits_while_its_tenant_has_enough_in_flight(
        self, request_items, settings, monkeypatch
    ):
        settings.JOBS_LANE_IN_FLIGHT_MAX = {"exports": 3}
        seen = []

        def look():
            in_flight = Job.objects.filter(queue="exports", state__in=IN_FLIGHT).count()
            seen.append((in_flight, lifecycle.take_due(100)))

        after(monkeypatch, "write", look)
        export = request_items()
        run_enqueued_jobs()
        assert seen == [(3, [])]
        export.refresh_from_db()
        assert export.status == ExportStatus.COMPLETED


class TestVerifyExport:
    @pytest.fixture
    def export(self, request_items):
        export = request_items()
        run_enqueued_jobs()
        export.refresh_from_db()
        return export

    def test_proves_the_file(self, folder, export, capsys):
        call_command("verify_export", str(export.pk))
        assert "as its manifest of 4 parts says" in capsys.readouterr().out

    def test_names_the_part_that_was_changed(self, folder, export, capsys):
        data = content(folder, export.key)
        put(folder, export.key, data.replace(b"S2", b"S9"))
        with pytest.raises(CommandError, match="is not what was written"):
            call_command("verify_export", str(export.pk))
        said = capsys.readouterr().out
        assert "sha256: the file has" in said
        assert "part 2, sha256: " in said
        assert "part 1, " not in said

    @pytest.mark.parametrize("workflow", ["kept", "deleted"])
    def test_misses_a_manifest_however_long_ago_it_was_made(self, folder, export, capsys, workflow):
        # Given an export whose workflow may be as old as those that are deleted
        if workflow == "deleted":
            Workflow.objects.all().delete()
        folder.delete(manifest_key(export.tenant_id, export.pk))

        with pytest.raises(CommandError, match="is not what was written"):
            call_command("verify_export", str(export.pk))
        assert capsys.readouterr().out.startswith("manifest: the store has no manifests/")

    def test_misses_it_of_an_older_release_while_its_workflow_is_kept(self, folder, export, capsys):
        Export.objects.update(manifest_sha256="")
        folder.delete(manifest_key(export.tenant_id, export.pk))
        with pytest.raises(CommandError, match="is not what was written"):
            call_command("verify_export", str(export.pk))

    def test_proves_what_a_worker_of_an_older_release_has_described(
        self, folder, request_items, monkeypatch
    ):
        # Given a step that left nothing, as it did before the row had a sum of the manifest
        steps = workflows.export_in_parts.steps
        describe = steps[workflows.DESCRIBE - 1]

        def describe_and_say_nothing(run):
            describe.function(run)

        silent = replace(describe, function=describe_and_say_nothing)
        changed = [silent if each is describe else each for each in steps]
        monkeypatch.setattr(workflows.export_in_parts, "steps", changed)
        export = request_items()
        run_enqueued_jobs()
        export.refresh_from_db()
        assert (export.status, export.manifest_sha256) == (ExportStatus.COMPLETED, "")
        call_command("verify_export", str(export.pk))


def sleep_until_all_is_over(export):
    """Do what recovery does with an attempt that gives no sign of life, and what follows."""
    Item.objects.update(name="in time")
    [job] = Job.objects.filter(type="exports.write_part", state=JobState.RUNNING)
    lifecycle.put_back(job, "its lease is over", outcome=Outcome.LOST)
    run_enqueued_jobs()
    assert Export.objects.get(pk=export.pk).status == ExportStatus.COMPLETED
