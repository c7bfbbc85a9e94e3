"""Mails in the admin: what became of each, never what it said."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Length
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from unfold.decorators import action

from jobs.admin import base
from jobs.admin.base import LedgerAdmin, age, link
from jobs.admin.countdown import in_utc
from jobs.errors import JobError
from notifications.channels.email.message import message_id_of
from notifications.errors import NotificationError
from notifications.models import Notification
from notifications.operations import mails
from notifications.queries import count_attempts
from notifications.states import SETTLED_NOTIFICATIONS, NotificationStatus

STATUS_COLOURS: dict[str, str] = {
    NotificationStatus.PROCESSING: "info",
    NotificationStatus.SENT: "success",
    NotificationStatus.FAILED: "danger",
    NotificationStatus.CANCELLED: "warning",
}
ERROR_SHOWN_CHARACTERS = 80


@admin.register(Notification)
class NotificationAdmin(LedgerAdmin):
    refusals = (JobError, NotificationError)
    list_display = ("email", "subject", "tenant", "badge", "attempts_so_far", "short_error",
                    "since")  # fmt: skip
    list_filter = ("status",)
    search_fields = ("id",)
    searched_ids = ("pk", "job_id", "tenant_id")
    search_help_text = "An address, a tenant, or the id of a mail or job."
    actions = ("resend_selected", "cancel_selected")
    actions_detail = ("resend", "cancel")
    fields = ("badge", "error", "email", "subject", "text_size", "message_id", "tenant",
              "requested_by", "job_link", "attempts_so_far", "created", "settled",
              "id")  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notification]:
        rows = super().get_queryset(request).select_related("tenant", "job", "requested_by")
        return rows.defer("html", "job__payload")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Notification], search_term: str
    ) -> tuple[QuerySet[Notification], bool]:
        """Find a whole address, too, by its index."""
        if "@" in search_term:
            return queryset.filter(email__iexact=search_term.strip()), False
        return super().get_search_results(request, queryset, search_term)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return "html" not in lookup and super().lookup_allowed(lookup, value, request)

    def has_resend_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("notifications.resend_notification")

    def has_cancel_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("notifications.cancel_notification")

    def idle_actions(self, row: Notification) -> set[str]:
        return {"cancel"} if row.status in SETTLED_NOTIFICATIONS else {"resend"}

    # --- Actions --------------------------------------------------------------------------------

    @action(description="Send again", permissions=["resend"], icon="replay")
    def resend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._resending(request)
        return self.act_on_one(request, object_id, question="Send this mail again", act=act)

    @action(description="Cancel", permissions=["cancel"], icon="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._cancelling(request)
        return self.act_on_one(request, object_id, question="Cancel this mail", act=act)

    @admin.action(description="Send selected mails again", permissions=["resend"])
    def resend_selected(
        self, request: HttpRequest, queryset: QuerySet[Notification]
    ) -> HttpResponse | None:
        act = self._resending(request)
        return self.act_on_selected_after_asking(request, queryset, verb="Resend", act=act)

    @admin.action(description="Cancel selected mails", permissions=["cancel"])
    def cancel_selected(
        self, request: HttpRequest, queryset: QuerySet[Notification]
    ) -> HttpResponse | None:
        act = self._cancelling(request)
        return self.act_on_selected_after_asking(request, queryset, verb="Cancel", act=act)

    def _resending(self, request: HttpRequest) -> Any:
        def act(mail: Notification) -> str:
            mails.resend_mail(tenant_id=None, notification_id=mail.pk, by=str(request.user))
            return f"Queued {mail} again."

        return act

    def _cancelling(self, request: HttpRequest) -> Any:
        def act(mail: Notification) -> str:
            mails.cancel_mail(tenant_id=None, notification_id=mail.pk, by=str(request.user))
            return f"Cancelled {mail}."

        return act

    # --- Columns --------------------------------------------------------------------------------

    @admin.display(description="Status", ordering="status")
    def badge(self, mail: Notification) -> str:
        return base.badge(mail.status, STATUS_COLOURS.get(mail.status))

    @admin.display(description="Attempts")
    def attempts_so_far(self, mail: Notification) -> int:
        return count_attempts(mail)

    @admin.display(description="Error")
    def short_error(self, mail: Notification) -> str:
        return mail.error[:ERROR_SHOWN_CHARACTERS] or "-"

    @admin.display(description="Age", ordering="id")
    def since(self, mail: Notification) -> str:
        return age(mail.created_at)

    @admin.display(description="Created at")
    def created(self, mail: Notification) -> str:
        return in_utc(mail.created_at)

    @admin.display(description="Settled at")
    def settled(self, mail: Notification) -> str:
        return in_utc(mail.settled_at)

    @admin.display(description="Text")
    def text_size(self, mail: Notification) -> str:
        """Ask for the size alone: the text stays in the database."""
        sizes = Notification.objects.filter(pk=mail.pk).values_list(Length("html"), flat=True)
        return (
            f"{filesizeformat(sizes.first() or 0)}, encrypted. It is not shown, because it may "
            "have a link that works like a password."
        )

    @admin.display(description="Message-ID")
    def message_id(self, mail: Notification) -> str:
        return message_id_of(mail.pk)

    @admin.display(description="Job")
    def job_link(self, mail: Notification) -> str:
        return link(mail.job)
