"""The history of health checks in the admin, and the present state of each above it."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import display

from jobs.admin.base import LedgerAdmin
from jobs.doctor import Status
from jobs.health import history
from jobs.models import HealthCheck

STATUS_COLOURS = {Status.OK: "success", Status.WARNING: "warning", Status.FAILED: "danger"}


class ColumnFilter(admin.SimpleListFilter):
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = {str(self.parameter_name): self.value()}
        return queryset.filter(**wanted) if self.value() else queryset


class CheckFilter(ColumnFilter):
    """Offers the checks of the newest look: to ask for all names would read the whole table."""

    title = parameter_name = "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in history.newest_look().values_list("name", flat=True)]


class StatusFilter(ColumnFilter):
    title = parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status.value, status.value) for status in Status]


@admin.register(HealthCheck)
class HealthCheckAdmin(LedgerAdmin):
    list_display = ("name", "badge", "found", "latency", "at")
    list_filter = (CheckFilter, StatusFilter)
    list_before_template = "admin/jobs/present_health.html"
    fields = ("name", "badge", "found", "latency", "at")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        present = [
            {"check": row, "colour": STATUS_COLOURS.get(Status(row.status))}
            for row in history.newest_look()
        ]
        return super().changelist_view(request, {**(extra_context or {}), "present": present})

    @display(description="Status", label=STATUS_COLOURS)
    def badge(self, check: HealthCheck) -> str:
        return check.status

    @admin.display(description="Latency", ordering="latency_ms")
    def latency(self, check: HealthCheck) -> str:
        return f"{check.latency_ms:.0f} ms"
