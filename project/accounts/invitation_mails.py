"""The mail of an invitation: the only place that its token ever goes."""

from urllib.parse import urlencode

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.text import Truncator

from notifications.channels.email.rules import check_subject
from notifications.errors import MailRefused
from notifications.operations.mails import request_mail
from project.accounts.models import Invitation

#: Of a tenant's name in a subject; mail programs show no more.
NAME_CHARACTERS = 60


def send_invitation(invitation: Invitation, *, token: str) -> None:
    """
    Store the mail with the link, encrypted, and its job, in the caller's transaction.

    :raises MailRefused: if no mail can go to the address.
    """
    context = {"invitation": invitation, "link": link_of(token), "product": settings.PUBLIC_URL}
    request_mail(
        tenant_id=invitation.tenant_id,
        user_id=invitation.invited_by_id,
        email=invitation.email,
        subject=_subject(invitation.tenant.name),
        html=render_to_string("accounts/mails/invitation.html", context),
    )


def link_of(token: str) -> str:
    """Return where the token is used: at our own address, whatever Host a request has named."""
    page = reverse("accounts:accept-invitation")
    return f"{settings.PUBLIC_URL}{page}?{urlencode({'token': token})}"


def _subject(name: str) -> str:
    """A name that can't be part of a subject (two lines, say) must not keep people out."""
    try:
        return check_subject(f"Join {Truncator(name).chars(NAME_CHARACTERS)} on Offload")
    except MailRefused:
        return "Join a team on Offload"
