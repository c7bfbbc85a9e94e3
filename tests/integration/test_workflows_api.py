"""`/api/v1/workflows`: the answers that other programs rely on."""

import pytest

from jobs.errors import GiveUp
from jobs.models import Job, Workflow
from jobs.workflows import operations, queries
from project.accounts.scopes import Scope
from tests import workflow_drills as drills
from tests.api import faulty_fields, problem, program, program_of_stranger
from tests.people import make_member

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("acts")]

URL = "/api/v1/workflows"
ASSEMBLE = {"name": drills.ASSEMBLE, "data": {"parts": 2}}
ABSENT = "0193aaaa-0000-7000-8000-00000000dead"


@pytest.fixture
def api(client, acme, ann):
    """A program with Ann's token."""
    return program(client, URL, acme, ann)


@pytest.fixture
def others(client):
    """A program of another tenant."""
    return program_of_stranger(client, URL)


@pytest.fixture
def waiting(acme, ann):
    """A workflow of Ann's that waits for its step 4."""
    return drills.reach(4, tenant_id=acme.pk, user_id=ann.pk)


class TestStart:
    def test_is_accepted_and_says_where_to_look(self, api, acme, ann):
        answer = api("post", body=ASSEMBLE)

        workflow = Workflow.objects.get()
        assert answer.status_code == 202
        assert answer.json() == {"workflow_id": str(workflow.pk), "status": "started"}
        assert answer.headers["Location"] == f"{URL}/{workflow.pk}"
        assert (workflow.tenant_id, workflow.user_id) == (acme.pk, ann.pk)
        assert workflow.state["parts"] == 2

    def test_with_a_key_is_done_once(self, api):
        first = api("post", body=ASSEMBLE, Idempotency_Key="nightly-1")
        again = api("post", body=ASSEMBLE, Idempotency_Key="nightly-1")

        assert first.json() == again.json()
        assert Workflow.objects.count() == Job.objects.count() == 1

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"name": "nonsense"}, "name"),
            ({"name": drills.WAIT}, "name"),
            ({"name": 7}, "name"),
            ({}, "name"),
            (ASSEMBLE | {"tenant": "other"}, "tenant"),
            (ASSEMBLE | {"data": {"parts": "many"}}, "data"),
            (ASSEMBLE | {"data": {"words": ["a\0b"]}}, "data.words.0"),
            (ASSEMBLE | {"data": {"words": ["\ud800"]}}, "data.words.0"),
            (ASSEMBLE | {"data": []}, "data"),
            (ASSEMBLE | {"data": {"prats": 3}}, "data"),
        ],
    )
    def test_that_is_wrong_names_the_field(self, api, body, field):
        answer = api("post", body=body)

        assert answer.status_code == 422
        assert faulty_fields(answer) == [field]
        assert not Workflow.objects.exists()

    def test_says_which_workflows_there_are(self, api):
        _, _, detail = problem(api("post", body={"name": "nonsense"}))

        known = detail.partition("Known: ")[2]
        assert drills.ASSEMBLE in known
        assert "workspace.archive_project" in known
        assert drills.WAIT not in known

    def test_needs_credentials_and_the_scope(self, client, acme, ann):
        assert client.post(URL, ASSEMBLE, content_type="application/json").status_code == 401
        reader = program(client, URL, acme, ann, scopes=[Scope.WORKFLOWS_READ])
        assert reader("post", body=ASSEMBLE).status_code == 403
        assert reader("get").status_code == 200

    def test_is_not_for_a_member_who_may_look(self, client, acme):
        member = program(client, URL, acme, make_member(acme, "bob@acme.example"))

        assert member("post", body=ASSEMBLE).status_code == 403
        assert member("get").status_code == 200


class TestStatus:
    def test_shows_where_it_is_and_what_its_steps_have_brought(self, api, waiting, ann):
        shown = api("get", f"/{waiting.pk}").json()

        assert (shown["id"], shown["name"]) == (str(waiting.pk), drills.ASSEMBLE)
        assert (shown["status"], shown["progress"], shown["error"]) == ("processing", 60, None)
        assert (shown["step_number"], shown["step_count"]) == (4, 5)
        assert shown["user_id"] == str(ann.pk)
        assert shown["state"] == {"parts": 3, "total": 1, "words": []}
        assert shown["deadline_at"]
        assert (shown["restart_of"], shown["restarted_as"], shown["ended_at"]) == (None, None, None)
        steps = [(step["number"], step["branch"], step["status"]) for step in shown["steps"]]
        assert steps == [
            (1, 0, "done"), (2, 0, "done"), (3, 0, "done"), (3, 1, "done"), (3, 2, "done"),
            (4, 0, "waiting"),
        ]  # fmt: skip
        assert shown["steps"][0]["output"] == {"parts": 3}

    def test_shows_the_progress_of_a_long_step(self, api, acme, acts):
        seen = []

        def run(step_run):
            step_run.show(3, 10)
            step = api("get", f"/{step_run.workflow.pk}").json()["steps"][1]
            seen.append((step["status"], step["progress_done"], step["progress_total"]))

        acts["fetch"] = run
        drills.reach(3, tenant_id=acme.pk)

        assert seen == [("running", 3, 10)]

    def test_of_a_failed_one_says_why(self, api, acme, acts):
        def run(_):
            raise GiveUp("no such part")

        acts["fetch"] = run
        workflow = drills.reach(2, tenant_id=acme.pk)
        drills.deliver_due()

        shown = api("get", f"/{workflow.pk}").json()
        assert shown["status"] == "failed"
        assert shown["error"] == "Step 2, drills.fetch_parts: GiveUp: no such part"
        assert (shown["steps"][1]["status"], shown["steps"][1]["attempts"]) == ("failed", 1)
        assert shown["deadline_at"] is None

    def test_of_anothers_is_as_unknown_as_one_that_is_not_there(self, others, waiting):
        theirs = others("get", f"/{waiting.pk}")
        absent = others("get", f"/{ABSENT}")

        assert theirs.status_code == absent.status_code == 404
        assert theirs.content.replace(str(waiting.pk).encode(), ABSENT.encode()) == absent.content
        assert others("get", "/nonsense").status_code == 404


class TestManyBranches:
    @pytest.fixture
    def many(self, acme, monkeypatch):
        """A workflow with six branches, which is more than are shown, of which two are done."""
        monkeypatch.setattr(queries, "BRANCHES_SHOWN", 5)
        workflow = drills.reach(3, tenant_id=acme.pk, parts=6)
        workflow.steps.filter(number=3, branch__lt=2).update(status="done", output={"x": "y" * 99})
        return workflow

    def test_are_counted_and_not_listed(self, api, many):
        shown = api("get", f"/{many.pk}").json()

        assert shown["branches"] == [
            {
                "number": 3, "total": 6, "waiting": 4, "running": 0, "done": 2, "failed": 0,
                "cancelled": 0,
            }
        ]  # fmt: skip
        assert [step["number"] for step in shown["steps"]] == [1, 2]
        assert "y" * 99 not in str(shown)

    def test_are_listed_when_all_are_asked_for(self, api, many):
        shown = api("get", f"/{many.pk}?branches=all").json()

        assert [step["number"] for step in shown["steps"]] == [1, 2, *[3] * 6]
        assert shown["steps"][2]["output"] == {"x": "y" * 99}
        assert shown["branches"][0]["total"] == 6

    def test_are_read_by_as_many_queries_as_few_and_without_their_outputs(
        self, api, many, acme, django_assert_num_queries, django_assert_max_num_queries
    ):
        few = drills.reach(3, tenant_id=acme.pk, parts=2)
        api("get", f"/{few.pk}")
        with django_assert_max_num_queries(20) as one:
            assert len(api("get", f"/{few.pk}").json()["steps"]) == 4

        with django_assert_num_queries(len(one)) as queries_made:
            api("get", f"/{many.pk}")
        listing = [each["sql"] for each in queries_made if '"output"' in each["sql"]]
        assert ['"number" IN' in sql for sql in listing] == [True]

    def test_of_a_step_that_is_not_parallel_are_none(self, api, acme):
        shown = api("get", f"/{drills.reach(2, tenant_id=acme.pk).pk}").json()

        assert shown["branches"] == []

    def test_of_a_parallel_step_are_counted_also_where_it_has_one(self, api, acme):
        shown = api("get", f"/{drills.reach(3, tenant_id=acme.pk, parts=1).pk}").json()

        assert [each["total"] for each in shown["branches"]] == [1]
        assert len(shown["steps"]) == 3

    @pytest.mark.parametrize(
        ("query", "field"), [("branches=some", "branches"), ("branch=all", "branch")]
    )
    def test_with_a_wrong_parameter_names_it(self, api, many, query, field):
        answer = api("get", f"/{many.pk}?{query}")

        assert (answer.status_code, faulty_fields(answer)) == (422, [field])


class TestList:
    def test_is_of_ones_own_newest_first_and_in_pages(self, api, others, acme):
        workflows = [drills.start(tenant_id=acme.pk) for _ in range(3)]
        drills.start()

        first = api("get", "?limit=2").json()
        assert [item["id"] for item in first["items"]] == [
            str(each.pk) for each in workflows[:0:-1]
        ]
        second = api("get", f"?limit=2&before={first['next_before']}").json()
        assert [item["id"] for item in second["items"]] == [str(workflows[0].pk)]
        assert second["next_before"] is None
        assert others("get").json()["items"] == []

    def test_is_narrowed_by_status_and_name(self, api, acme, waiting):
        drills.start(drills.WAIT, tenant_id=acme.pk)
        operations.cancel_workflow(workflow_id=waiting.pk, by="ann")

        cancelled = api("get", "?status=cancelled").json()["items"]
        assert [item["id"] for item in cancelled] == [str(waiting.pk)]
        named = api("get", f"?name={drills.WAIT}").json()["items"]
        assert [item["name"] for item in named] == [drills.WAIT]

    @pytest.mark.parametrize(
        ("query", "field"),
        [("status=lost", "status"), ("limit=0", "limit"), ("before=x", "before"), ("x=1", "x")],
    )
    def test_with_a_wrong_parameter_names_it(self, api, query, field):
        answer = api("get", f"?{query}")

        assert (answer.status_code, faulty_fields(answer)) == (422, [field])

    def test_asks_the_database_as_often_for_many_as_for_one(
        self, api, acme, django_assert_num_queries, django_assert_max_num_queries
    ):
        drills.start(tenant_id=acme.pk)
        api("get")  # The first notes that the token was used.
        with django_assert_max_num_queries(20) as one:
            api("get")
        for _ in range(10):
            drills.start(tenant_id=acme.pk)

        with django_assert_num_queries(len(one)):
            assert len(api("get").json()["items"]) == 11
