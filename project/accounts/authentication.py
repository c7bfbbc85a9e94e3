"""Finds out who makes a request: by a token in the header, else by the session."""

from datetime import datetime

from django.http import HttpRequest
from django.utils import timezone

from project.accounts import actors, operations, queries
from project.accounts.actors import Actor
from project.accounts.credentials import read_credential
from project.accounts.errors import CredentialRefused, NotAMember
from project.accounts.models import ApiToken, Membership
from project.accounts.sessions import TENANT_KEY


def find_actor(request: HttpRequest) -> Actor:
    """Return the request's actor. One with a Bearer header never falls back to the session."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return actor_of_token(text.strip(), now=timezone.now())
    return actor_of_session(request)


def actor_of_session(request: HttpRequest) -> Actor:
    if not request.user.is_authenticated:
        return actors.nobody("You are not signed in.")
    memberships = queries.list_memberships(user=request.user)
    return actors.person(
        request.user, choose_membership(memberships, request.session.get(TENANT_KEY))
    )


def choose_membership(memberships: list[Membership], tenant_id: str | None) -> Membership | None:
    """Return the one for the active tenant; if that is gone or was never chosen, the oldest."""
    for membership in memberships:
        if str(membership.tenant_id) == tenant_id:
            return membership
    return memberships[0] if memberships else None


def actor_of_token(text: str, *, now: datetime) -> Actor:
    """Return the actor of a token, or nobody and the reason. Notes the use of the token."""
    try:
        token = open_token(text, now=now)
        membership = queries.get_membership(user=token.user, tenant_id=token.tenant_id)
    except CredentialRefused as refusal:
        return actors.nobody(str(refusal))
    except NotAMember:
        return actors.nobody("The token's owner is no longer a member of its tenant.")
    operations.note_use(token=token, now=now)
    return actors.program(token, membership)


def open_token(text: str, *, now: datetime) -> ApiToken:
    """
    Return the live token with this text.

    :raises CredentialRefused: if it is unknown, revoked, expired, or its owner is locked out.
    """
    credential = read_credential(text)
    if credential is None:
        raise CredentialRefused("The token is malformed.")
    token = queries.get_token(credential=credential)
    if token.revoked_at is not None:
        raise CredentialRefused("The token was revoked.")
    if not token.is_live(now=now):
        raise CredentialRefused("The token has expired.")
    if not token.user.is_active:
        raise CredentialRefused("The token's owner is not active.")
    return token
