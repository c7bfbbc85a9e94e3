"""What can be wrong with an account, a membership or a credential."""


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
