"""`/api/v1/invitations`: invite people into a tenant, see who came, accept."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from jobs.http import (
    Actor,
    Member,
    Problem,
    RequestSchema,
    page_of,
    refuse_nobody,
    refuse_unknown_parameters,
    require,
)
from jobs.idempotency import Answer, answer_once
from project.accounts import invitations, queries
from project.accounts.errors import SentTooSoon, TooManyInvitations
from project.accounts.inviters import Inviter
from project.accounts.models import Invitation
from project.accounts.scopes import Role
from project.accounts.states import InvitationStatus

router = Router()

READ, WRITE = "invitations:read", "invitations:write"


class InvitationIn(RequestSchema):
    """What an address may be is checked by the rules of mails."""

    email: str
    role: Role = Role.MEMBER


class AcceptIn(RequestSchema):
    token: Annotated[str, Field(max_length=200)]


class Filters(RequestSchema):
    status: InvitationStatus | None = None
    before: uuid.UUID | None = Field(None, description="The id of the last invitation seen.")
    limit: int = Field(50, ge=1, le=200)


class InvitationSent(Schema):
    """The same whoever the address belongs to: what it tells is that a mail is on its way."""

    success: bool
    invitation_id: uuid.UUID
    status: str


class Joined(Schema):
    success: bool
    tenant_id: uuid.UUID
    role: Role = Field(description="A member's own, which no invitation changes.")


class InvitationOut(Schema):
    id: uuid.UUID
    email: str
    role: Role
    status: InvitationStatus
    invited_by: uuid.UUID | None = Field(validation_alias="invited_by_id")
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None

    @staticmethod
    def resolve_status(invitation: Invitation) -> InvitationStatus:
        return invitation.status(now=timezone.now())


class InvitationPage(Schema):
    items: list[InvitationOut]
    next_before: uuid.UUID | None = Field(description="Pass it as `before` for the next page.")


@router.post("", response={202: InvitationSent}, summary="Invite somebody")
def invite(request: HttpRequest, body: InvitationIn) -> JsonResponse:
    """With an `Idempotency-Key`, the same request sent again gets the same answer."""
    actor = require(request, WRITE)
    return answer_once(request, actor, lambda: _invite(actor, body))


@router.post("/accept", response=Joined, summary="Accept an invitation")
def accept_invitation(request: HttpRequest, body: AcceptIn) -> dict[str, Any]:
    """By whoever it is meant for, as a person: it takes no tenant and no scope."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    refuse_nobody(actor)
    member = invitations.accept(token=body.token, user=actor.user, now=timezone.now())
    return {"success": True, "tenant_id": member.tenant_id, "role": member.role}


@router.get("", response=InvitationPage, summary="List invitations, newest first")
def list_invitations(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    actor = require(request, READ)
    refuse_unknown_parameters(request, Filters)
    found = queries.list_invitations(actor.tenant_id, now=timezone.now(), **filters.model_dump())
    return page_of(found, filters.limit)


@router.get(
    "/{invitation_id}", response=InvitationOut, url_name="invitation", summary="See an invitation"
)
def get_invitation(request: HttpRequest, invitation_id: uuid.UUID) -> Invitation:
    return queries.get_invitation(require(request, READ).tenant_id, invitation_id)


@router.post("/{invitation_id}/resend", response={202: InvitationOut}, summary="Send it again")
def resend_invitation(request: HttpRequest, invitation_id: uuid.UUID) -> Any:
    """One that is pending or has expired: with a new link; the old one is dead."""
    actor = require(request, WRITE)
    with _limits():
        invitation = invitations.resend(
            tenant=actor.tenant,
            invitation_id=invitation_id,
            by=_inviter(actor),
            now=timezone.now(),
        )
    return Status(202, invitation)


@router.post("/{invitation_id}/revoke", response=InvitationOut, summary="Revoke an invitation")
def revoke_invitation(request: HttpRequest, invitation_id: uuid.UUID) -> Invitation:
    """Its link is dead from then on."""
    actor = require(request, WRITE)
    return invitations.revoke(
        tenant=actor.tenant, invitation_id=invitation_id, by=_inviter(actor), now=timezone.now()
    )


def _invite(actor: Member, body: InvitationIn) -> Answer:
    with _limits():
        invitation = invitations.invite(
            tenant=actor.tenant,
            by=_inviter(actor),
            email=body.email,
            role=body.role,
            now=timezone.now(),
        )
    answer = {"success": True, "invitation_id": str(invitation.pk), "status": "sent"}
    return Answer(202, answer, location=reverse("api:invitation", args=[invitation.pk]))


def _inviter(actor: Member) -> Inviter:
    return Inviter(user=actor.user, scopes=actor.scopes)


@contextmanager
def _limits() -> Iterator[None]:
    """Say in HTTP that there were too many mails or invitations, and when to come again."""
    try:
        yield
    except SentTooSoon as refusal:
        headers = {"Retry-After": str(refusal.seconds)}
        raise Problem(429, detail=str(refusal), headers=headers) from refusal
    except TooManyInvitations as refusal:
        raise Problem(409, "Too many invitations", str(refusal)) from refusal
