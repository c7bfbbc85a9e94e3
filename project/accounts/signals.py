"""What follows, by whichever page, when somebody signs in or a membership ends."""

from typing import Any
from uuid import UUID

from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone

from jobs import record_event
from project.accounts import invitations, queries
from project.accounts.authentication import choose_membership
from project.accounts.models import Membership, User
from project.accounts.sessions import TENANT_KEY


@receiver(user_logged_in, dispatch_uid="accounts.begin_session")
def begin_session(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Choose the tenant that the new session works for, and record the sign-in as its event."""
    tenant_id = _choose_tenant(request, user)
    record_event("user.signed_in", tenant_id=tenant_id)


@receiver(post_delete, sender=Membership, dispatch_uid="accounts.end_invitations")
def end_invitations(sender: Any, instance: Membership, **kwargs: Any) -> None:
    """Let nobody who was removed come back by an invitation that was open before."""
    invitations.revoke_all_of(
        tenant_id=instance.tenant_id,
        email=instance.user.email,
        by="the end of a membership",
        now=timezone.now(),
    )


def _choose_tenant(request: HttpRequest, user: User) -> UUID | None:
    """Store and return the session's tenant; a signed-in person keeps the chosen one."""
    chosen = request.session.get(TENANT_KEY)
    membership = choose_membership(queries.list_memberships(user=user), chosen)
    if membership is None:
        return None
    request.session[TENANT_KEY] = str(membership.tenant_id)
    return membership.tenant_id
