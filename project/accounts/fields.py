"""A database field for e-mail addresses that knows no upper case."""

from typing import Any

from django.db import models


class EmailAddressField(models.EmailField):  # type: ignore[type-arg]
    """
    Stores and looks up an address in lower case, so that `unique=True` holds in any case.

    RFC 5321 lets a mailbox tell `Ann@` from `ann@`; no provider does, and people mix them up.
    """

    def to_python(self, value: Any) -> Any:
        return lowered(super().to_python(value))

    def get_prep_value(self, value: Any) -> Any:
        return lowered(super().get_prep_value(value))

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = lowered(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value


def lowered(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value
