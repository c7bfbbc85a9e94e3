"""The text of an API token: how it is made, read and compared. No database here."""

import re
import secrets
from hashlib import sha256
from typing import NamedTuple

#: `off_` lets secret scanners find a leaked token; the prefix finds its row.
TOKEN = re.compile(r"off_(?P<prefix>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})")
SECRET_BYTES = 32


class Credential(NamedTuple):
    prefix: str
    secret: str

    @property
    def text(self) -> str:
        """What the caller sends after `Bearer`. Shown once, never stored."""
        return f"off_{self.prefix}_{self.secret}"

    @property
    def digest(self) -> str:
        """SHA-256 without salt or stretching: the secret has 256 random bits, nobody guesses it."""
        return sha256(self.secret.encode()).hexdigest()

    def opens(self, digest: str) -> bool:
        return secrets.compare_digest(self.digest, digest)


def new_credential() -> Credential:
    return Credential(secrets.token_hex(6), secrets.token_urlsafe(SECRET_BYTES))


def read_credential(text: str) -> Credential | None:
    """Return the parts of a token, or None if the text can't be one."""
    match = TOKEN.fullmatch(text)
    return Credential(**match.groupdict()) if match else None
