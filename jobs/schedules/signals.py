"""Notices every change of a schedule, whoever makes it, by Django's signals."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models.signals import post_save, pre_delete, pre_save
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
)

from jobs.models import ScheduleCursor, SchedulePolicy
from jobs.schedules.revisions import note_change, note_deletion

#: The models of times, and by which column a schedule points to one.
TIMES = {CrontabSchedule: "crontab", IntervalSchedule: "interval", ClockedSchedule: "clocked"}

SOLAR_REFUSED = (
    "A solar schedule can't be kept: its times can't be told in advance, so no slot of it could "
    "be proved. Use a crontab."
)


def connect() -> None:
    """Called when the apps are loaded."""
    pre_save.connect(refuse_solar, sender=PeriodicTask, dispatch_uid="jobs.refuse_solar")
    post_save.connect(schedule_saved, sender=PeriodicTask, dispatch_uid="jobs.schedule_saved")
    post_save.connect(policy_saved, sender=SchedulePolicy, dispatch_uid="jobs.policy_saved")
    # Before: its cursor goes with it.
    pre_delete.connect(schedule_gone, sender=PeriodicTask, dispatch_uid="jobs.schedule_gone")
    for model in TIMES:
        post_save.connect(times_saved, sender=model, dispatch_uid=f"jobs.{model.__name__}_saved")


def refuse_solar(sender: Any, instance: PeriodicTask, raw: bool, **_: Any) -> None:
    """:raises ValidationError: for a schedule by the sun."""
    if not raw and instance.solar_id is not None:
        raise ValidationError({"solar": SOLAR_REFUSED})


def schedule_saved(sender: Any, instance: PeriodicTask, raw: bool, **_: Any) -> None:
    if raw:
        return
    if instance.enabled:
        # It is somebody's will again: why it had been disabled is no longer true.
        cursors = ScheduleCursor.objects.filter(pk=instance.pk, schedule__enabled=True)
        cursors.exclude(disabled_reason="").update(disabled_reason="")
    note_change(instance.pk)


def policy_saved(sender: Any, instance: SchedulePolicy, raw: bool, **_: Any) -> None:
    if not raw:
        note_change(instance.schedule_id)


def times_saved(sender: Any, instance: Any, raw: bool, **_: Any) -> None:
    """A crontab or an interval may be shared by many schedules: each has changed."""
    if not raw:
        users = PeriodicTask.objects.filter(**{TIMES[sender]: instance}).order_by("pk")
        for schedule_id in users.values_list("pk", flat=True):
            note_change(schedule_id)


def schedule_gone(sender: Any, instance: PeriodicTask, **_: Any) -> None:
    note_deletion(instance)
