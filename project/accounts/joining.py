"""Lets whoever holds an invitation's link join without being signed in: by an account, or a new."""

from datetime import datetime

from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.db import IntegrityError, transaction
from django.http import HttpRequest

from project.accounts import invitations, queries
from project.accounts.errors import InvitationRefused, WrongPassword
from project.accounts.models import Invitation, Membership, User


@transaction.atomic
def join(
    *, request: HttpRequest, token: str, name: str, password: str, now: datetime
) -> Membership:
    """
    Accept an invitation as the person it is meant for; all or nothing.

    If the address has an account, the password must be its own. If not, one is made with it: the
    token was mailed to that address, so its holder has the mailbox, and may be told which it is.
    Without a token that can be accepted nothing is told.

    :raises InvitationRefused: if the token can't be accepted; then no account is made either.
    :raises WrongPassword: if the address has an account with another password.
    :raises ValidationError: if the password is too weak for a new account.
    """
    invitation = queries.get_invitation_of_token(token)
    if not queries.is_acceptable(invitation, now=now) and not _was_accepted(invitation):
        raise InvitationRefused
    user = _create_account(invitation, name=name, password=password)
    if user is None:
        user = _sign_in(request, invitation, password=password)
    return invitations.accept(token=token, user=user, now=now)


def _was_accepted(invitation: Invitation) -> bool:
    """Tell so as of now, maybe of the first of two clicks: the second must get its answer."""
    return Invitation.objects.filter(pk=invitation.pk).exclude(accepted_at=None).exists()


def _create_account(invitation: Invitation, *, name: str, password: str) -> User | None:
    """Return a new account, or None if the address has one."""
    email = invitation.email
    if User.objects.filter(email=email).exists():
        return None
    validate_password(password, User(email=email, name=name))
    try:
        with transaction.atomic():
            return User.objects.create_user(email, password, name=name)
    except IntegrityError:
        # Losing the race means that the address has an account by now: often the same person's,
        # by the first of two clicks, and with the same password.
        return None


def _sign_in(request: HttpRequest, invitation: Invitation, *, password: str) -> User:
    user = authenticate(request, username=invitation.email, password=password)
    if not isinstance(user, User):
        raise WrongPassword
    return user
