"""The commands that steer jobs and queues: what they print, and how they fail."""

import json
import subprocess
import sys
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from jobs import enqueue, operations
from jobs.engine import lifecycle
from jobs.ids import new_id
from jobs.management.base import as_table
from jobs.models import Job
from jobs.states import SYSTEM_TENANT, JobState
from project import topology
from tests.harness.tasks import Errand, do_nothing
from tests.harness.variables import CHECKOUT

pytestmark = pytest.mark.django_db

COMMANDS = [
    "declare_topology", "enqueue", "list_jobs", "retry_job", "cancel_job", "recover_jobs",
    "show_queues",
]  # fmt: skip


def run(*words: str, **options) -> str:
    out = StringIO()
    call_command(*words, stdout=out, **options)
    return out.getvalue().strip()


def make_job(label="a job", **options) -> Job:
    return enqueue(do_nothing, Errand(label=label), **options)


class TestEnqueue:
    def test_stores_a_job_and_prints_its_id(self):
        tenant, user = new_id(), new_id()
        options = [f"--tenant={tenant}", f"--user={user}", "--key=k"]
        moment = "--run-at=2030-01-31T09:00:00+01:00"
        printed = run("enqueue", "tests.do_nothing", '{"label": "x"}', *options, moment)
        job = Job.objects.get(pk=printed)
        assert (job.tenant_id, job.user_id, job.key) == (tenant, user, "k")
        assert job.payload["label"] == "x"
        assert job.run_at.isoformat() == "2030-01-31T08:00:00+00:00"

    def test_gives_the_system_what_has_no_tenant(self):
        job = Job.objects.get(pk=run("enqueue", "tests.do_nothing", '{"label": "x"}'))
        assert str(job.tenant_id) == SYSTEM_TENANT

    @pytest.mark.parametrize(
        ("words", "fault"),
        [
            (["tests.nothing"], "No job type is named 'tests.nothing'. Known: "),
            (["tests.do_nothing", "{"], "not JSON"),
            (["tests.do_nothing", "[1]"], "not a JSON object"),
            (["tests.do_nothing", "{}"], "label: Field required"),
            (["tests.do_nothing", '{"label": "a\\u0000"}'], "NUL"),
            (["tests.do_nothing", '{"label": "x"}', "--tenant=acme"], "invalid UUID value: 'acme'"),
            (["tests.do_nothing", '{"label": "x"}', "--run-at=noon"], "not a time with a zone"),
            (["tests.do_nothing", '{"label": "x"}', "--run-at=2030-01-31T09:00"], "with a zone"),
        ],
    )
    def test_says_what_is_wrong(self, words, fault):
        with pytest.raises(CommandError, match=fault.replace("[", r"\[")):
            run("enqueue", *words)
        assert not Job.objects.exists()

    def test_names_the_job_that_has_the_key(self):
        held = make_job(key="k")
        with pytest.raises(CommandError, match=f"Job {held.pk} is live and has the key 'k'"):
            run("enqueue", "tests.do_nothing", '{"label": "x"}', "--key=k")


class TestListJobs:
    def test_prints_a_line_for_each_job_newest_first(self):
        first, second = make_job(), make_job()
        lines = run("list_jobs").splitlines()
        assert [line.split()[0] for line in lines] == ["id", str(second.pk), str(first.pk)]

    def test_prints_json_for_programs(self):
        job = make_job()
        (row,) = json.loads(run("list_jobs", "--json"))
        assert (row["id"], row["state"], row["attempts"]) == (str(job.pk), "waiting", 0)

    def test_filters(self):
        tenant = new_id()
        job = make_job(tenant_id=tenant)
        operations.cancel_job(job_id=make_job().pk, by="a test")
        assert [row["id"] for row in json.loads(run("list_jobs", f"--tenant={tenant}", "--json"))]
        assert json.loads(run("list_jobs", "--state=waiting", "--json"))[0]["id"] == str(job.pk)
        assert run("list_jobs", "--type=tests.add_effect") == "No jobs."
        assert json.loads(run("list_jobs", "--type=tests.add_effect", "--json")) == []

    def test_refuses_a_state_that_does_not_exist(self):
        with pytest.raises(CommandError, match="invalid choice: 'done'"):
            run("list_jobs", "--state=done")


class TestCancelJob:
    def test_cancels(self):
        job = make_job()
        assert run("cancel_job", str(job.pk)) == f"{job.pk} cancelled"
        job.refresh_from_db()
        assert (job.state, job.error) == (JobState.CANCELLED, "Cancelled by manage.py cancel_job.")

    def test_says_why_not(self):
        job = make_job()
        run("cancel_job", str(job.pk))
        with pytest.raises(CommandError, match="only live jobs can be cancelled"):
            run("cancel_job", str(job.pk))
        with pytest.raises(CommandError, match="There is no job"):
            run("cancel_job", str(new_id()))


class TestRetryJob:
    def test_prints_the_id_of_the_new_job(self):
        job = make_job("again")
        run("cancel_job", str(job.pk))
        new = Job.objects.get(pk=run("retry_job", str(job.pk)))
        assert (new.replay_of, new.payload) == (job, job.payload)

    def test_says_why_not(self):
        with pytest.raises(CommandError, match="only failed or cancelled jobs run again"):
            run("retry_job", str(make_job().pk))


class TestQueueCommands:
    @pytest.mark.parametrize("command", ["declare_topology", "recover_jobs"])
    def test_stop_in_the_embedded_profile(self, command):
        with pytest.raises(CommandError, match="in the embedded profile `manage.py up`"):
            run(command)

    def test_show_the_ledger_in_the_embedded_profile(self):
        make_job()
        lifecycle.take_due(10)
        make_job()
        rows = {row["queue"]: row for row in json.loads(run("show_queues", "--json"))}
        assert list(rows) == [*(lane.name for lane in topology.LANES), "jobs.dead_letters"]
        assert (rows["jobs"]["waiting"], rows["jobs"]["queued"]) == (1, 1)
        assert rows["jobs"]["ready"] is None

    def test_show_a_lane_that_only_the_ledger_knows(self):
        Job.objects.filter(pk=make_job().pk).update(queue="gone")
        assert json.loads(run("show_queues", "--json"))[-1]["queue"] == "gone"


class TestTables:
    def test_keep_control_characters_from_the_terminal(self):
        table = as_table([{"error": "\x1b[2Jgone\nline", "when": timezone.now(), "nothing": None}])
        assert "\x1b" not in table
        assert len(table.splitlines()) == 2
        assert table.endswith("-")

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_explains_itself(self, command):
        argv = [sys.executable, "manage.py", command, "--help"]
        done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "usage: manage.py" in done.stdout
