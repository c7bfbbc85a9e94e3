"""Cuts the keys of a tenant's rows into ranges, and finds the rows of a range."""

import json
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import F, Model, Q, QuerySet, Window
from django.db.models.functions import Lead, RowNumber

from exports.datasets import Dataset

#: About so many parts has an export at most: each is a job, a row and an object of its own, and
#: the ranges of all are stored as one result.
PARTS_MAX = 1_000


@dataclass(frozen=True)
class KeyRange:
    """
    The keys after one and up to another, which belongs to it; the first range has no beginning.

    Keys are texts that the model's primary key reads back.
    """

    number: int  #: From 1.
    after: str | None
    up_to: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "KeyRange":
        return cls(**value)


def rows_per_part_of(rows: int) -> int:
    """Return EXPORTS_PART_ROWS, or as many more as PARTS_MAX parts of so many rows need."""
    return max(settings.EXPORTS_PART_ROWS, -(-rows // PARTS_MAX))


def cut(dataset: Dataset, tenant_id: uuid.UUID, *, rows_per_part: int) -> list[KeyRange]:
    """
    Return ranges of about so many rows each that cover the keys up to the greatest there is now.

    They are in order, without gap or overlap; of no rows there are none. One query, which walks
    the keys in the database and returns the last of each range.

    :raises ValueError: if a part shall have no row.
    """
    if rows_per_part < 1:
        raise ValueError(f"rows_per_part is {rows_per_part}; give 1 or more.")
    return _ranges(map(str, _last_keys(dataset, tenant_id, rows_per_part)))


def fitting(ranges: list[KeyRange], *, size_bytes: int) -> list[KeyRange]:
    """
    Return the ranges, every two as one until as JSON they have so many bytes, or there is one.

    UUIDs take a tenth of a result's default limit; it may be lower, and keys may be long texts.
    """
    while len(ranges) > 1 and _size_as_json(ranges) > size_bytes:
        last_keys = [each.up_to for each in reversed(ranges)][::2]
        ranges = _ranges(reversed(last_keys))
    return ranges


def rows_within(dataset: Dataset, tenant_id: uuid.UUID, key_range: KeyRange) -> QuerySet[Any]:
    """Return the rows of a range, as `Dataset.rows` does."""
    read = _model(dataset)._meta.pk.to_python
    rows = dataset.rows(tenant_id).filter(pk__lte=read(key_range.up_to))
    return rows if key_range.after is None else rows.filter(pk__gt=read(key_range.after))


def _last_keys(dataset: Dataset, tenant_id: uuid.UUID, rows_per_part: int) -> QuerySet[Any]:
    """Return each key that fills a range, and the greatest: the one that no other follows."""
    ours = _model(dataset)._default_manager.filter(**{dataset.tenant_field: tenant_id})
    numbered = ours.annotate(
        place=Window(RowNumber(), order_by=F("pk").asc()),
        following=Window(Lead("pk"), order_by=F("pk").asc()),
        remainder=F("place") % rows_per_part,
    )
    last = numbered.filter(Q(remainder=0) | Q(following=None)).order_by("pk")
    keys: QuerySet[Any] = last.values_list("pk", flat=True)
    return keys


def _ranges(last_keys: Iterable[str]) -> list[KeyRange]:
    """Return the ranges that end at these keys; one that comes twice ends one range."""
    ends = [None, *dict.fromkeys(last_keys)]
    return [
        KeyRange(number, after, str(up_to))
        for number, (after, up_to) in enumerate(pairwise(ends), start=1)
    ]


def _size_as_json(ranges: list[KeyRange]) -> int:
    return len(json.dumps([each.as_json() for each in ranges], ensure_ascii=False).encode())


def _model(dataset: Dataset) -> type[Model]:
    return apps.get_model(dataset.model)
