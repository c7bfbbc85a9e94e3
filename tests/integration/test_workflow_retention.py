"""Workflows that ended long ago go, with their steps and history; live ones stay for ever."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Workflow, WorkflowChange, WorkflowStep, WorkflowTimer
from jobs.workflows import operations
from jobs.workflows.retention import BATCH_WORKFLOWS, delete_expired_workflows
from jobs.workflows.tasks import delete_expired_workflows as part
from tests import workflow_drills as drills
from tests.cleaning import run_part
from tests.drills import ACME

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def acts():
    """What steps do instead of their own."""
    with drills.known() as script:
        yield script


@pytest.fixture
def days(settings):
    settings.JOBS_WORKFLOWS_KEEP_DAYS = 10
    return lambda count: timezone.now() - timedelta(days=count)


def ended(at):
    workflow = drills.start()
    operations.cancel_workflow(workflow_id=workflow.pk, by="ann")
    Workflow.objects.filter(pk=workflow.pk).update(ended_at=at)
    return workflow


class TestDeleteExpiredWorkflows:
    def test_takes_what_ended_before_and_leaves_the_rest(self, days):
        ended(days(11))
        kept = ended(days(9))
        live = drills.start()
        Workflow.objects.filter(pk=live.pk).update(created_at=days(100))

        assert delete_expired_workflows(now=timezone.now()) == 1
        assert set(Workflow.objects.all()) == {kept, live}
        assert drills.history(kept) == ["started", "cancelled"]
        assert drills.timer(live, "timeout")

    def test_takes_steps_and_history_with_it(self, days):
        ended(days(11))

        delete_expired_workflows(now=timezone.now())

        for model in (Workflow, WorkflowStep, WorkflowChange, WorkflowTimer):
            assert not model.objects.exists()

    def test_lets_a_restart_forget_what_it_goes_on_with(self, days):
        old = ended(days(11))
        new = operations.restart_workflow(workflow_id=old.pk, by="ann", tenant_id=ACME)

        delete_expired_workflows(now=timezone.now())

        assert drills.fresh(new).restart_of is None

    def test_takes_more_than_a_batch(self, days):
        name = [ended(days(11)).name for _ in range(3)][0]
        Workflow.objects.bulk_create(
            Workflow(name=name, version=1, tenant_id=ACME, step_count=5, status="failed",
                     ended_at=days(12))
            for _ in range(BATCH_WORKFLOWS)
        )  # fmt: skip

        assert delete_expired_workflows(now=timezone.now()) == BATCH_WORKFLOWS + 3
        assert not Workflow.objects.exists()

    def test_is_a_part_of_the_nightly_clean_up(self, days):
        ended(days(11))

        assert run_part(part, at=timezone.now()).state == "succeeded"
        assert not Workflow.objects.exists()
