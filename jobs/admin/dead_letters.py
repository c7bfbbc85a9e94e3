"""Dead letters in the admin: what died, of what, and what may be done about it."""

import json
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from unfold.decorators import action, display

from jobs.admin import dead_letter_texts as texts
from jobs.admin import tenants
from jobs.admin.base import LedgerAdmin, age, link, preformatted
from jobs.admin.dead_letter_filters import FILTERS, matching_of
from jobs.admin.forms import BulkReplayForm, DiscardForm, PayloadForm
from jobs.dead_letters import bulk, operations
from jobs.errors import BulkReplayRefused
from jobs.models import AuditEntry, DeadLetter
from jobs.states import DeadLetterState

STATE_COLOURS = {
    DeadLetterState.OPEN: "danger",
    DeadLetterState.REPLAYED: "success",
    DeadLetterState.SUPERSEDED: "info",
}
ERROR_SHOWN_CHARACTERS = 80


@admin.register(DeadLetter)
class DeadLetterAdmin(LedgerAdmin):
    list_display = ("badge", "type", "short_error", "tenant", "queue", "reason", "group", "since")
    list_display_links = ("type",)
    list_filter = FILTERS
    list_select_related = ("incident",)
    list_before_template = "admin/jobs/replay_matching.html"
    search_fields = ("id",)
    searched_ids = ("pk", "job_id", "tenant_id")
    search_help_text = "A tenant's name or id, or the id of a dead letter or its job."
    actions = ("replay_selected", "discard_selected")
    actions_detail = ("replay", "replay_edited", "discard")
    fieldsets = (
        (None, {"fields": ("badge", "what_happened", "error", "type", "tenant_and_id", "group")}),
        ("Cause", {"fields": ("cause",)}),
        (
            "Message",
            {"fields": ("payload", "headers_text", "properties_text", "routing_key", "queue",
                        "reason", "dispatch", "attempts")},
        ),
        ("Its job", {"fields": ("job_link", "replay_link", "user_id")}),
        (
            "What was done",
            {"fields": ("handled_by", "handled_at", "discard_reason", "bulk_link", "audit")},
        ),
        ("Times", {"fields": ("died_at", "recorded_at")}),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        return tenants.with_tenant_names(super().get_queryset(request))

    def has_replay_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobs.replay_deadletter")

    def has_edit_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobs.edit_deadletter")

    def has_discard_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobs.discard_deadletter")

    def has_replay_matching_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.replay_matching_deadletter")

    # --- One, or the selected -------------------------------------------------------------------

    @action(description="Replay", permissions=["replay"], icon="replay")
    def replay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._replaying(request)
        return self.act_on_one(request, object_id, question="Replay 1 dead letter", act=act)

    @action(
        description="Replay edited", permissions=["edit"], icon="edit", url_path="replay-edited"
    )
    def replay_edited(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.act_on_one(
            request,
            object_id,
            question="Replay 1 dead letter with this payload",
            act=self._replaying(request),
            form_class=PayloadForm,
            initial=texts.payload_form,
        )

    @action(description="Discard", permissions=["discard"], icon="delete")
    def discard(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.act_on_one(
            request,
            object_id,
            question="Discard 1 dead letter",
            act=self._discarding(request),
            form_class=DiscardForm,
        )

    @admin.action(description="Replay selected dead letters", permissions=["replay"])
    def replay_selected(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter]
    ) -> HttpResponse | None:
        act = self._replaying(request)
        return self.act_on_selected_after_asking(request, queryset, verb="Replay", act=act)

    @admin.action(description="Discard selected dead letters", permissions=["discard"])
    def discard_selected(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter]
    ) -> HttpResponse | None:
        return self.act_on_selected_after_asking(
            request,
            queryset,
            verb="Discard",
            act=self._discarding(request),
            form_class=DiscardForm,
        )

    def _replaying(self, request: HttpRequest) -> Any:
        def act(letter: DeadLetter, payload: dict[str, Any] | None = None) -> str:
            by = str(request.user)
            job = operations.replay_dead_letter(dead_letter_id=letter.pk, by=by, payload=payload)
            return f"{letter} runs again as job {job.pk}."

        return act

    def _discarding(self, request: HttpRequest) -> Any:
        def act(letter: DeadLetter, reason: str) -> str:
            by = str(request.user)
            operations.discard_dead_letter(dead_letter_id=letter.pk, by=by, reason=reason)
            return f"Discarded {letter}."

        return act

    # --- All that match -------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.replay_matching)
        name = f"{self.opts.app_label}_{self.opts.model_name}_replay_matching"
        return [path("replay-matching/", view, name=name), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Offer to replay what the list shows, where it shows open ones."""
        offered = {**(extra_context or {}), **self._offer(request)}
        return super().changelist_view(request, offered)

    def replay_matching(self, request: HttpRequest) -> HttpResponse:
        """Ask at which rate to replay all that match the address; begin when that is posted."""
        if not self.has_replay_matching_permission(request):
            raise PermissionDenied
        matching = matching_of(request.GET)
        posted = request.method == "POST"
        form = BulkReplayForm(request.POST) if posted else BulkReplayForm()
        back = f"{reverse(self._page_name('changelist'))}?{request.GET.urlencode()}"
        try:
            if posted and form.is_valid():
                started = bulk.start_bulk_replay(
                    matching=matching, by=str(request.user), **form.cleaned_data
                )
                self.log_change(request, started, f"Began the {started}.")
                return HttpResponseRedirect(texts.page_of(started))
            title = f"Replay {matching.rows().count()} dead letters"
        except (BulkReplayRefused, ValueError) as refusal:
            self.message_user(request, str(refusal), level="WARNING")
            return HttpResponseRedirect(back)
        what = texts.in_words(matching)
        return self.ask(request, title=title, what=what, back=back, form=form)

    def _offer(self, request: HttpRequest) -> dict[str, Any]:
        if not self.has_replay_matching_permission(request) or request.GET.get("q"):
            return {}
        matching = matching_of(request.GET)
        if matching.state != DeadLetterState.OPEN:
            return {}
        try:
            count = matching.rows().count()
        except ValueError:
            return {}
        name = f"{self.admin_site.name}:jobs_deadletter_replay_matching"
        return {"matching": count, "replay_url": f"{reverse(name)}?{request.GET.urlencode()}"}

    # --- Columns --------------------------------------------------------------------------------

    @display(description="State", ordering="state", label=STATE_COLOURS)
    def badge(self, letter: DeadLetter) -> str:
        return letter.state

    @admin.display(description="Tenant")
    def tenant(self, letter: DeadLetter) -> str:
        return tenants.link_to_tenant(letter)

    @admin.display(description="Tenant")
    def tenant_and_id(self, letter: DeadLetter) -> str:
        return tenants.link_and_id_of_tenant(letter)

    @admin.display(description="Incident")
    def group(self, letter: DeadLetter) -> str:
        return link(letter.incident)

    @admin.display(description="Age", ordering="id")
    def since(self, letter: DeadLetter) -> str:
        return age(letter.recorded_at)

    @admin.display(description="Error")
    def short_error(self, letter: DeadLetter) -> str:
        return letter.error[:ERROR_SHOWN_CHARACTERS] or "-"

    @admin.display(description="What happened")
    def what_happened(self, letter: DeadLetter) -> str:
        return texts.what_happened(letter)

    @admin.display(description="Cause")
    def cause(self, letter: DeadLetter) -> str:
        return texts.cause(letter)

    @admin.display(description="Payload")
    def payload(self, letter: DeadLetter) -> str:
        return preformatted(texts.payload(letter))

    @admin.display(description="Headers")
    def headers_text(self, letter: DeadLetter) -> str:
        return preformatted(json.dumps(letter.headers, indent=2, ensure_ascii=False))

    @admin.display(description="Properties")
    def properties_text(self, letter: DeadLetter) -> str:
        return preformatted(json.dumps(letter.properties, indent=2, ensure_ascii=False))

    @admin.display(description="Job")
    def job_link(self, letter: DeadLetter) -> str:
        return texts.link_to_job(letter.job_id)

    @admin.display(description="Replayed as")
    def replay_link(self, letter: DeadLetter) -> str:
        return texts.link_to_job(letter.replay_job_id)

    @admin.display(description="Part of")
    def bulk_link(self, letter: DeadLetter) -> str:
        return link(letter.bulk_replay)

    @admin.display(description="Audit log")
    def audit(self, letter: DeadLetter) -> str:
        entries = AuditEntry.objects.filter(subject=f"deadletter:{letter.pk}").order_by("id")
        rows = ((each.at.isoformat(" ", "seconds"), each.actor, each.action) for each in entries)
        return format_html_join("", "<div>{} {} {}</div>", rows) or "-"
