"""Work of several steps that outlives every process: where it is, and what each step brought."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from jobs.ids import new_id
from jobs.states import StepStatus, WorkflowStatus


class Workflow(models.Model):
    """
    One run of a definition; `jobs.workflows` alone writes it.

    Its row is the lock: who writes the workflow, its steps' records or its timers holds it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=120, help_text="Of its definition.")
    version = models.PositiveIntegerField(help_text="Of the definition that it began with.")
    tenant_id = models.UUIDField()
    user_id = models.UUIDField(null=True)
    key = models.CharField(max_length=200, null=True, help_text="At most one live one has it.")  # noqa: DJ001 - NULL is "no key", and unique.
    status = models.CharField(
        max_length=10, choices=WorkflowStatus.choices, default=WorkflowStatus.PROCESSING
    )
    #: The number of the step that is to be done; one more than the last at the end.
    step_number = models.PositiveIntegerField(default=1)
    step_count = models.PositiveIntegerField()
    #: What it began with, and what its steps have made of it.
    initial_state = models.JSONField(default=dict)
    state = models.JSONField(default=dict)
    #: Of the steps: 0 to 100.
    percent = models.PositiveSmallIntegerField(default=0)
    #: What its start said, for its restarts too; None: what its definition says at that moment.
    deadline_seconds = models.PositiveIntegerField(null=True)
    error = models.TextField(blank=True, help_text="Why it failed, in one line.")
    #: The one that it goes on with from a step; unique, so that two clicks make one.
    restart_of = models.OneToOneField(
        "self", models.SET_NULL, null=True, related_name="restarted_as", editable=False
    )
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        permissions = [
            ("cancel_workflow", "Can cancel workflows"),
            ("restart_workflow", "Can restart workflows from a step"),
            ("move_workflow", "Can move the deadlines of workflows"),
        ]
        indexes = [
            # The API's and the admin's list of one tenant, newest first.
            models.Index(fields=["tenant_id", "id"], name="jobs_workflows_by_tenant"),
            # The admin's list of a status, newest first.
            models.Index(fields=["status", "id"], name="jobs_workflows_by_status"),
            # Retention: those that ended first.
            models.Index(
                fields=["ended_at"],
                condition=Q(ended_at__isnull=False),
                name="jobs_workflows_ended_by_age",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant_id", "name", "key"],
                condition=Q(status=WorkflowStatus.PROCESSING, key__isnull=False),
                name="jobs_one_live_workflow_per_key",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.pk}"

    @property
    def is_live(self) -> bool:
        return self.status == WorkflowStatus.PROCESSING


class WorkflowStep(models.Model):
    """A step of a workflow, or one branch of a parallel one, from when it may begin."""

    # No index of its own: the constraint below begins with it.
    workflow = models.ForeignKey(Workflow, models.CASCADE, related_name="steps", db_index=False)
    number = models.PositiveIntegerField()
    branch = models.PositiveIntegerField(default=0)
    name = models.CharField(max_length=120)
    status = models.CharField(max_length=10, choices=StepStatus.choices, default=StepStatus.WAITING)
    #: A branch's own, or what a synchronous step was sent.
    input = models.JSONField(null=True)
    output = models.JSONField(null=True)
    #: The workflow's state after it: where a restart from the next step begins.
    state = models.JSONField(null=True)
    #: The job that works it, if workers do; no constraint, for jobs are deleted before.
    job_id = models.UUIDField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    progress_done = models.PositiveBigIntegerField(default=0)
    progress_total = models.PositiveBigIntegerField(default=0)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, help_text="When its newest attempt began.")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            # A step is stored once, however often what comes before it is done.
            models.UniqueConstraint(
                fields=["workflow", "number", "branch"], name="jobs_one_row_per_step_and_branch"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.name}" + (f" [{self.branch}]" if self.branch else "")


class WorkflowTimer(models.Model):
    """A moment at which something is done for a workflow, by name; gone once that is done."""

    # No index of its own: the constraint below begins with it.
    workflow = models.ForeignKey(Workflow, models.CASCADE, related_name="timers", db_index=False)
    name = models.CharField(max_length=60)
    due_at = models.DateTimeField()
    #: Rises each time that it is set: what was enqueued for an earlier setting is nothing.
    setting = models.PositiveIntegerField(default=1)
    #: When a job was enqueued that fires it.
    enqueued_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        indexes = [
            # The sweep: what is due and not enqueued yet, and nothing else.
            models.Index(
                fields=["due_at"],
                condition=Q(enqueued_at__isnull=True),
                name="jobs_timers_by_due",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["workflow", "name"], name="jobs_one_timer_per_workflow_and_name"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} at {self.due_at}"


class WorkflowChange(models.Model):
    """One line of a workflow's history; written in the transaction of what it tells of."""

    workflow = models.ForeignKey(Workflow, models.CASCADE, related_name="changes")
    at = models.DateTimeField(db_default=Now())
    status = models.CharField(max_length=10, choices=WorkflowStatus.choices)
    step_number = models.PositiveIntegerField()
    what = models.CharField(max_length=200)

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.what} of {self.workflow_id}"
