"""`/api/v1/notifications`: send a mail, see what became of it."""

import uuid
from datetime import datetime
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from jobs.http import Member, RequestSchema, page_of, refuse_unknown_parameters, require
from jobs.idempotency import Answer, answer_once
from notifications import queries
from notifications.channels.email.rules import check_address
from notifications.models import Notification
from notifications.operations import mails
from notifications.states import NotificationStatus

router = Router()

READ, WRITE = "notifications:read", "notifications:write"


class MailIn(RequestSchema):
    """What an address, a subject and a text may be is checked by the channel's own rules."""

    email: str
    subject: str
    html: str


class Filters(RequestSchema):
    status: NotificationStatus | None = None
    email: str | None = Field(None, description="A whole address, in capital or small letters.")
    before: uuid.UUID | None = Field(None, description="The id of the last mail seen.")
    limit: int = Field(50, ge=1, le=200)


class MailAccepted(Schema):
    success: bool
    notification_id: uuid.UUID
    job_id: uuid.UUID
    status: NotificationStatus


class MailOut(Schema):
    """Without its text, which may have a link that works like a password."""

    id: uuid.UUID
    job_id: uuid.UUID | None
    email: str
    subject: str
    status: NotificationStatus
    error: str | None
    attempts: int = Field(description="Executions that ended in an error or a success.")
    requested_by: uuid.UUID | None = Field(validation_alias="requested_by_id")
    created_at: datetime
    settled_at: datetime | None

    @staticmethod
    def resolve_error(mail: Notification) -> str | None:
        return mail.error or None

    @staticmethod
    def resolve_attempts(mail: Notification) -> int:
        return queries.count_attempts(mail)


class MailPage(Schema):
    items: list[MailOut]
    next_before: uuid.UUID | None = Field(description="Pass it as `before` for the next page.")


@router.post("", response={202: MailAccepted}, summary="Send a mail")
def send_notification(request: HttpRequest, body: MailIn) -> JsonResponse:
    """With an `Idempotency-Key`, the same request sent again gets the same answer."""
    actor = require(request, WRITE)
    return answer_once(request, actor, lambda: _send(actor, body))


@router.get("", response=MailPage, summary="List mails, newest first")
def list_notifications(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    actor = require(request, READ)
    refuse_unknown_parameters(request, Filters)
    found = queries.list_notifications(
        actor.tenant_id,
        status=filters.status,
        email=None if filters.email is None else check_address(filters.email),
        before=filters.before,
        limit=filters.limit,
    )
    return page_of(found, filters.limit)


@router.get("/{notification_id}", response=MailOut, url_name="notification", summary="See a mail")
def get_notification(request: HttpRequest, notification_id: uuid.UUID) -> Notification:
    return queries.get_notification(require(request, READ).tenant_id, notification_id)


@router.post("/{notification_id}/cancel", response=MailOut, summary="Cancel a mail")
def cancel_notification(request: HttpRequest, notification_id: uuid.UUID) -> Notification:
    """An attempt that is under way may still send it."""
    actor = require(request, WRITE)
    mails.cancel_mail(
        tenant_id=actor.tenant_id, notification_id=notification_id, by=str(actor.user)
    )
    return queries.get_notification(actor.tenant_id, notification_id)


@router.post("/{notification_id}/resend", response={202: MailOut}, summary="Send a mail again")
def resend_notification(request: HttpRequest, notification_id: uuid.UUID) -> Any:
    """One that has ended, sent or not, with the Message-ID that it has."""
    actor = require(request, WRITE)
    mail = mails.resend_mail(
        tenant_id=actor.tenant_id, notification_id=notification_id, by=str(actor.user)
    )
    return Status(202, mail)


def _send(actor: Member, body: MailIn) -> Answer:
    mail = mails.request_mail_of_person(
        tenant_id=actor.tenant_id,
        user_id=actor.user_id,
        email=body.email,
        subject=body.subject,
        html=body.html,
    )
    answer = {
        "success": True,
        "notification_id": str(mail.pk),
        "job_id": str(mail.job_id),
        "status": mail.status,
    }
    return Answer(202, answer, location=reverse("api:notification", args=[mail.pk]))
