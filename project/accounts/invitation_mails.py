"""The mail of an invitation: the only place that its token ever goes."""

from contextlib import suppress
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.text import Truncator

from jobs.errors import NotLive
from notifications.channels.email.rules import check_subject
from notifications.errors import MailRefused, UnknownNotification
from notifications.operations.mails import cancel_mail, request_mail
from project.accounts.models import Invitation

#: Of a tenant's name in a subject; mail programs show no more.
NAME_CHARACTERS = 60


def send_invitation(invitation: Invitation, *, token: str) -> UUID:
    """
    Store the mail with the link, encrypted, and its job, in the caller's transaction.

    Return its id, by which `stop_invitation` finds it.

    :raises MailRefused: if no mail can go to the address.
    """
    context = {"invitation": invitation, "link": link_of(token), "product": settings.PUBLIC_URL}
    mail = request_mail(
        tenant_id=invitation.tenant_id,
        user_id=invitation.invited_by_id,
        email=invitation.email,
        subject=_subject(invitation.tenant.name),
        html=render_to_string("accounts/mails/invitation.html", context),
    )
    return mail.pk


def stop_invitation(mail_id: UUID | None, *, tenant_id: UUID, by: str) -> None:
    """
    Cancel a mail whose link is dead by now, in the caller's transaction. Idempotent.

    Losing the race means that it was sent, or that an attempt under way sends it all the same:
    then, as when an operator sends it again, the page behind its link says that it can't be
    accepted. One without an id was sent by a release that did not keep it.
    """
    if mail_id is None:
        return
    with suppress(NotLive, UnknownNotification):  # It has ended; long ago, if it was deleted.
        cancel_mail(tenant_id=tenant_id, notification_id=mail_id, by=by)


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
