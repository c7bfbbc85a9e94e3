"""How often an address is mailed for a tenant, and how many invitations are open."""

from datetime import datetime, timedelta

from django.db.models import Max

from project.accounts.errors import SentTooSoon, TooManyInvitations
from project.accounts.models import Invitation, Tenant

#: Between two mails to one address for one tenant: a mailbox must not be flooded.
MAIL_EVERY = timedelta(minutes=1)

#: Of one tenant; those that have expired count, for they can be sent again.
OPEN_MAX = 100


def let_nobody_invite_meanwhile(tenant: Tenant) -> None:
    """
    Make all who invite to this tenant wait until the caller's transaction ends.

    So no two of them read the same moment or count. Rows that refer to the tenant do not wait.
    """
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)


def refuse_mail_too_soon(*, tenant: Tenant, email: str, now: datetime) -> None:
    """:raises SentTooSoon: if the address was mailed within MAIL_EVERY, whatever came of it."""
    mails = Invitation.objects.filter(tenant=tenant, email=email)
    last = mails.aggregate(last=Max("sent_at"))["last"]
    if last is not None and now < last + MAIL_EVERY:
        raise SentTooSoon(last + MAIL_EVERY - now)


def refuse_too_many(*, tenant: Tenant, email: str) -> None:
    """
    Count those of other addresses: an open one of the same address is replaced.

    :raises TooManyInvitations: if the tenant has OPEN_MAX.
    """
    others = Invitation.objects.open().filter(tenant=tenant).exclude(email=email)
    if others.count() >= OPEN_MAX:
        raise TooManyInvitations(OPEN_MAX)
