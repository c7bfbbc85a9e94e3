"""A column whose text is encrypted in the database, and shows itself to nobody by accident."""

from typing import Any

from django.db import models
from pydantic import SecretStr

from notifications.encryption import decrypt, encrypt


class EncryptedTextField(models.BinaryField):  # type: ignore[type-arg]
    """
    Reads and writes `SecretStr`: logs, pages and tracebacks show asterisks in its place.

    It can't be searched. Deferred unless asked for would be slower, so a row that can't be
    decrypted fails when it is read: `manage.py doctor` looks for such.
    """

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> SecretStr | None:
        return None if value is None else SecretStr(decrypt(bytes(value)))

    def to_python(self, value: Any) -> Any:
        return SecretStr(value) if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> Any:
        if value is None or isinstance(value, bytes | memoryview):
            return value  # Encrypted already: by `reencrypt_secrets`.
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        return encrypt(text)
