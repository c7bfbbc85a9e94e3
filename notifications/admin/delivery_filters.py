"""The filters above the list of webhook deliveries."""

import uuid
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest

from notifications.errors import UnknownEventType
from notifications.events import EVENT_TYPES, TEST_EVENT, check_event_type
from notifications.models import WebhookDelivery, WebhookEndpoint

#: More than these, and the list's page would be mostly filter: links lead to the others' rows.
ENDPOINTS_OFFERED_MAX = 20


class EventTypeFilter(admin.SimpleListFilter):
    title = "event type"
    parameter_name = "event_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the product's own, and whatever the address asks for."""
        names = [*EVENT_TYPES, TEST_EVENT, request.GET.get("event_type") or TEST_EVENT]
        return [(name, name) for name in dict.fromkeys(names)]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]
    ) -> QuerySet[WebhookDelivery]:
        """:raises IncorrectLookupParameters: for what is no event type; the list starts anew."""
        wanted = self.value()
        if not wanted:
            return queryset
        try:
            return queryset.filter(event_type=check_event_type(wanted))
        except UnknownEventType as error:
            raise IncorrectLookupParameters(str(error)) from error


class EndpointFilter(admin.SimpleListFilter):
    title = parameter_name = "endpoint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the newest, and whichever the address asks for."""
        names = WebhookEndpoint.objects.order_by("-pk").values_list("pk", "description")
        offered = {str(pk): name or str(pk) for pk, name in names[:ENDPOINTS_OFFERED_MAX]}
        if chosen := request.GET.get("endpoint"):
            offered.setdefault(chosen, chosen)
        return list(offered.items())

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]
    ) -> QuerySet[WebhookDelivery]:
        """:raises IncorrectLookupParameters: for an id that is none; the list starts anew."""
        if not self.value():
            return queryset
        try:
            return queryset.filter(endpoint=uuid.UUID(self.value()))
        except ValueError as error:
            raise IncorrectLookupParameters(str(error)) from error
