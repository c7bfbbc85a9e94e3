"""What can be wrong with an account, a membership, a credential or an invitation."""

import uuid


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
    """Only an owner makes owners."""

    def __init__(self) -> None:
        super().__init__("Only an owner of the tenant can invite somebody as an owner.")


class WrongPassword(AccountsError):
    """Not the password of the account that the address has."""

    def __init__(self) -> None:
        super().__init__(
            "There is an account with this address, and this is not its password, or it is "
            "switched off."
        )
