"""The only module that writes mails."""

import uuid

from django.db import transaction

from jobs import enqueue, record_event
from jobs.errors import GiveUp, NotLive, NotReplayable
from jobs.models import Job
from jobs.operations import NOBODYS, cancel_job, replay_job
from jobs.outcomes import outcome_of
from jobs.states import JobState
from notifications.channels.email.rules import check_address, check_html, check_subject
from notifications.errors import MailRefused, StillUnderWay
from notifications.fields import Secret
from notifications.models import Notification
from notifications.payloads import MailPayload
from notifications.queries import get_notification, known_user_id
from notifications.states import SETTLED_NOTIFICATIONS, NotificationStatus

TASK = "notifications.send_notification"

#: How the end of a job is told to the people who asked for its mail.
STATUS_OF = {
    JobState.SUCCEEDED: NotificationStatus.SENT,
    JobState.FAILED: NotificationStatus.FAILED,
    JobState.CANCELLED: NotificationStatus.CANCELLED,
}


def request_mail(
    *,
    tenant_id: uuid.UUID | None,
    user_id: uuid.UUID | None,
    email: str,
    subject: str,
    html: str,
) -> Notification:
    """
    Store a mail and its job in one transaction, or in the caller's.

    :raises MailRefused: naming the field that no mail may have.
    """
    mail = _new(tenant_id, user_id, email=email, subject=subject, html=html)
    with transaction.atomic():
        _enqueue(mail)
        mail.save(force_insert=True)
    return mail


def request_mail_of_person(
    *, tenant_id: uuid.UUID, user_id: uuid.UUID, email: str, subject: str, html: str
) -> Notification:
    """
    As `request_mail`, and record it as the tenant's event: not for what jobs of the lane ask.

    :raises MailRefused: naming the field that no mail may have.
    """
    with transaction.atomic():
        mail = request_mail(
            tenant_id=tenant_id, user_id=user_id, email=email, subject=subject, html=html
        )
        record_event("notification.requested", tenant_id=tenant_id)
    return mail


def cancel_mail(*, tenant_id: uuid.UUID | None, notification_id: uuid.UUID, by: str) -> None:
    """
    Cancel a mail that is on its way. An attempt that is under way may still send it.

    :raises UnknownNotification: if there is none, or it belongs to another tenant.
    :raises NotLive: if it has ended.
    """
    mail = get_notification(tenant_id, notification_id)
    if mail.job_id is None:
        raise NotLive(f"Notification {mail.pk} is {mail.status}; only live ones can be cancelled.")
    cancel_job(job_id=mail.job_id, by=by)


def resend_mail(
    *, tenant_id: uuid.UUID | None, notification_id: uuid.UUID, by: str
) -> Notification:
    """
    Send a mail once more that has ended, sent or not, with the Message-ID that it has.

    :raises UnknownNotification: if there is none, or it belongs to another tenant.
    :raises StillUnderWay: if it is on its way.
    """
    mail = get_notification(tenant_id, notification_id)
    if mail.status not in SETTLED_NOTIFICATIONS:
        raise StillUnderWay(f"Notification {mail.pk}", mail.status)
    with transaction.atomic():
        if mail.job and mail.job.state in (JobState.FAILED, JobState.CANCELLED):
            replay_job(job_id=mail.job.pk, by=by)
        else:
            _queue_again(mail)
    return get_notification(tenant_id, notification_id)


# --- What the task writes, inside the fence of its attempt ---------------------------------------


def begin(job: Job, payload: MailPayload) -> Notification:
    """
    Show the mail as processing and return it; store it first, if the message has it whole.

    :raises GiveUp: if it was deleted, or can't be one.
    """
    if payload.refused:
        raise GiveUp(payload.refused)
    if payload.notification_id is None:
        return _store_of_message(job, payload)
    ours = Notification.objects.filter(pk=payload.notification_id, job=job)
    if not ours.update(status=NotificationStatus.PROCESSING):
        raise GiveUp(f"There is no notification {payload.notification_id} of this job.")
    return ours.get()


def _store_of_message(job: Job, payload: MailPayload) -> Notification:
    """
    Store the mail of a job that was stored as it came, by a process that did not know its type.

    Another attempt of it finds what the first one has stored.
    """
    stored = Notification.objects.filter(job=job)
    if stored.update(status=NotificationStatus.PROCESSING):
        return stored.get()
    try:
        mail = _whole(job, payload)
    except MailRefused as refusal:
        raise GiveUp(str(refusal)) from None
    mail.job, mail.status = job, NotificationStatus.PROCESSING
    mail.save(force_insert=True)
    return mail


# --- What the engine calls, inside the transaction that stores or moves the job ------------------


def put_away(job: Job, payload: MailPayload) -> MailPayload:
    """
    Store a mail that was enqueued whole, and return the payload that has its id alone.

    Its text may have a link that works like a password, and who may see jobs may not see mails.
    """
    if payload.notification_id or payload.refused:
        return payload
    if stored := _stored_for_replay(job, payload):
        return MailPayload(notification_id=stored.pk)
    try:
        mail = _whole(job, payload)
    except MailRefused as refusal:
        return MailPayload(refused=str(refusal))
    mail.job_id = job.pk  # Its row follows in this transaction.
    mail.save(force_insert=True)
    return MailPayload(notification_id=mail.pk)


def _stored_for_replay(job: Job, payload: MailPayload) -> Notification | None:
    """
    Return the mail of the job that this one replays, unless somebody has edited the payload.

    A job that was stored by a process that did not know its type, or by an older release, has its
    mail whole, and a row beside it.
    """
    if job.replay_of is None or MailPayload.model_validate(job.replay_of.payload) != payload:
        return None
    return Notification.objects.filter(job=job.replay_of).first()


def write_outcome(job: Job) -> None:
    """Tell the mail how its job ended, whoever ended it."""
    Notification.objects.filter(job=job).update(**outcome_of(job, STATUS_OF))


def point_to_new_job(old: Job, new: Job) -> None:
    """
    Queue the mail again under the job that replays its old one.

    A payload that somebody has edited into a whole mail is a mail of its own by now.

    :raises NotReplayable: if it was deleted meanwhile: the new job could only fail.
    """
    if Notification.objects.filter(job=new).exists():
        return
    stored = Notification.objects.filter(job=old)
    if not stored.update(job=new, **_QUEUED) and old.payload.get("notification_id"):
        raise NotReplayable(f"The notification of job {old.pk} is gone; request it again.")


_QUEUED = {
    "status": NotificationStatus.QUEUED,
    "error": "",
    "attempts": 0,
    "settled_at": None,
}


def _new(
    tenant_id: uuid.UUID | None, user_id: uuid.UUID | None, *, email: str, subject: str, html: str
) -> Notification:
    return Notification(
        tenant_id=tenant_id,
        requested_by_id=user_id,
        email=check_address(email),
        subject=check_subject(subject),
        html=Secret.of(check_html(html)),
    )


def _whole(job: Job, payload: MailPayload) -> Notification:
    """:raises MailRefused: naming what no mail may have, or a tenant that is not there."""
    tenants = Notification._meta.get_field("tenant").related_model._default_manager
    if job.tenant_id != NOBODYS and not tenants.filter(pk=job.tenant_id).exists():
        raise MailRefused("tenant_id", f"there is no tenant {job.tenant_id}.")
    return _new(
        None if job.tenant_id == NOBODYS else job.tenant_id,
        known_user_id(job.user_id),
        email=payload.email or "",
        subject=payload.subject or "",
        html=payload.html or "",
    )


def _enqueue(mail: Notification) -> None:
    payload = MailPayload(notification_id=mail.pk)
    mail.job = enqueue(TASK, payload, tenant_id=mail.tenant_id, user_id=mail.requested_by_id)


def _queue_again(mail: Notification) -> None:
    """Losing the race means that another click has queued it: its new job is rolled back."""
    seen = Notification.objects.filter(pk=mail.pk, job=mail.job_id, status=mail.status)
    _enqueue(mail)
    if not seen.update(job=mail.job, **_QUEUED):
        raise StillUnderWay(f"Notification {mail.pk}", NotificationStatus.QUEUED)
