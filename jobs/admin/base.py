"""What the admin's pages share that show rows which only operations write."""

import functools
import operator
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import model_ngettext
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from unfold.admin import ModelAdmin, TabularInline

from jobs.admin import tenants
from jobs.errors import JobError

#: Does one thing to one row, with what a form has asked for, and returns what to say of it.
Act = Callable[..., str]

#: Rows that one request acts on: more would take longer than a proxy waits.
ACTED_ON_AT_ONCE_MAX = 500


class ActingAdmin(ModelAdmin):
    """
    A page whose actions go through operations.

    `refusals` are the errors by which operations say no. Every action says what it did, row by
    row, so a second click is told that the first has done it.
    """

    refusals: tuple[type[Exception], ...] = (JobError,)

    class Media:
        css = {"all": ("jobs/pages.css",)}

    def act_on_one(
        self,
        request: HttpRequest,
        object_id: str,
        *,
        question: str,
        act: Act,
        form_class: type[forms.Form] = forms.Form,
        initial: Callable[[Any], dict[str, Any]] = lambda _: {},
    ) -> HttpResponse:
        """
        Ask first; act when the answer is posted, then show the row.

        The fields of `form_class` are asked for, and handed to `act` by name.
        """
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            raise Http404
        page = reverse(self._page_name("change"), args=[row.pk])
        posted = request.method == "POST"
        form = form_class(request.POST) if posted else form_class(initial=initial(row))
        if posted and form.is_valid():
            self._carry_out(request, [row], act, **form.cleaned_data)
            return HttpResponseRedirect(page)
        return self.ask(request, title=question, what=str(row), back=page, form=form)

    def act_on_selected(self, request: HttpRequest, rows: QuerySet[Any], *, act: Act) -> None:
        self._carry_out(request, list(rows), act)

    def act_on_selected_after_asking(
        self,
        request: HttpRequest,
        rows: QuerySet[Any],
        *,
        verb: str,
        act: Act,
        form_class: type[forms.Form] = forms.Form,
    ) -> HttpResponse | None:
        """Say how many rows will be touched and ask; act when that page is posted."""
        count = rows.count()
        if count > ACTED_ON_AT_ONCE_MAX:
            text = f"{count} are too many for one request; use the button above the list."
            messages.warning(request, text)
            return None
        asked = "asked" in request.POST
        form = form_class(request.POST) if asked else form_class()
        if asked and form.is_valid():
            self._carry_out(request, list(rows), act, **form.cleaned_data)
            return None
        names = ("action", "select_across", "_selected_action")
        kept = [(name, value) for name in names for value in request.POST.getlist(name)]
        title = f"{verb} {count} {model_ngettext(self.opts, count)}"
        back = request.get_full_path()
        return self.ask(request, title=title, what="", back=back, form=form, kept=kept)

    def ask(
        self,
        request: HttpRequest,
        *,
        title: str,
        what: str,
        back: str,
        form: forms.Form,
        kept: Sequence[tuple[str, str]] = (),
    ) -> HttpResponse:
        """Return the page that asks; its button says what it will do."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "what": what,
            "back": back,
            "form": form,
            "kept": kept,
        }
        return TemplateResponse(request, "admin/jobs/confirm.html", context)

    def _carry_out(self, request: HttpRequest, rows: list[Any], act: Any, **given: Any) -> None:
        """Act on each row; one that refuses does not keep the others back."""
        for row in rows:
            try:
                said = act(row, **given)
            except self.refusals as refusal:
                messages.warning(request, str(refusal))
            else:
                self.log_change(request, row, said)
                messages.success(request, said)

    def _page_name(self, page: str) -> str:
        return f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{page}"


class LedgerAdmin(ActingAdmin):
    """A page to read; what may be done is an action that goes through an operation."""

    show_full_result_count = False  # One count over a large table is enough.
    list_per_page = 50
    ordering: tuple[str, ...] = ("-id",)

    #: Columns in which a whole id is looked for, each by its index; by `tenant_id`, names too.
    searched_ids: tuple[str, ...] = ()

    def idle_actions(self, row: Any) -> set[str]:
        """Return the names of the buttons that could only be refused for this row."""
        return set()

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Offer what the row allows at present."""
        offered = super().get_actions_detail(request, object_id)
        row = self.get_object(request, str(object_id)) if offered else None
        idle = self.idle_actions(row) if row else set()
        return [each for each in offered if each.path not in idle]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find whole ids by their indexes: a search in texts would read the whole table."""
        if not self.searched_ids:
            return super().get_search_results(request, queryset, search_term)
        if not search_term.strip():
            return queryset, False
        try:
            wanted = uuid.UUID(search_term.strip())
        except ValueError:
            if "tenant_id" not in self.searched_ids:
                return queryset.none(), False
            return tenants.of_tenants_named(queryset, search_term.strip()), False
        conditions = (Q(**{column: wanted}) for column in self.searched_ids)
        return queryset.filter(functools.reduce(operator.or_, conditions)), False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


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


def badge(text: str, colour: str | None) -> str:
    """Return a coloured label: Unfold's own decorator draws one on lists alone."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": colour})


def preformatted(text: str) -> str:
    return format_html('<pre class="preformatted text-xs">{}</pre>', text)


def link(row: Model | None) -> str:
    """Return a link to a row's page in the admin."""
    if row is None:
        return "-"
    page = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    return format_html('<a class="underline" href="{}">{}</a>', reverse(page, args=[row.pk]), row)
