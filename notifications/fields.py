"""A column whose text is encrypted in the database, and shows itself to nobody by accident."""

import base64
from typing import Any

from django.db import models

from notifications.encryption import decrypt, encrypt


class Secret:
    """
    A text as it is stored: encrypted. Logs, pages and tracebacks show asterisks.

    One that no key fits can be read with its row, kept and deleted; only its text can't be had.
    """

    def __init__(self, token: bytes) -> None:
        self.token = token

    @classmethod
    def of(cls, text: str) -> "Secret":
        return cls(encrypt(text))

    def get_secret_value(self) -> str:
        """:raises SecretUnreadable: if no key of SECRETS_KEYS fits."""
        return decrypt(self.token)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.token == other.token

    def __hash__(self) -> int:
        return hash(self.token)

    def __repr__(self) -> str:
        return "Secret('**********')"

    __str__ = __repr__


class EncryptedTextField(models.BinaryField):  # type: ignore[type-arg]
    """Takes a text and gives a `Secret`. It can't be searched."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Secret | None:
        return None if value is None else Secret(bytes(value))

    def to_python(self, value: Any) -> Any:
        """Read a dump, which has what is stored."""
        if isinstance(value, str):
            return Secret(base64.b64decode(value))
        return value

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Encrypt before the row is written: it shows no text from then on."""
        value = super().pre_save(model_instance, add)
        if isinstance(value, str):
            value = Secret.of(value)
            setattr(model_instance, self.attname, value)
        return value

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, Secret):
            return value.token
        return encrypt(value) if isinstance(value, str) else value

    def value_to_string(self, obj: models.Model) -> str:
        value = self.value_from_object(obj)
        return base64.b64encode(value.token).decode() if isinstance(value, Secret) else ""
