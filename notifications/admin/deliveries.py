"""Webhook deliveries in the admin: what was sent, what each attempt found, and sending it again."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action

from jobs.admin import base
from jobs.admin.base import LedgerInline, age, link, preformatted
from jobs.admin.countdown import in_utc
from jobs.admin.documents import indented
from jobs.errors import JobError
from jobs.models import DeadLetter
from notifications.admin.delivery_filters import EndpointFilter, EventTypeFilter
from notifications.admin.resending import ResendingAdmin
from notifications.errors import NotificationError
from notifications.models import DeliveryAttempt, WebhookDelivery
from notifications.operations import deliveries
from notifications.states import SETTLED_DELIVERIES, DeliveryStatus

STATUS_COLOURS: dict[str, str] = {
    DeliveryStatus.PROCESSING: "info",
    DeliveryStatus.DELIVERED: "success",
    DeliveryStatus.FAILED: "danger",
    DeliveryStatus.CANCELLED: "warning",
}
ERROR_SHOWN_CHARACTERS = 80


class AttemptInline(LedgerInline):
    model = DeliveryAttempt
    verbose_name_plural = "attempts"
    hide_title = True
    fields = readonly_fields = ("number", "started", "status_code", "took", "error", "answer")
    ordering = ("number",)

    @admin.display(description="Started at")
    def started(self, attempt: DeliveryAttempt) -> str:
        return in_utc(attempt.started_at)

    @admin.display(description="Took")
    def took(self, attempt: DeliveryAttempt) -> str:
        return "-" if attempt.latency_ms is None else f"{attempt.latency_ms:,} ms"

    @admin.display(description="Answer")
    def answer(self, attempt: DeliveryAttempt) -> str:
        return preformatted(attempt.excerpt) if attempt.excerpt else "-"


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ResendingAdmin):
    refusals = (JobError, NotificationError)
    inlines = (AttemptInline,)
    list_display = ("event_type", "endpoint", "tenant", "badge", "attempts_so_far", "last_status",
                    "short_error", "since")  # fmt: skip
    list_filter = ("status", EventTypeFilter, EndpointFilter)
    search_fields = ("id",)
    searched_ids = ("pk", "job_id", "endpoint_id", "tenant_id")
    search_help_text = "A tenant's name or id, or the id of a delivery, its job or its endpoint."
    actions = ("resend_selected", "cancel_selected")
    actions_detail = ("resend", "cancel")
    fields = ("badge", "error", "event_type", "endpoint", "tenant", "requested_by", "body_text",
              "job_link", "dead_letter", "attempts_so_far", "created", "settled",
              "id")  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        newest = DeliveryAttempt.objects.filter(delivery=OuterRef("pk")).order_by("-number")
        rows = super().get_queryset(request).select_related("endpoint", "tenant", "requested_by")
        # A body may be large: the page of one delivery fetches its own.
        rows = rows.defer("body", "endpoint__secret", "endpoint__previous_secret")
        return rows.annotate(
            status_code=Subquery(newest.values("status_code")[:1]),
            found=Subquery(newest.values("error")[:1]),
        )

    def has_resend_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("notifications.resend_webhookdelivery")

    def has_cancel_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("notifications.cancel_webhookdelivery")

    def idle_actions(self, row: WebhookDelivery) -> set[str]:
        return {"cancel"} if row.status in SETTLED_DELIVERIES else {"resend"}

    # --- Actions --------------------------------------------------------------------------------

    @action(description="Send again", permissions=["resend"], icon="replay")
    def resend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._resending(request)
        return self.act_on_one(request, object_id, question="Send this again", act=act)

    @action(description="Cancel", permissions=["cancel"], icon="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._cancelling(request)
        return self.act_on_one(request, object_id, question="Cancel this delivery", act=act)

    @admin.action(description="Send selected deliveries again", permissions=["resend"])
    def resend_selected(
        self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]
    ) -> HttpResponse | None:
        act = self._resending(request)
        return self.act_on_selected_after_asking(request, queryset, verb="Resend", act=act)

    @admin.action(description="Cancel selected deliveries", permissions=["cancel"])
    def cancel_selected(
        self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]
    ) -> HttpResponse | None:
        act = self._cancelling(request)
        return self.act_on_selected_after_asking(request, queryset, verb="Cancel", act=act)

    def _resending(self, request: HttpRequest) -> Any:
        def act(delivery: WebhookDelivery) -> str:
            by = str(request.user)
            deliveries.resend_delivery(tenant_id=None, delivery_id=delivery.pk, by=by)
            return f"Queued {delivery} again."

        return act

    def _cancelling(self, request: HttpRequest) -> Any:
        def act(delivery: WebhookDelivery) -> str:
            by = str(request.user)
            deliveries.cancel_delivery(tenant_id=None, delivery_id=delivery.pk, by=by)
            return f"Cancelled {delivery}."

        return act

    # --- Columns --------------------------------------------------------------------------------

    @admin.display(description="Status", ordering="status")
    def badge(self, delivery: WebhookDelivery) -> str:
        return base.badge(delivery.status, STATUS_COLOURS.get(delivery.status))

    @admin.display(description="Attempts", ordering="attempts_started")
    def attempts_so_far(self, delivery: WebhookDelivery) -> int:
        return delivery.attempts_started

    @admin.display(description="Last answer")
    def last_status(self, delivery: Any) -> str:
        return str(delivery.status_code or "-")

    @admin.display(description="Error")
    def short_error(self, delivery: Any) -> str:
        """While it is on its way, what its newest attempt has found."""
        return (delivery.error or delivery.found or "")[:ERROR_SHOWN_CHARACTERS] or "-"

    @admin.display(description="Age", ordering="id")
    def since(self, delivery: WebhookDelivery) -> str:
        return age(delivery.created_at)

    @admin.display(description="Body")
    def body_text(self, delivery: WebhookDelivery) -> str:
        return preformatted(indented(delivery.body))

    @admin.display(description="Created at")
    def created(self, delivery: WebhookDelivery) -> str:
        return in_utc(delivery.created_at)

    @admin.display(description="Settled at")
    def settled(self, delivery: WebhookDelivery) -> str:
        return in_utc(delivery.settled_at)

    @admin.display(description="Job")
    def job_link(self, delivery: WebhookDelivery) -> str:
        return link(delivery.job)

    @admin.display(description="Dead letter")
    def dead_letter(self, delivery: WebhookDelivery) -> str:
        if delivery.job_id is None:
            return "-"
        return link(DeadLetter.objects.filter(job_id=delivery.job_id).order_by("-pk").first())
