"""The token of an invitation: how it is made, hashed and kept out of logs. No database here."""

import re
import secrets
from hashlib import sha256

#: `inv_` lets secret scanners find a token that leaked, and our logs leave it out.
TOKEN = re.compile(r"inv_[A-Za-z0-9_-]{43}")
SECRET_BYTES = 32

#: A token as addresses may have it: some programs encode more characters than they must.
WRITTEN = re.compile(r"inv(?:_|%5F)(?:[A-Z0-9_-]|%[0-9A-F]{2}){43}", re.IGNORECASE)


def new_token() -> str:
    return f"inv_{secrets.token_urlsafe(SECRET_BYTES)}"


def is_token(text: str) -> bool:
    return TOKEN.fullmatch(text) is not None


def digest_of(token: str) -> str:
    """Return what is stored of a token: 256 random bits need neither salt nor stretching."""
    return sha256(token.encode()).hexdigest()


def without_tokens(text: str) -> str:
    return WRITTEN.sub("inv_…", text)
