"""The chart above the daily metrics: bars of the last 30 days, stacked by event."""

import json
from collections import Counter
from datetime import date, timedelta
from typing import Any

from django.db.models import QuerySet, Sum
from django.utils import timezone

DAYS = 30

#: More would look alike; what is rarer is one colour together.
NAMES_MAX = 7
OTHERS = "others"

#: Told apart by lightness too, and readable on white and on near-black.
COLOURS = (
    "#3b82f6", "#f59e0b", "#10b981", "#8b5cf6", "#ec4899", "#06b6d4", "#ef4444", "#9ca3af",
)  # fmt: skip

_GREY = {"color": "#9ca3af"}

#: Chart.js's own; unfold's defaults have bars that cover one another, and no legend.
OPTIONS = {
    "animation": False,
    "responsive": True,
    "maintainAspectRatio": False,
    "plugins": {
        "legend": {
            "position": "top",
            "align": "end",
            "labels": {**_GREY, "boxWidth": 10, "boxHeight": 10},
        },
        "tooltip": {"mode": "index"},
    },
    "scales": {
        "x": {
            "stacked": True,
            "ticks": {**_GREY, "maxRotation": 0, "autoSkipPadding": 16},
            "grid": {"display": False},
        },
        "y": {
            "stacked": True,
            "beginAtZero": True,
            "ticks": {**_GREY, "precision": 0},
            "grid": {"display": True},
        },
    },
}


def chart_of(metrics: QuerySet[Any]) -> dict[str, str]:
    """Return what the template needs to draw these metrics; nothing where none is recent."""
    today = timezone.now().date()
    days = [today - timedelta(days=ago) for ago in reversed(range(DAYS))]
    table = _counts(metrics, days)
    if not table:
        return {}
    data = {"labels": [f"{day:%b} {day.day}" for day in days], "datasets": _datasets(table, days)}
    total = sum(sum(each.values()) for each in table.values())
    label = f"{total:,} events in {DAYS} days: {', '.join(table)}"
    return {"data": json.dumps(data), "options": json.dumps(OPTIONS), "label": label}


def _counts(metrics: QuerySet[Any], days: list[date]) -> dict[str, Counter[date]]:
    """Return counts by name and day, the commonest name first, rare ones together."""
    rows = (
        metrics.filter(day__gte=days[0], day__lte=days[-1])
        .order_by()
        .values_list("name", "day")
        .annotate(total=Sum("count"))
    )
    table: dict[str, Counter[date]] = {}
    for name, day, total in rows:
        table.setdefault(name, Counter())[day] += total
    return _commonest(table)


def _commonest(table: dict[str, Counter[date]]) -> dict[str, Counter[date]]:
    names = sorted(table, key=lambda name: (-table[name].total(), name))
    kept = {name: table[name] for name in names[:NAMES_MAX]}
    if len(names) > NAMES_MAX:
        kept[OTHERS] = sum((table[name] for name in names[NAMES_MAX:]), Counter())
    return kept


def _datasets(table: dict[str, Counter[date]], days: list[date]) -> list[dict[str, Any]]:
    return [
        {"label": name, "data": [counts[day] for day in days], "backgroundColor": colour}
        for (name, counts), colour in zip(table.items(), COLOURS, strict=False)
    ]
