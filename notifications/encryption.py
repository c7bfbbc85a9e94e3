"""Encrypts what must not lie in the database as it is, with keys that can be changed."""

import base64
from functools import cache
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from notifications.errors import SecretUnreadable


def encrypt(text: str) -> bytes:
    """Encrypt with the first key."""
    return _keys(*_configured()).encrypt(text.encode())


def decrypt(token: bytes) -> str:
    """
    Decrypt with whichever key fits.

    :raises SecretUnreadable: if none does.
    """
    try:
        return _keys(*_configured()).decrypt(token).decode()
    except InvalidToken:
        raise SecretUnreadable from None


def reencrypt(token: bytes) -> bytes:
    """
    Return the same secret, encrypted with the first key.

    :raises SecretUnreadable: if no key fits.
    """
    return encrypt(decrypt(token))


def is_current(token: bytes) -> bool:
    """Tell whether the first key has encrypted it."""
    try:
        _keys(_configured()[0]).decrypt(token)
    except InvalidToken:
        return False
    return True


def _configured() -> list[str]:
    """
    Return the keys, the one that encrypts first.

    The derived one stays behind them: it has encrypted everything until SECRETS_KEYS was set.
    """
    secret_keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [*settings.SECRETS_KEYS, *(_derived(str(each)) for each in secret_keys)]


def _derived(secret_key: str) -> str:
    """A key of its own purpose: whoever learns it can sign nothing with it."""
    digest = sha256(b"notifications.encryption:" + secret_key.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()


@cache
def _keys(*keys: str) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])
