"""What happens when somebody signs in, by whichever page."""

from typing import Any
from uuid import UUID

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest

from jobs import record_event
from project.accounts import queries
from project.accounts.authentication import choose_membership
from project.accounts.models import User
from project.accounts.sessions import TENANT_KEY


@receiver(user_logged_in, dispatch_uid="accounts.begin_session")
def begin_session(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Choose the tenant that the new session works for, and record the sign-in as its event."""
    tenant_id = _choose_tenant(request, user)
    record_event("user.signed_in", tenant_id=tenant_id)


def _choose_tenant(request: HttpRequest, user: User) -> UUID | None:
    """Store and return the session's tenant; a signed-in person keeps the chosen one."""
    chosen = request.session.get(TENANT_KEY)
    membership = choose_membership(queries.list_memberships(user=user), chosen)
    if membership is None:
        return None
    request.session[TENANT_KEY] = str(membership.tenant_id)
    return membership.tenant_id
