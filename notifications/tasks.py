"""
The jobs of mails and webhooks.

At least once, with an id that stays the same: the Message-ID of a mail, the `webhook-id` of a
delivery. A process that is killed after the other side has accepted, and before that is stored,
sends once more.
"""

import uuid
from typing import NoReturn

from django.conf import settings

from jobs import job_task
from jobs.errors import JobError, NotWanted, RetryAfter
from jobs.models import Job
from jobs.payloads import Nothing
from jobs.schedules.moments import moment_of
from jobs.upkeep.parts import register_cleanup
from notifications import log_events, retention
from notifications.channels.email import sending as email
from notifications.channels.email.message import message_id_of
from notifications.channels.webhook import sending as webhook
from notifications.channels.webhook.sending import Answer
from notifications.errors import (
    DeliveryFailed,
    EndpointGone,
    EndpointHopeless,
    SecretNotRead,
    SecretUnreadable,
)
from notifications.operations import (
    announcements,
    attempts,
    breaker,
    deliveries,
    giving_up,
    mails,
    resending,
    shares,
)
from notifications.operations.attempts import Attempt
from notifications.payloads import DeliveryPayload, EventPayload, MailPayload, ResendPayload

LANE = "notifications"

#: Of one endpoint: one that hangs holds so many children of the lane, until its breaker opens.
ENDPOINT_IN_FLIGHT_MAX = 2

GONE = 410
SLOW_DOWN = (429, 503)


@job_task(
    name=mails.TASK,
    queue=LANE,
    atomic=False,
    # One tenant may have all of them; where others wait, JOBS_POOL_IN_FLIGHT_MAX makes it turns.
    max_in_flight=settings.NOTIFICATIONS_MAILS_IN_FLIGHT_MAX,
    on_settled=mails.write_outcome,
    on_replayed=mails.point_to_new_job,
    put_away=mails.put_away,
)
def send_notification(job: Job, payload: MailPayload) -> None:
    """Send one mail; a server's 5xx is final, everything else is tried again."""
    with job.fence():
        shares.leave_room_beside_mails(job)
        mail = mails.begin(job, payload)
    email.send(
        to=mail.email,
        subject=mail.subject,
        html=mail.html.get_secret_value(),
        message_id=message_id_of(mail.pk),
    )
    log_events.mail_sent(mail)


def _by_endpoint(tenant_id: uuid.UUID, payload: DeliveryPayload) -> str:
    return str(payload.endpoint_id)


@job_task(
    name=breaker.SYNC,
    queue=LANE,
    atomic=False,
    max_in_flight=ENDPOINT_IN_FLIGHT_MAX,
    partition=_by_endpoint,
    on_settled=deliveries.write_outcome,
    on_replayed=deliveries.point_to_new_job,
)
def sync_external(job: Job, payload: DeliveryPayload) -> None:
    """POST one delivery to its endpoint; only 2xx is success."""
    with job.fence():
        attempt = attempts.begin(job, payload)
    if attempt is None:
        raise NotWanted("its endpoint, which is disabled or gone")
    _deliver(job, attempt)


@job_task(name="notifications.announce_event", queue=LANE)
def announce_event(job: Job, payload: EventPayload) -> None:
    """Tell the endpoints that subscribe, and the person who asked for what has ended."""
    announcements.announce(job, payload)


@job_task(name=resending.TASK, atomic=False)
def resend_deliveries(job: Job, payload: ResendPayload) -> None:
    """Send again all deliveries of an endpoint that match."""
    resending.resend_matching(job, payload)


@job_task(name="notifications.delete_expired", atomic=False)
def delete_expired(job: Job, payload: Nothing) -> None:
    """Delete mails and deliveries that ended over NOTIFICATIONS_KEEP_DAYS ago."""
    retention.delete_expired(now=moment_of(job))


register_cleanup(delete_expired.name)


def _deliver(job: Job, attempt: Attempt) -> None:
    try:
        answer = webhook.post(attempt.url, headers=attempt.headers(), body=attempt.body)
    except SecretUnreadable as unreadable:
        _give_back_unsent(job, attempt, unreadable)
    except JobError as error:
        _give_back(job, attempt, error)
    if not answer.is_success:
        _give_back(job, attempt, _why_refused(answer), answer)
    with attempts.noted(attempt, answer), job.succeeding():
        attempts.end_well(attempt, answer)
    log_events.delivered(attempt.delivery, answer.status, answer.latency_ms)


def _give_back(
    job: Job, attempt: Attempt, error: JobError, answer: Answer | None = None
) -> NoReturn:
    """Store what the attempt has found, then let the engine decide about the next."""
    with attempts.noted(attempt, answer, error), job.fence():
        attempts.end_badly(attempt, error, answer)
        outcome = _outcome_for_endpoint(attempt, error)
    log_events.delivery_refused(attempt.delivery, str(error))
    raise outcome


def _give_back_unsent(job: Job, attempt: Attempt, unreadable: SecretUnreadable) -> NoReturn:
    """Tell the tenant what is so, and the operator what to do. Another attempt may find the key."""
    error = SecretNotRead()
    with attempts.noted(attempt, None, error), job.fence():
        attempts.end_unsent(attempt, error)
    log_events.secret_unreadable(attempt.delivery, str(unreadable))
    raise error from unreadable


def _outcome_for_endpoint(attempt: Attempt, error: JobError) -> JobError:
    """Give up an endpoint that is gone or hopeless, and return the error that ends the attempt."""
    if isinstance(error, EndpointGone):
        giving_up.give_up(attempt.endpoint, "the receiver answered 410 Gone")
    elif breaker.has_failed_for_days(attempt.endpoint.pk):
        why = f"every attempt failed for {settings.NOTIFICATIONS_DISABLE_AFTER_DAYS} days"
        giving_up.give_up(attempt.endpoint, why)
        # Final: its next attempt would find an endpoint that is disabled, and cancel it silently.
        return EndpointHopeless(f"{error} Its endpoint is disabled now: {why}.")
    return error


def _why_refused(answer: Answer) -> JobError:
    """Return the error by which an answer ends its attempt."""
    if answer.status == GONE:
        return EndpointGone("The receiver answered 410 Gone; its endpoint is disabled now.")
    what = f"The receiver answered {answer.status}"
    if answer.status in SLOW_DOWN and answer.retry_after_seconds:
        seconds = min(answer.retry_after_seconds, settings.NOTIFICATIONS_RETRY_AFTER_MAX_SECONDS)
        return RetryAfter(f"{what} and asked to wait {seconds} s.", seconds=seconds)
    return DeliveryFailed(f"{what}, but {answer.fault}." if answer.fault else f"{what}.")
