"""What happens when somebody signs in, by whichever page."""

from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest

from project.accounts import queries
from project.accounts.authentication import choose_membership
from project.accounts.models import User
from project.accounts.sessions import TENANT_KEY


@receiver(user_logged_in, dispatch_uid="accounts.choose_tenant")
def choose_tenant(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Store the tenant that a new session works for; a signed-in person keeps the chosen one."""
    chosen = request.session.get(TENANT_KEY)
    membership = choose_membership(queries.list_memberships(user=user), chosen)
    if membership is not None:
        request.session[TENANT_KEY] = str(membership.tenant_id)
