"""By what the list of workflows is narrowed: how long ago they were started."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from jobs.models import Workflow

DAY, WEEK = timedelta(days=1), timedelta(days=7)


class AgeFilter(admin.SimpleListFilter):
    """Goes by the ids, which rise with time and have an index; `created_at` has none."""

    title = "age"
    parameter_name = "age"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("day", "Started within a day"),
            ("week", "Started within a week"),
            ("longer", "Started longer ago"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Workflow]) -> QuerySet[Workflow]:
        now = timezone.now()
        narrowed: dict[str | None, dict[str, uuid.UUID]] = {
            "day": {"pk__gte": first_id_at(now - DAY)},
            "week": {"pk__gte": first_id_at(now - WEEK)},
            "longer": {"pk__lt": first_id_at(now - WEEK)},
        }
        return queryset.filter(**narrowed.get(self.value(), {}))


def first_id_at(moment: datetime) -> uuid.UUID:
    """Return the least id that `new_id` can make at a moment: it begins with the milliseconds."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)
