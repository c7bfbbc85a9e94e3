"""Messages that could not be worked, and what groups them."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from jobs.ids import new_id
from jobs.models.job import Attempt, Job
from jobs.states import AlertKind, BulkState, DeadLetterState


class Incident(models.Model):
    """
    What alerts are grouped by: dead letters of one cause, or one thing that is wrong elsewhere.

    One row a fingerprint. Hardly ever written: the dead letters count themselves, so that
    thousands of one cause don't wait for one row.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    fingerprint = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=20, choices=AlertKind.choices)
    #: Of dead letters: the job type, the error's class, and the place in the code.
    type = models.CharField(max_length=120, blank=True)
    error_type = models.CharField(max_length=200, blank=True)
    place = models.CharField(max_length=200, blank=True)
    first_seen_at = models.DateTimeField(db_default=Now())
    last_alert_at = models.DateTimeField(null=True)
    #: How many there had been when the last alert was raised.
    alerted_count = models.PositiveIntegerField(default=0)
    #: Those that no row shows: dead letters that retention deleted, or events of other kinds.
    past_count = models.PositiveIntegerField(default=0)

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        parts = (self.type, self.error_type, self.place)
        return " · ".join(part for part in parts if part) or self.get_kind_display()


class TenantIncident(models.Model):
    """
    When a tenant was told of an incident that hit it, and up to which dead letter.

    The tenant's counterpart of the incident's own columns, which are the operator's.
    """

    # No index of its own: the constraint below begins with it.
    incident = models.ForeignKey(
        Incident, models.CASCADE, related_name="tenants_told", db_index=False
    )
    tenant_id = models.UUIDField()
    last_told_at = models.DateTimeField(db_default=Now())
    #: The newest of those that were told of: ids rise with time.
    told_up_to = models.UUIDField()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["incident", "tenant_id"], name="jobs_one_row_per_incident_and_tenant"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.incident_id} of {self.tenant_id}"


class DeadLetter(models.Model):
    """
    A message that died, as it was, and what became of it.

    Stored once for a job and dispatch, or for the message itself where no job is known.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    #: What must not be stored twice: "<job>:<dispatch>", or a digest of the message.
    death = models.CharField(max_length=100, unique=True)
    #: The ledger's job, if it has one: no constraint, for a job may be deleted before.
    job = models.ForeignKey(
        Job, models.DO_NOTHING, null=True, db_constraint=False, related_name="dead_letters"
    )
    incident = models.ForeignKey(
        Incident, models.PROTECT, null=True, related_name="dead_letters", db_index=False
    )
    state = models.CharField(
        max_length=10, choices=DeadLetterState.choices, default=DeadLetterState.OPEN
    )

    type = models.CharField(max_length=120, blank=True)
    queue = models.CharField(max_length=255, blank=True, help_text="The queue it died in.")
    reason = models.CharField(max_length=30, help_text="The broker's word, or the ledger's.")
    tenant_id = models.UUIDField(null=True)
    user_id = models.UUIDField(null=True)
    dispatch = models.PositiveIntegerField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    error_type = models.CharField(max_length=200, blank=True)
    error = models.TextField(blank=True, help_text="Why, in one line.")
    place = models.CharField(max_length=200, blank=True)
    worker = models.CharField(max_length=200, blank=True)
    died_at = models.DateTimeField(null=True, help_text="By the broker's clock, in seconds.")
    recorded_at = models.DateTimeField(db_default=Now())

    #: The message itself.
    body = models.BinaryField()
    headers = models.JSONField(default=dict)
    properties = models.JSONField(default=dict)
    routing_key = models.CharField(max_length=255, blank=True)

    #: What was done about it. The job of a replay; unique, so two clicks make one.
    replay_job = models.OneToOneField(
        Job, models.DO_NOTHING, null=True, db_constraint=False, related_name="replay_of_dead_letter"
    )
    bulk_replay = models.ForeignKey(
        "BulkReplay", models.SET_NULL, null=True, related_name="dead_letters"
    )
    handled_at = models.DateTimeField(null=True)
    handled_by = models.CharField(max_length=200, blank=True)
    discard_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        default_permissions = ("view",)
        permissions = [
            ("replay_deadletter", "Can replay dead letters"),
            ("edit_deadletter", "Can replay dead letters with another payload"),
            ("replay_matching_deadletter", "Can replay all dead letters that match a filter"),
            ("discard_deadletter", "Can discard dead letters"),
        ]
        indexes = [
            # The list of those that wait for somebody, and the oldest of them.
            models.Index(
                fields=["id"],
                condition=Q(state=DeadLetterState.OPEN),
                name="jobs_open_dead_letters",
            ),
            # An incident's count and its newest; a replay of all that are its own.
            models.Index(fields=["incident", "state", "id"], name="jobs_dead_by_incident"),
            # Retention: the oldest that are done with.
            models.Index(
                fields=["recorded_at"],
                condition=~Q(state=DeadLetterState.OPEN),
                name="jobs_dead_done_by_age",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type or 'unreadable message'} {self.pk}"

    @property
    def cause(self) -> Attempt | None:
        """The attempt that the message died of; None where it never ran, or died without a word."""
        if self.job_id is None or self.dispatch is None:
            return None
        ended = Attempt.objects.filter(job_id=self.job_id, dispatch=self.dispatch)
        return ended.exclude(error_type="").order_by("attempt").last()


class BulkReplay(models.Model):
    """The replay of everything that matched a filter: in slices, at a rate, until enough fail."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    filter = models.JSONField(default=dict)
    #: The newest dead letter when it was asked for: what dies later is not replayed.
    up_to = models.UUIDField(null=True)
    rate_per_second = models.FloatField(default=10)
    canary = models.BooleanField(default=True, help_text="The first alone, then the others.")
    stop_share = models.FloatField(
        default=0.5, help_text="Stop when more than this share of the settled has failed: 0 to 1."
    )
    state = models.CharField(max_length=10, choices=BulkState.choices, default=BulkState.RUNNING)
    matched = models.PositiveIntegerField(default=0)
    replayed = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    #: The last one looked at: the next slice begins after it.
    after = models.UUIDField(null=True)
    note = models.TextField(blank=True)
    asked_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"replay of {self.matched} dead letters"
