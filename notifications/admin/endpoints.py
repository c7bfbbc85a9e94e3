"""Webhook endpoints in the admin: what is shown of them; create, change and delete them."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponseRedirect

from jobs.admin.base import age
from notifications.admin import endpoint_texts as texts
from notifications.admin.endpoint_actions import ActingOnEndpoints
from notifications.admin.endpoint_forms import EndpointForm
from notifications.errors import UnknownEndpoint
from notifications.models import WebhookDelivery, WebhookEndpoint
from notifications.operations import endpoints
from notifications.states import SETTLED_DELIVERIES, DeliveryStatus

#: Never read by a page: they are encrypted, and nobody's to see.
SECRETS = ("secret", "previous_secret")

ASKED_FOR = ("url", "known_types", "own_types", "description")


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ActingOnEndpoints):
    form = EndpointForm
    autocomplete_fields = ("tenant",)
    list_display = ("name", "host", "tenant", "events", "badge", "failures_in_a_row",
                    "last_success", "since")  # fmt: skip
    list_filter = ("enabled",)
    list_select_related = ("tenant",)
    search_fields = ("id",)
    searched_ids = ("pk", "tenant_id")
    search_help_text = "A description, a host, a tenant or an id."
    shown_fields = ("badge", "disabled_reason", "breaker_text", "last_success", "deliveries_link",
                    "old_secret", "tenant", "created_by", "created_at", "id")  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        accepted = WebhookDelivery.objects.filter(
            endpoint=OuterRef("pk"), status=DeliveryStatus.DELIVERED
        )
        newest = accepted.order_by("-pk").values("settled_at")[:1]
        rows = super().get_queryset(request).defer(*SECRETS)
        return rows.annotate(succeeded_at=Subquery(newest))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint], search_term: str
    ) -> tuple[QuerySet[WebhookEndpoint], bool]:
        """Find descriptions and hosts, too, by reading all rows: no tenant has many."""
        found, duplicates = super().get_search_results(request, queryset, search_term)
        term = search_term.strip()
        return (found | queryset.filter(texts.matching(term)) if term else found), duplicates

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return "secret" not in lookup and super().lookup_allowed(lookup, value, request)

    def get_fieldsets(self, request: HttpRequest, obj: WebhookEndpoint | None = None) -> Any:
        if obj is None:
            return [(None, {"fields": ("tenant", *ASKED_FOR)})]
        editable = self.has_change_permission(request, obj)
        first = ASKED_FOR if editable else ("url", "events", "description")
        return [(None, {"fields": first}), ("State", {"fields": self.shown_fields})]

    def get_readonly_fields(self, request: HttpRequest, obj: WebhookEndpoint | None = None) -> Any:
        return () if obj is None else ("events", *self.shown_fields)

    # --- Who may do what ------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "change")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "delete")

    # --- Create, change, delete -----------------------------------------------------------------

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        view = super().changeform_view
        return self._saying_why_not(request, lambda: view(request, *args, **kwargs))

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        view = super().delete_view
        return self._saying_why_not(request, lambda: view(request, *args, **kwargs))

    def response_action(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        view = super().response_action
        return self._saying_why_not(request, lambda: view(request, *args, **kwargs))

    def _saying_why_not(self, request: HttpRequest, view: Callable[[], Any]) -> Any:
        """Say what an operation refuses that no field of a form is to blame for; undo all else."""
        try:
            with transaction.atomic():
                return view()
        except self.refusals as refusal:
            messages.warning(request, str(refusal))
            return HttpResponseRedirect(request.get_full_path())

    def save_model(
        self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool
    ) -> None:
        if change:
            endpoints.update_endpoint(tenant_id=None, endpoint_id=obj.pk, **form.given())
            return
        endpoint, secret = endpoints.create_endpoint(
            tenant_id=obj.tenant_id,
            user_id=request.user.pk,
            url=form.cleaned_data["url"],
            event_types=form.cleaned_data["event_types"],
            description=form.cleaned_data["description"],
        )
        obj.pk = endpoint.pk
        self.show_once(request, secret)

    def delete_model(self, request: HttpRequest, obj: WebhookEndpoint) -> None:
        with contextlib.suppress(UnknownEndpoint):  # Somebody was faster.
            endpoints.delete_endpoint(tenant_id=None, endpoint_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        for endpoint in queryset:
            self.delete_model(request, endpoint)

    def get_deleted_objects(
        self, objs: QuerySet[Any] | Sequence[Any], request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """Count what goes with them: Django's own would read and list every attempt."""
        rows = WebhookDelivery.objects.filter(endpoint__in=[each.pk for each in objs])
        live = rows.exclude(status__in=SETTLED_DELIVERIES).count()
        counts = {
            "webhook endpoints": len(objs),
            "webhook deliveries": rows.count(),
            "deliveries on their way, which are cancelled": live,
        }
        refused = set() if self.has_delete_permission(request) else {"webhook endpoint"}
        names = [f"{each} ({texts.host(each)})" for each in objs]
        return names, counts, refused, []

    # --- Columns --------------------------------------------------------------------------------

    @admin.display(description="Endpoint", ordering="description")
    def name(self, endpoint: WebhookEndpoint) -> str:
        return str(endpoint)

    @admin.display(description="Host")
    def host(self, endpoint: WebhookEndpoint) -> str:
        return texts.host(endpoint)

    @admin.display(description="Events")
    def events(self, endpoint: WebhookEndpoint) -> str:
        return texts.events(endpoint)

    @admin.display(description="State")
    def badge(self, endpoint: WebhookEndpoint) -> str:
        return texts.badge(endpoint)

    @admin.display(description="Breaker")
    def breaker_text(self, endpoint: WebhookEndpoint) -> str:
        return texts.breaker(endpoint)

    @admin.display(description="Last success", ordering="succeeded_at")
    def last_success(self, endpoint: Any) -> str:
        return age(endpoint.succeeded_at) if endpoint.succeeded_at else "-"

    @admin.display(description="Deliveries")
    def deliveries_link(self, endpoint: WebhookEndpoint) -> str:
        return texts.link_to_deliveries(endpoint)

    @admin.display(description="Old secret")
    def old_secret(self, endpoint: WebhookEndpoint) -> str:
        return texts.old_secret(endpoint)

    @admin.display(description="Age", ordering="id")
    def since(self, endpoint: WebhookEndpoint) -> str:
        return age(endpoint.created_at)
