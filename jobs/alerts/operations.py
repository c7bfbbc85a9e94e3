"""Raises alerts: the first of a cause at once, then one per interval with the count."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Q
from django.db.models.functions import Now
from django.utils import timezone

from jobs import log_events, operations
from jobs.alerts import channels
from jobs.models import Alert, AlertDelivery, DeadLetter, Incident, Job
from jobs.states import AlertKind, DeliveryState, JobState

#: The lane that alerts are sent in. What dies in it alerts nobody.
LANE = "alerts"
SEND_ALERT = "alerts.send_alert"


def alert_of_dead_letter(letter: DeadLetter, *, silent: bool) -> None:
    """Alert of a dead letter that is being stored, unless its incident had an alert lately."""
    incident = letter.incident
    if silent or incident is None or not _may_alert(incident):
        return
    count = incident.past_count + DeadLetter.objects.filter(incident=incident).count()
    if _take_turn(incident, count=count):
        attempts = "1 attempt" if letter.attempts == 1 else f"{letter.attempts} attempts"
        message = f"Task {letter.type or 'unreadable'} failed after {attempts}"
        _raise(incident, message=message, data=_about(letter, count))


def raise_alert(
    kind: AlertKind,
    *,
    fingerprint: str,
    message: str,
    data: Mapping[str, Any],
    severity: str = "error",
    since: datetime | None = None,
) -> Alert | None:
    """
    Alert of something that is no dead letter; None if the same was alerted of within the interval.

    `fingerprint` says what "the same" is: `cron_failure:daily_cleanup`. `since` is when it began
    this time: an alert from before was of another time, and keeps this one back no longer.
    """
    row = Incident(fingerprint=fingerprint[:64], kind=kind)
    with transaction.atomic():
        # Losing the race to insert it means that it was seen before.
        Incident.objects.bulk_create([row], ignore_conflicts=True)
        seen = Incident.objects.filter(fingerprint=row.fingerprint)
        seen.update(past_count=F("past_count") + 1)
        incident = seen.get()
        if not _take_turn(incident, count=incident.past_count, since=since):
            return None
        told = {**data, "count": incident.past_count}
        return _raise(incident, message=message, data=told, severity=severity)


def send_updates() -> int:
    """Alert once more of each incident that has grown since its last alert; return how many."""
    counted = Incident.objects.filter(
        kind=AlertKind.DEAD_LETTER, last_alert_at__lt=Now() - _interval(AlertKind.DEAD_LETTER)
    ).annotate(total=F("past_count") + Count("dead_letters"))
    return sum(_update(incident) for incident in counted.filter(total__gt=F("alerted_count")))


def mark_delivered(delivery_id: int) -> None:
    """Losing the race means that another attempt has delivered it too: at least once."""
    AlertDelivery.objects.filter(pk=delivery_id).exclude(state=DeliveryState.DELIVERED).update(
        state=DeliveryState.DELIVERED, delivered_at=Now(), error=""
    )


def write_outcome(job: Job) -> None:
    """Show an alert as undelivered when its job has given up; in the job's last transaction."""
    if job.state == JobState.SUCCEEDED:
        return
    AlertDelivery.objects.filter(job_id=job.pk, state=DeliveryState.PENDING).update(
        state=DeliveryState.UNDELIVERED, error=job.error
    )


def point_to_new_job(old: Job, new: Job) -> None:
    """Let a replayed job carry the delivery on."""
    AlertDelivery.objects.filter(job_id=old.pk).exclude(state=DeliveryState.DELIVERED).update(
        state=DeliveryState.PENDING, job_id=new.pk, error=""
    )


def _update(incident: Any) -> bool:
    with transaction.atomic():
        before = incident.alerted_count
        if not _take_turn(incident, count=incident.total):
            return False
        newest = incident.dead_letters.order_by("id").last()
        if newest is None:
            return False  # Retention was faster: they are long done with.
        more = incident.total - before
        message = f"Task {incident.type or 'unreadable'} failed {more} times more"
        _raise(incident, message=message, data=_about(newest, incident.total))
    return True


def _may_alert(incident: Incident) -> bool:
    """A first look, by our own clock, that spares most dead letters the write of `_take_turn`."""
    last = incident.last_alert_at
    return last is None or timezone.now() - last > _interval(AlertKind(incident.kind))


def _take_turn(incident: Incident, *, count: int, since: datetime | None = None) -> bool:
    """
    Claim the right to alert of this incident now.

    Losing the race means that another process alerts of it at this moment.
    """
    quiet = Q(last_alert_at=None) | Q(last_alert_at__lt=Now() - _interval(AlertKind(incident.kind)))
    if since:
        quiet |= Q(last_alert_at__lt=since)
    turn = Incident.objects.filter(quiet, pk=incident.pk)
    return bool(turn.update(last_alert_at=Now(), alerted_count=count))


def _interval(kind: AlertKind) -> timedelta:
    """What stays wrong for a day is said once a day."""
    if kind == AlertKind.DEAD_LETTER_AGE:
        return timedelta(hours=settings.ALERTS_DEAD_LETTER_AGE_HOURS)
    return timedelta(seconds=settings.ALERTS_INTERVAL_SECONDS)


def _raise(
    incident: Incident, *, message: str, data: Mapping[str, Any], severity: str = "error"
) -> Alert:
    """Store an alert and a job for each channel: one that is down does not hold the others."""
    alert = Alert(incident=incident, kind=incident.kind, severity=severity, message=message[:500])
    alert.data = {**data, "alert_id": str(alert.pk), "incident_id": str(incident.pk)}
    alert.save(force_insert=True)
    for channel in channels.configured():
        delivery = AlertDelivery.objects.create(alert=alert, channel=channel)
        payload = {"delivery_id": delivery.pk, "channel": channel}
        delivery.job_id = operations.enqueue(SEND_ALERT, payload).pk
        delivery.save(update_fields=["job_id"])
    log_events.alerted(alert)
    return alert


def _about(letter: DeadLetter, count: int) -> dict[str, Any]:
    """Return the context of a dead letter, without its payload: that may be a tenant's secret."""
    return {
        "job_id": str(letter.job_id) if letter.job_id else None,
        "dead_letter_id": str(letter.pk),
        "type": letter.type,
        "queue": letter.queue,
        "reason": letter.reason,
        "tenant_id": str(letter.tenant_id) if letter.tenant_id else None,
        "attempts": letter.attempts,
        "error_type": letter.error_type,
        "error": letter.error,
        "place": letter.place,
        "worker": letter.worker,
        "count": count,
    }
