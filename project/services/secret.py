"""Passwords of the private servers: random, and the same for as long as the data lives."""

import secrets
from pathlib import Path


def kept_secret(path: Path) -> str:
    """Return the secret in a file that only we can read, written the first time."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(18))
    return path.read_text()
