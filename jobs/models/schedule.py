"""What schedules do beside django-celery-beat's own rows: policies, their changes, their slots."""

from typing import Any

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django_celery_beat.models import PeriodicTask

from jobs.ids import new_id
from jobs.states import MissedPolicy, OverlapPolicy, SlotOutcome

#: Slots and changes outlive the schedule that they are of.
OUTLIVES: Any = {"on_delete": models.DO_NOTHING, "db_constraint": False}


class SchedulePolicy(models.Model):
    """What an operator decides of a schedule, beside django-celery-beat's own fields."""

    schedule = models.OneToOneField(
        PeriodicTask, models.CASCADE, primary_key=True, related_name="policy"
    )
    missed = models.CharField(
        "missed slots", max_length=10, choices=MissedPolicy.choices, default=MissedPolicy.RUN_ONCE,
        help_text="What becomes of slots that passed while no beat ran.",
    )  # fmt: skip
    grace_seconds = models.PositiveIntegerField(
        default=60, help_text="A slot counts as missed when it is later than this many seconds."
    )
    catch_up_seconds = models.PositiveIntegerField(
        default=86_400,
        help_text="Slots older than this many seconds when a beat finds them are not caught up.",
    )
    catch_up_per_minute = models.PositiveIntegerField(
        default=60,
        validators=[MinValueValidator(1)],
        help_text="How many missed slots are run in a minute, at most.",
    )
    overlap = models.CharField(
        max_length=10, choices=OverlapPolicy.choices, default=OverlapPolicy.ALLOW,
        help_text="What becomes of a slot while jobs of an earlier one still run.",
    )  # fmt: skip
    waiting_max = models.PositiveIntegerField(
        default=1_000,
        help_text="How many slots may wait, for either reason; the newest above it are skipped.",
    )
    paused_from = models.DateTimeField(null=True, blank=True, editable=False)
    paused_until = models.DateTimeField(
        null=True, blank=True, help_text="Slots before this moment are skipped; empty: not paused."
    )

    class Meta:
        verbose_name = "policy"
        verbose_name_plural = "policies"
        default_permissions = ("view", "change")
        permissions = [
            ("trigger_schedule", "Can run schedules now"),
            ("pause_schedule", "Can pause and resume schedules"),
        ]

    def __str__(self) -> str:
        return f"policy of {self.schedule_id}"


class ScheduleCursor(models.Model):
    """
    How far a schedule's ledger is complete.

    Only who holds the schedule's own lock (`schedules.locking`) moves it: a beat that decides its
    slots, or a change until it commits. So every slot is judged by the definition of its time.
    """

    schedule = models.OneToOneField(
        PeriodicTask, models.CASCADE, primary_key=True, related_name="cursor"
    )
    covered_until = models.DateTimeField(help_text="Every slot up to here has a row.")
    released_at = models.DateTimeField(null=True, help_text="When a waiting slot last ran.")
    disabled_reason = models.TextField(blank=True, help_text="Why the scheduler disabled it.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.schedule_id} up to {self.covered_until}"


class ScheduleRevision(models.Model):
    """One state of a schedule's definition: in force from a moment until the next revision."""

    schedule = models.ForeignKey(PeriodicTask, related_name="revisions", db_index=False, **OUTLIVES)
    schedule_name = models.CharField(max_length=200)
    from_at = models.DateTimeField(help_text="Slots after this moment follow it.")
    by = models.CharField(max_length=200, help_text="A person's address, or what changed it.")
    definition = models.JSONField()
    changes = models.JSONField(default=dict, help_text='`{"field": [before, after]}`')

    class Meta:
        default_permissions = ("view",)
        indexes = [
            # The newest revision of a schedule, and those in force since a moment.
            models.Index(fields=["schedule", "from_at", "id"], name="jobs_revisions_by_schedule")
        ]

    def __str__(self) -> str:
        return f"{self.schedule_name} from {self.from_at}"


class ScheduleSeed(models.Model):
    """What `sync_schedules` last wrote of a row; what differs from it is an operator's."""

    name = models.CharField(max_length=200, primary_key=True)
    definition = models.JSONField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class Slot(models.Model):
    """One nominal time of a schedule, or one run by hand, and what became of it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    schedule = models.ForeignKey(PeriodicTask, related_name="slots", db_index=False, **OUTLIVES)
    schedule_name = models.CharField(max_length=200)
    at = models.DateTimeField(help_text="Its nominal time; of a run by hand, the pretended one.")
    outcome = models.CharField(max_length=10, choices=SlotOutcome.choices)
    missed = models.BooleanField(default=False, help_text="It was over its grace when found.")
    asked_by = models.CharField(max_length=200, blank=True, help_text="Who ran it by hand.")
    #: The job that it started; what that enqueued in turn has the same slot.
    job = models.ForeignKey(
        "Job", models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    decided_at = models.DateTimeField(db_default=Now(), help_text="When its outcome was written.")
    error = models.TextField(blank=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            # Of two beats one writes a slot; the other's whole transaction never was.
            models.UniqueConstraint(
                fields=["schedule", "at"],
                condition=Q(asked_by=""),
                name="jobs_one_run_per_schedule_and_slot",
            ),
        ]
        indexes = [
            # A schedule's last twenty.
            models.Index(fields=["schedule", "-at"], name="jobs_slots_by_schedule"),
            # The scheduler: those that wait, oldest first.
            models.Index(
                fields=["schedule", "at"],
                condition=Q(outcome=SlotOutcome.WAITING),
                name="jobs_waiting_slots",
            ),
            # Retention: the oldest.
            models.Index(fields=["at"], name="jobs_slots_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.schedule_name} at {self.at:%Y-%m-%d %H:%M:%S}"
