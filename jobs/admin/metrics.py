"""Daily metrics in the admin: how many events of each name a tenant had on a day."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.db.models import Max, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from jobs.admin.base import LedgerAdmin
from jobs.admin.metrics_chart import DAYS, chart_of
from jobs.admin.tenants import name_of_tenant, with_tenant_names
from jobs.models import DailyMetric

#: How many tenants or names a filter offers; the search finds every tenant.
OFFERED_MAX = 50


def recent() -> QuerySet[DailyMetric]:
    """Return what the chart may show: read by index, however many years there are."""
    return DailyMetric.objects.filter(day__gt=timezone.now().date() - timedelta(days=DAYS))


class RecentFilter(admin.SimpleListFilter):
    """Offers what was recent; what was not may still be in the address."""

    def has_output(self) -> bool:
        """Django would else ignore the address where nothing is offered, and show everything."""
        return True


class NameFilter(RecentFilter):
    title = "event"
    parameter_name = "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = recent().order_by("name").values_list("name", flat=True).distinct()[:OFFERED_MAX]
        return [(name, name) for name in names]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[DailyMetric]
    ) -> QuerySet[DailyMetric]:
        return queryset.filter(name=self.value()) if self.value() else queryset


class TenantFilter(RecentFilter):
    """Offers the tenants with the most events."""

    title = "tenant"
    parameter_name = "tenant"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        tenants = recent().order_by().values("tenant_id")
        busiest = tenants.annotate(total=Sum("count"), row=Max("pk")).order_by("-total")
        keys = [each["row"] for each in busiest[:OFFERED_MAX]]
        rows = {row.pk: row for row in with_tenant_names(DailyMetric.objects.filter(pk__in=keys))}
        return [(str(rows[key].tenant_id), name_of_tenant(rows[key])) for key in keys]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[DailyMetric]
    ) -> QuerySet[DailyMetric]:
        """:raises IncorrectLookupParameters: for an id that is none; the list starts anew."""
        tenant_id = self.value()
        if not tenant_id:
            return queryset
        try:
            return queryset.filter(tenant_id=tenant_id)
        except ValidationError as error:
            raise IncorrectLookupParameters(str(error)) from error


@admin.register(DailyMetric)
class DailyMetricAdmin(LedgerAdmin):
    list_display = ("day", "name", "tenant", "count", "counted_at")
    list_filter = (NameFilter, TenantFilter, ("day", admin.DateFieldListFilter))
    list_before_template = "admin/jobs/metrics_chart.html"
    search_fields = ("tenant_id",)
    searched_ids = ("tenant_id",)
    search_help_text = "A tenant's name or id."
    ordering = ("-day", "name")
    fields = ("day", "name", "tenant", "count", "counted_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[DailyMetric]:
        return with_tenant_names(super().get_queryset(request))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Draw what the filters leave, and not the list's one page alone."""
        answer = super().changelist_view(request, extra_context)
        shown = getattr(answer, "context_data", None) or {}
        if "cl" in shown:
            shown["chart"] = chart_of(shown["cl"].queryset)
        return answer

    @admin.display(description="Tenant", ordering="tenant_id")
    def tenant(self, metric: DailyMetric) -> str:
        return name_of_tenant(metric)
