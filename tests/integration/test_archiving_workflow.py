"""The workflow that archives a project, from its start over HTTP to the deed."""

import pytest

from jobs.models import Workflow
from jobs.testing import run_enqueued_jobs
from project.accounts.scopes import Role
from project.workspace.models import Project
from tests import workflow_drills as drills
from tests.api import program
from tests.people import make_member, make_tenant

pytestmark = pytest.mark.django_db

URL = "/api/v1/workflows"


@pytest.fixture
def ann(acme):
    return make_member(acme, role=Role.ADMIN)


@pytest.fixture
def api(client, acme, ann):
    """A program with Ann's token."""
    return program(client, URL, acme, ann)


def decide(api, workflow, confirmed):
    body = {"step_number": 2, "data": {"confirmed": confirmed}}
    return api("post", f"/{workflow.pk}/steps", body)


class TestArchivingAProject:
    @pytest.mark.parametrize("confirmed", [True, False])
    def test_waits_for_a_decision_and_does_as_it_says(self, api, acme, confirmed):
        project = Project.objects.create(tenant=acme, name="Autumn")
        body = {"name": "workspace.archive_project", "data": {"project_id": str(project.pk)}}
        workflow = Workflow.objects.get(pk=api("post", body=body).json()["workflow_id"])
        run_enqueued_jobs()

        assert decide(api, workflow, confirmed).status_code == 200
        run_enqueued_jobs()

        project.refresh_from_db()
        assert drills.fresh(workflow).status == "completed"
        assert (project.archived_at is not None) == confirmed

    def test_of_another_tenants_project_fails(self, api):
        project = Project.objects.create(tenant=make_tenant("globex"), name="Theirs")
        body = {"name": "workspace.archive_project", "data": {"project_id": str(project.pk)}}
        started = api("post", body=body).json()
        run_enqueued_jobs(raise_errors=False)

        shown = api("get", f"/{started['workflow_id']}").json()
        assert shown["status"] == "failed"
        assert f"There is no project {project.pk}." in shown["error"]
