"""Proves the ledger: every nominal slot has one row, and no job came twice."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count
from django_celery_beat.models import PeriodicTask

from jobs.models import Job, ScheduleRevision, Slot
from jobs.schedules.firing import waits_for_a_deploy
from jobs.schedules.locking import cursor_of, policy_of, read_schedule
from jobs.schedules.revisions import definitions_since, newest_revision
from jobs.schedules.timing import slots_in_force


@dataclass
class Proof:
    """What the ledger of one schedule should hold, and what it holds."""

    name: str
    nominal: int = 0  #: Slots that its definitions name.
    gaps: list[datetime] = field(default_factory=list)  #: Named, but without a row.
    doubles: list[datetime] = field(default_factory=list)  #: More than one row, or job.
    strangers: list[datetime] = field(default_factory=list)  #: A row that no definition names.

    @property
    def holds(self) -> bool:
        return not (self.gaps or self.doubles or self.strangers)


def verify_slots(*, since: datetime, until: datetime) -> list[Proof]:
    """
    Compare the ledger with the slots that each schedule's definitions name, in (since, until].

    Slots older than JOBS_SLOTS_KEEP_DAYS are not looked for. One that is due, and within its
    schedule's grace, may still be decided: it is no gap.
    """
    since = max(since, until - timedelta(days=settings.JOBS_SLOTS_KEEP_DAYS))
    revised = ScheduleRevision.objects.values_list("schedule_id", flat=True)
    return [_prove(each, since, until) for each in sorted(set(revised))]


def _prove(schedule_id: int, since: datetime, until: datetime) -> Proof:
    definitions = definitions_since(schedule_id, since)
    named = set(slots_in_force(definitions, since, until))
    rows = Slot.objects.filter(schedule_id=schedule_id, asked_by="", at__gt=since, at__lte=until)
    counted = dict(rows.values_list("at").annotate(Count("pk")).order_by())
    repeated = {at for at, count in counted.items() if count > 1}
    repeated |= _started_twice(schedule_id, since, until)
    pending = _still_decided_after(schedule_id, until)
    return Proof(
        _name(schedule_id),
        nominal=len(named),
        gaps=sorted(at for at in named - counted.keys() if at <= pending),
        doubles=sorted(repeated),
        strangers=sorted(counted.keys() - named),
    )


def _started_twice(schedule_id: int, since: datetime, until: datetime) -> set[datetime]:
    """Return the slots that were started twice; a replay is no second start."""
    jobs = Job.objects.filter(
        slot__schedule_id=schedule_id,
        slot__at__gt=since,
        slot__at__lte=until,
        slot__asked_by="",
        replay_of=None,
        # What beat itself started: what such a job enqueued in turn may be many.
        message_options__headers__has_key="periodic_task_name",
    )
    counted = jobs.values("slot__at").annotate(jobs=Count("pk")).filter(jobs__gt=1)
    return set(counted.values_list("slot__at", flat=True))


def _still_decided_after(schedule_id: int, until: datetime) -> datetime:
    """Return up to when every slot should have been decided: beat has a slot's grace for it."""
    newest = newest_revision(schedule_id)
    if newest and "covered_until" in newest.definition:
        return datetime.fromisoformat(newest.definition["covered_until"])  # It is deleted.
    schedule = read_schedule(schedule_id)
    if schedule is None:
        return until
    covered = cursor_of(schedule, until).covered_until
    if newest and waits_for_a_deploy(schedule, newest, until):
        return covered
    return max(until - timedelta(seconds=policy_of(schedule).grace_seconds), covered)


def _name(schedule_id: int) -> str:
    schedule = PeriodicTask.objects.filter(pk=schedule_id).first()
    if schedule is not None:
        return str(schedule.name)
    gone = ScheduleRevision.objects.filter(schedule_id=schedule_id).order_by("-id").first()
    return f"{gone.schedule_name} (deleted)" if gone else str(schedule_id)
