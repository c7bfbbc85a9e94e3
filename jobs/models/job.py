"""The ledger: every job, and every execution of it that has ended."""

import uuid
from contextlib import AbstractContextManager

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from jobs.ids import new_id
from jobs.states import DUE, IN_FLIGHT, LIVE, SETTLED, SPENT, SYSTEM_TENANT, JobState, Outcome


class JobQuerySet(models.QuerySet["Job"]):
    def live(self) -> "JobQuerySet":
        return self.filter(state__in=LIVE)

    def of_tenant(self, tenant_id: uuid.UUID) -> "JobQuerySet":
        return self.filter(tenant_id=tenant_id)


class Job(models.Model):
    """
    One piece of work; its id is the Celery task id.

    Only `jobs.engine.lifecycle` writes `state` and the columns that move with it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    type = models.CharField(max_length=120)
    queue = models.CharField(max_length=60, help_text="The lane: which queue it is sent to.")
    #: "<lane or type>/<tenant or other>": the unit of fairness and of `max_in_flight`.
    partition = models.CharField(max_length=200)
    tenant_id = models.UUIDField(default=uuid.UUID(SYSTEM_TENANT))
    user_id = models.UUIDField(null=True)
    payload = models.JSONField(default=dict)
    key = models.CharField(max_length=200, null=True, help_text="At most one live job has it.")  # noqa: DJ001 - NULL is "no key", and unique.
    #: The slot of a schedule that it was enqueued for; no constraint, for slots are deleted before.
    slot = models.ForeignKey(
        "Slot", models.DO_NOTHING, null=True, db_constraint=False, db_index=False,
        related_name="jobs",
    )  # fmt: skip
    #: `{"priority": 0 to 255, "headers": {…}}` of its message, beside the engine's own.
    message_options = models.JSONField(null=True)
    replay_of = models.OneToOneField(
        "self", models.SET_NULL, null=True, related_name="replayed_by", editable=False
    )

    state = models.CharField(max_length=10, choices=JobState.choices, default=JobState.WAITING)
    #: Hand-overs to the broker. A message that carries another number is stale.
    dispatch = models.PositiveIntegerField(default=0)
    #: Executions started. Only rises: the fence, never compared with a limit.
    attempt = models.PositiveIntegerField(default=0)
    #: Executions that ended in an error: what Celery's retry limit is compared with.
    failures = models.PositiveIntegerField(default=0)
    #: Executions that ended without a word; JOBS_LOSSES_MAX bounds them.
    losses = models.PositiveIntegerField(default=0)
    #: Copies of the current dispatch that recovery sent.
    copies = models.PositiveSmallIntegerField(default=0)

    created_at = models.DateTimeField(db_default=Now())
    run_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)
    #: Its first hand-over: how long a type may be unknown is counted from here.
    first_queued_at = models.DateTimeField(null=True)
    queued_at = models.DateTimeField(null=True, help_text="When it was last handed to the broker.")
    copied_at = models.DateTimeField(null=True, help_text="When a copy was last sent.")
    started_at = models.DateTimeField(null=True, help_text="When its newest attempt began.")
    lease_until = models.DateTimeField(null=True, help_text="Until when its worker is trusted.")
    settled_at = models.DateTimeField(null=True)
    #: When the relay sends the dead letter of a failed job, if none has come by itself.
    dead_letter_due_at = models.DateTimeField(null=True)
    dead_lettered_at = models.DateTimeField(null=True, help_text="When its dead letter was stored.")
    worker = models.CharField(max_length=200, blank=True)
    error = models.TextField(blank=True, help_text="Why it failed, in one line.")

    objects = JobQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        permissions = [("cancel_job", "Can cancel jobs"), ("replay_job", "Can run jobs again")]
        indexes = [
            # The relay: the next due jobs of each partition.
            models.Index(
                fields=["partition", "run_at", "id"],
                condition=Q(state__in=DUE),
                name="jobs_due_by_partition",
            ),
            # The relay: how many of a partition are in flight. Recovery: lost ones of a lane.
            models.Index(
                fields=["partition", "queue", "queued_at"],
                condition=Q(state__in=IN_FLIGHT),
                name="jobs_in_flight_by_partition",
            ),
            # A slot's jobs: how it went, and how long it took.
            models.Index(fields=["slot"], condition=Q(slot__isnull=False), name="jobs_by_slot"),
            # The scheduler: is a job of an earlier slot still live?
            models.Index(
                fields=["slot"],
                condition=Q(state__in=(*DUE, *IN_FLIGHT), slot__isnull=False),
                name="jobs_live_by_slot",
            ),
            # Retention: those that settled first.
            models.Index(
                fields=["settled_at"],
                condition=Q(settled_at__isnull=False),
                name="jobs_settled_by_age",
            ),
            # Recovery: jobs that expired before their turn came.
            models.Index(
                fields=["expires_at"],
                condition=Q(state__in=DUE, expires_at__isnull=False),
                name="jobs_due_by_expiry",
            ),
            # The relay: failed jobs whose dead letter is missing.
            models.Index(
                fields=["dead_letter_due_at"],
                condition=Q(state=JobState.FAILED, dead_lettered_at__isnull=True),
                name="jobs_dead_letters_by_due",
            ),
            # The API's and the admin's list of one tenant, newest first.
            models.Index(fields=["tenant_id", "id"], name="jobs_by_tenant"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant_id", "type", "key"],
                condition=Q(state__in=LIVE, key__isnull=False),
                name="jobs_one_live_job_per_key",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"

    @property
    def is_settled(self) -> bool:
        return self.state in SETTLED

    @property
    def attempts(self) -> int:
        """Executions that ended in an error or a success."""
        return self.failures + (self.state == JobState.SUCCEEDED)

    def fence(self) -> AbstractContextManager[None]:
        """
        Open a short transaction in which this attempt alone may write.

        :raises MoveRefused: if the job was cancelled or given to another attempt.
        """
        from jobs.engine.fence import fence

        return fence(self)

    def succeeding(self) -> AbstractContextManager[None]:
        """
        Open a transaction whose last statement settles the job: both commit, or neither.

        :raises MoveRefused: if the job was cancelled or given to another attempt.
        """
        from jobs.engine.fence import succeeding

        return succeeding(self)


class Attempt(models.Model):
    """One execution that has ended: where it ran, how it ended, and why."""

    # No index of its own: the constraint below begins with it.
    job = models.ForeignKey(Job, models.CASCADE, related_name="history", db_index=False)
    attempt = models.PositiveIntegerField()
    dispatch = models.PositiveIntegerField()
    outcome = models.CharField(max_length=12, choices=Outcome.choices)
    worker = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(db_default=Now())
    error_type = models.CharField(max_length=200, blank=True)
    error_message = models.TextField(blank=True)
    #: "<file>:<function>": the innermost frame of our own code, by which errors are grouped.
    place = models.CharField(max_length=200, blank=True, db_default="")
    traceback = models.TextField(blank=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            # Two processes may end the same attempt; one row stands.
            models.UniqueConstraint(fields=["job", "attempt"], name="jobs_one_end_per_attempt"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.attempt} of {self.job_id}"

    @property
    def spent(self) -> bool:
        return self.outcome in SPENT
