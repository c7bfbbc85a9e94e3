"""The filters above the list of dead letters; together they are a `Matching`."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict

from jobs import registry
from jobs.admin import tenants
from jobs.dead_letters.matching import Matching
from jobs.lanes import lane_names
from jobs.models import DeadLetter, Incident
from jobs.states import AlertKind, DeadLetterState

HOUR, DAY, WEEK = 3_600, 86_400, 604_800

AGES = {
    "older-hour": ("older than an hour", {"older_than_seconds": HOUR}),
    "older-day": ("older than a day", {"older_than_seconds": DAY}),
    "older-week": ("older than a week", {"older_than_seconds": WEEK}),
    "younger-hour": ("of the last hour", {"younger_than_seconds": HOUR}),
    "younger-day": ("of the last day", {"younger_than_seconds": DAY}),
}

#: Parameters of the list that narrow it, beside its state and age.
NAMES = ("type", "queue", "reason", "error_type", "tenant_id", "incident_id")


def matching_of(parameters: MultiValueDict[str, str]) -> Matching:
    """Return what the list shows with these parameters of its address."""
    state = parameters.get("state") or DeadLetterState.OPEN
    named: dict[str, Any] = {name: parameters.get(name) or "" for name in NAMES}
    named |= AGES.get(parameters.get("age") or "", ("", {}))[1]
    return Matching(state="" if state == "all" else state, **named)


class MatchingFilter(admin.SimpleListFilter):
    """One condition; `StateFilter` applies them all together."""

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter]
    ) -> QuerySet[DeadLetter]:
        return queryset


class StateFilter(MatchingFilter):
    """Always there, so it is the one that applies all conditions."""

    title = parameter_name = "state"

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter]
    ) -> QuerySet[DeadLetter]:
        """:raises IncorrectLookupParameters: for an id that is none; the list starts anew."""
        try:
            return matching_of(request.GET).narrow(queryset)
        except ValueError as error:
            raise IncorrectLookupParameters(str(error)) from error

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*DeadLetterState.choices, ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        """Without Django's own "All": an address without a state means the open ones."""
        chosen = self.value() or DeadLetterState.OPEN
        for value, label in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": chosen == value, "query_string": query, "display": label}


class TypeFilter(MatchingFilter):
    title = parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(each.name, each.name) for each in registry.all_types()]


class QueueFilter(MatchingFilter):
    title = parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in lane_names()]


class ReasonFilter(MatchingFilter):
    title = parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(reason, reason) for reason in ("rejected", "expired", "delivery_limit", "ledger")]


class ErrorTypeFilter(MatchingFilter):
    title = "error"
    parameter_name = "error_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Ask the incidents, which are few."""
        incidents = Incident.objects.filter(kind=AlertKind.DEAD_LETTER).order_by("error_type")
        return [(name, name) for name in incidents.values_list("error_type", flat=True).distinct()]


class AgeFilter(MatchingFilter):
    title = parameter_name = "age"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, label) for key, (label, _) in AGES.items()]


class TenantFilter(MatchingFilter, tenants.TenantFilter):
    """Offers what the other lists offer."""


class IncidentFilter(MatchingFilter):
    """Shown only while the address has it: links of other pages set it."""

    title = "incident"
    parameter_name = "incident_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        value = self.value()
        return [(value, value)] if value else []


FILTERS = (
    StateFilter, AgeFilter, TypeFilter, ErrorTypeFilter, QueueFilter, ReasonFilter, TenantFilter,
    IncidentFilter,
)  # fmt: skip
