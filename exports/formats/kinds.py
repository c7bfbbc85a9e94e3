"""The few kinds of values that formats tell apart, and which field holds which."""

from enum import Enum, auto
from typing import Any

from django.db import models


class Kind(Enum):
    TEXT = auto()
    JSON = auto()
    BOOLEAN = auto()
    FLOAT = auto()
    DECIMAL = auto()
    INTEGER = auto()
    DATETIME = auto()
    TIME = auto()
    PLAIN = auto()  #: Its text is the same everywhere and never looks like a formula.
    OTHER = auto()  #: Taken as the text that the database makes of it.


#: Searched in order: the first class that the field belongs to decides.
KINDS: tuple[tuple[type["models.Field[Any, Any]"], Kind], ...] = (
    (models.JSONField, Kind.JSON),
    (models.BooleanField, Kind.BOOLEAN),
    (models.FloatField, Kind.FLOAT),
    (models.DecimalField, Kind.DECIMAL),
    (models.IntegerField, Kind.INTEGER),
    (models.DateTimeField, Kind.DATETIME),
    (models.DateField, Kind.PLAIN),
    (models.TimeField, Kind.TIME),
    (models.UUIDField, Kind.PLAIN),
    (models.GenericIPAddressField, Kind.PLAIN),
    (models.CharField, Kind.TEXT),
    (models.TextField, Kind.TEXT),
)


def kind_of(field: "models.Field[Any, Any]") -> Kind:
    """Return the kind of a field's values; a foreign key's are its target's."""
    while isinstance(field, models.ForeignKey):
        field = field.target_field
    return next((kind for of, kind in KINDS if isinstance(field, of)), Kind.OTHER)
