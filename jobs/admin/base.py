"""What the admin's pages share that show rows which only operations write."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from unfold.admin import ModelAdmin, TabularInline

from jobs.errors import JobError

#: Does one thing to one row and returns what to say of it.
Act = Callable[[Any], str]


class LedgerAdmin(ModelAdmin):
    """
    A page to read; what may be done is an action that goes through an operation.

    `refusals` are the errors by which operations say no. Every action says what it did, row by
    row, so a second click is told that the first has done it.
    """

    refusals: tuple[type[Exception], ...] = (JobError,)
    show_full_result_count = False  # One count over a large table is enough.
    list_per_page = 50
    ordering = ("-id",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def act_on_one(
        self, request: HttpRequest, object_id: str, *, question: str, act: Act
    ) -> HttpResponse:
        """Ask first; act when the answer is posted, then show the row."""
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            raise Http404
        page = reverse(self._page_name("change"), args=[row.pk])
        if request.method == "POST":
            self._carry_out(request, [row], act)
            return HttpResponseRedirect(page)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": question,
            "object": row,
            "back": page,
        }
        return TemplateResponse(request, "admin/jobs/confirm.html", context)

    def act_on_selected(self, request: HttpRequest, rows: QuerySet[Any], *, act: Act) -> None:
        self._carry_out(request, list(rows), act)

    def _carry_out(self, request: HttpRequest, rows: list[Any], act: Act) -> None:
        """Act on each row; one that refuses does not keep the others back."""
        for row in rows:
            try:
                said = act(row)
            except self.refusals as refusal:
                messages.warning(request, str(refusal))
            else:
                self.log_change(request, row, said)
                messages.success(request, said)

    def _page_name(self, page: str) -> str:
        return f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{page}"


class LedgerInline(TabularInline):
    """Rows below a page of `LedgerAdmin`: who may see the page may see them."""

    extra = 0
    can_delete = False
    show_change_link = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        opts = self.parent_model._meta
        return request.user.has_perm(f"{opts.app_label}.view_{opts.model_name}")


def age(moment: datetime) -> str:
    """Return how long ago it was, in one unit, with the moment itself on hover."""
    words = timesince(moment, timezone.now(), depth=1)
    return format_html('<span title="{}">{}</span>', moment.isoformat(" ", "seconds"), words)


def preformatted(text: str) -> str:
    return format_html('<pre class="whitespace-pre-wrap break-all text-xs">{}</pre>', text)


def link(row: Model | None) -> str:
    """Return a link to a row's page in the admin."""
    if row is None:
        return "-"
    page = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    return format_html('<a class="underline" href="{}">{}</a>', reverse(page, args=[row.pk]), row)
