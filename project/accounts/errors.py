"""What can be wrong with an account, a membership, a credential or an invitation."""

import math
import uuid
from datetime import timedelta


class AccountsError(Exception):
    """Base of every error in this module. Catch a subclass, never this."""


class NotAMember(AccountsError):
    """The person has no membership of this tenant. Answer as if the tenant did not exist."""

    def __init__(self) -> None:
        super().__init__("No such tenant.")


class UnknownScope(AccountsError):
    """A token may only have scopes from the table."""

    def __init__(self, unknown: set[str]) -> None:
        super().__init__(f"Unknown scope: {', '.join(sorted(unknown))}.")


class CredentialRefused(AccountsError):
    """The message says why, and may be shown to the caller."""


class UnknownInvitation(AccountsError):
    """There is no such invitation, or it belongs to another tenant."""

    def __init__(self, invitation_id: uuid.UUID) -> None:
        super().__init__(f"There is no invitation {invitation_id}.")


class InvitationRefused(AccountsError):
    """
    Nobody can accept this, or not this person.

    One text for every reason: whoever tries tokens learns nothing about any of them.
    """

    def __init__(self) -> None:
        super().__init__(
            "This invitation can't be accepted: it is unknown, has been used or revoked, has "
            "expired, or is meant for another address. Ask for a new one."
        )


class InvitationOver(AccountsError):
    """An invitation that was accepted or revoked stays so; invite the address again."""

    def __init__(self, invitation_id: uuid.UUID, status: str) -> None:
        super().__init__(f"Invitation {invitation_id} is {status}; that can't be changed.")


class RoleRefused(AccountsError):
    """Whoever asks may not give this role, or not undo that it was given; the message says why."""


class SentTooSoon(AccountsError):
    """The address had a mail of this tenant a moment ago; it can have the next one `after`."""

    def __init__(self, after: timedelta) -> None:
        self.seconds = max(1, math.ceil(after.total_seconds()))
        super().__init__(
            f"This address was sent an invitation a moment ago; try again in {self.seconds} s."
        )


class TooManyInvitations(AccountsError):
    """Revoke some of the tenant's open invitations first."""

    def __init__(self, most: int) -> None:
        super().__init__(f"A tenant can have at most {most} open invitations; revoke some first.")


class WrongPassword(AccountsError):
    """Not the password of the account that the address has."""

    def __init__(self) -> None:
        super().__init__(
            "There is an account with this address, and this is not its password, or it is "
            "switched off."
        )
