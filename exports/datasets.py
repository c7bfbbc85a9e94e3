"""
The registry of what can be exported.

A team puts this into a module `datasets` of its own app, which is found by itself:

    register_dataset(
        "items",
        model="workspace.Item",
        tenant_field="tenant",
        columns=["id", "sku", ("project", "project__name"), ("total", F("price") * F("quantity"))],
    )
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.models import F, QuerySet
from django.db.models.expressions import Combinable

from exports.errors import UnknownDataset
from exports.formats.kinds import Kind, kind_of

#: PostgreSQL cuts longer names off (63 bytes), and two columns might then share one.
COLUMN_NAME_BYTES = 63


@dataclass(frozen=True)
class Column:
    name: str
    value: Combinable

    def is_valid(self) -> bool:
        return self.name.isprintable() and 0 < len(self.name.encode()) <= COLUMN_NAME_BYTES


@dataclass(frozen=True)
class Dataset:
    """Which rows of which model a tenant may export, and as which columns, in order."""

    name: str
    model: str
    tenant_field: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def rows(self, tenant_id: uuid.UUID) -> QuerySet[Any]:
        """Return one tenant's rows, by primary key, with each column as an annotation."""
        model = apps.get_model(self.model)
        values = {alias(number): column.value for number, column in enumerate(self.columns)}
        rows: QuerySet[Any] = model._default_manager.filter(**{self.tenant_field: tenant_id})
        with_columns: QuerySet[Any] = rows.annotate(**values).order_by("pk")
        return with_columns

    def kinds(self) -> dict[str, Kind]:
        """Return the annotations that `rows` adds, in order, and the kind of each one's values."""
        annotations = self.rows(uuid.UUID(int=0)).query.annotations
        aliases = map(alias, range(len(self.columns)))
        return {name: kind_of(annotations[name].output_field) for name in aliases}

    def has_rows(self, tenant_id: uuid.UUID, count: int) -> bool:
        """Tell whether there are so many, by the primary key alone and no further than that."""
        rows = apps.get_model(self.model)._default_manager.filter(**{self.tenant_field: tenant_id})
        found: bool = rows.order_by("pk")[count - 1 : count].exists()
        return found

    def count(self, tenant_id: uuid.UUID) -> int:
        return self.rows(tenant_id).count()


def alias(number: int) -> str:
    """Return a name that no field of any model has."""
    return f"exported_column_{number}"


_datasets: dict[str, Dataset] = {}


def register_dataset(
    name: str,
    *,
    model: str,
    tenant_field: str,
    columns: Sequence[str | tuple[str, str | Combinable]],
) -> Dataset:
    """
    Offer a model's rows for export.

    A column is a path to a field, or a name and a path or expression. Calling it again replaces
    the dataset of that name.
    """
    dataset = Dataset(name, model, tenant_field, tuple(map(_column, columns)))
    names = dataset.names
    if not 0 < len(names) == len(set(names)) or not all(map(Column.is_valid, dataset.columns)):
        raise ValueError(f"Dataset {name!r}: give columns with unique names of 1 to 63 bytes.")
    _datasets[name] = dataset
    return dataset


def get_dataset(name: str) -> Dataset:
    """:raises UnknownDataset: naming those that exist."""
    if name not in _datasets:
        raise UnknownDataset(name, _datasets)
    return _datasets[name]


def list_datasets() -> list[Dataset]:
    return [_datasets[name] for name in sorted(_datasets)]


def _column(given: str | tuple[str, str | Combinable]) -> Column:
    name, value = (given, given) if isinstance(given, str) else given
    return Column(name, F(value) if isinstance(value, str) else value)
