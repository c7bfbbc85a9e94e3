"""Incidents, alerts and the audit log in the admin."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display

from jobs.admin.base import LedgerAdmin, LedgerInline, age, link, preformatted
from jobs.dead_letters.queries import with_counts
from jobs.models import Alert, AlertDelivery, AuditEntry, Incident
from jobs.states import DeliveryState

DELIVERY_COLOURS = {DeliveryState.DELIVERED: "success", DeliveryState.UNDELIVERED: "danger"}


@admin.register(Incident)
class IncidentAdmin(LedgerAdmin):
    list_display = (
        "title", "kind", "open_now", "total_count", "tenants_hit", "first", "last", "told",
    )  # fmt: skip
    list_filter = ("kind", "error_type")
    actions_detail = ("replay_open",)
    fields = (
        "title", "kind", "type", "error_type", "place", "open_now", "total_count", "tenants_hit",
        "letters", "first_seen_at", "last", "last_alert_at", "fingerprint",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Incident]:
        return with_counts(super().get_queryset(request))

    def has_replay_matching_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobs.replay_matching_deadletter")

    @action(
        description="Replay all open ones",
        permissions=["replay_matching"],
        icon="replay",
        url_path="replay-open",
    )
    def replay_open(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page that asks how, and says how many."""
        page = reverse("admin:jobs_deadletter_replay_matching")
        return HttpResponseRedirect(f"{page}?incident_id={object_id}")

    @admin.display(description="What")
    def title(self, incident: Incident) -> str:
        return str(incident)

    @admin.display(description="Open", ordering="open_count")
    def open_now(self, incident: Any) -> int:
        return int(incident.open_count)

    @admin.display(description="In all", ordering="total")
    def total_count(self, incident: Any) -> int:
        return int(incident.total)

    @admin.display(description="Tenants", ordering="tenants")
    def tenants_hit(self, incident: Any) -> int:
        return int(incident.tenants)

    @admin.display(description="First seen", ordering="first_seen_at")
    def first(self, incident: Incident) -> str:
        return age(incident.first_seen_at)

    @admin.display(description="Last seen", ordering="last_seen_at")
    def last(self, incident: Any) -> str:
        return age(incident.last_seen_at)

    @admin.display(description="Last alert", ordering="last_alert_at")
    def told(self, incident: Incident) -> str:
        return age(incident.last_alert_at) if incident.last_alert_at else "-"

    @admin.display(description="Dead letters")
    def letters(self, incident: Any) -> str:
        page = reverse("admin:jobs_deadletter_changelist")
        return format_html(
            '<a class="underline" href="{}?state=all&amp;incident_id={}">See them</a>',
            page,
            incident.pk,
        )


class DeliveryInline(LedgerInline):
    model = AlertDelivery
    fields = readonly_fields = ("channel", "badge", "delivered_at", "error")

    @display(description="State", label=DELIVERY_COLOURS)
    def badge(self, delivery: AlertDelivery) -> str:
        return delivery.state


@admin.register(Alert)
class AlertAdmin(LedgerAdmin):
    inlines = (DeliveryInline,)
    list_display = ("message", "kind", "severity", "since", "sent")
    list_filter = ("kind", "deliveries__state")
    fields = ("message", "kind", "severity", "group", "data_text", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        return super().get_queryset(request).prefetch_related("deliveries")

    @admin.display(description="Age", ordering="id")
    def since(self, alert: Alert) -> str:
        return age(alert.created_at)

    @admin.display(description="Sent")
    def sent(self, alert: Alert) -> str:
        """What became of it, per channel; without a channel it is a row and a log line."""
        return ", ".join(f"{each.channel} {each.state}" for each in alert.deliveries.all()) or "-"

    @admin.display(description="Incident")
    def group(self, alert: Alert) -> str:
        return link(alert.incident)

    @admin.display(description="Data")
    def data_text(self, alert: Alert) -> str:
        return preformatted(json.dumps(alert.data, indent=2, ensure_ascii=False))


@admin.register(AuditEntry)
class AuditEntryAdmin(LedgerAdmin):
    list_display = ("at", "actor", "action", "subject")
    list_filter = ("action",)
    search_fields = ("subject__exact",)
    search_help_text = "deadletter:<id> or bulkreplay:<id>"
    fields = ("at", "actor", "action", "subject", "detail_text")

    @admin.display(description="Detail")
    def detail_text(self, entry: AuditEntry) -> str:
        return preformatted(json.dumps(entry.detail, indent=2, ensure_ascii=False))
