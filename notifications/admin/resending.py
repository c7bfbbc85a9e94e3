"""The pages that send again all deliveries of an endpoint that match: which, how many, then go."""

import uuid
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from jobs.admin.base import LedgerAdmin
from jobs.admin.countdown import in_utc
from jobs.event_names import NAME_MAX_CHARACTERS
from notifications.admin.endpoint_texts import host
from notifications.errors import UnknownEventType
from notifications.events import check_event_type
from notifications.models import WebhookEndpoint
from notifications.operations import resending
from notifications.payloads import ResendPayload
from notifications.states import SETTLED_DELIVERIES, DeliveryStatus

PAGE = "notifications_webhookdelivery_resend_matching"


def moment_field(label: str) -> forms.DateTimeField:
    widget = UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"})
    return forms.DateTimeField(label=label, required=False, widget=widget)


class ResendForm(forms.Form):
    status = forms.ChoiceField(
        label="Those that are",
        choices=[(status.value, status.label) for status in SETTLED_DELIVERIES],
        widget=UnfoldAdminSelectWidget,
    )
    event_type = forms.CharField(
        label="Of this event type alone (empty: of every type)",
        required=False,
        max_length=NAME_MAX_CHARACTERS,
        widget=UnfoldAdminTextInputWidget,
    )
    since = moment_field("Created then or later (UTC)")
    until = moment_field("Created then or earlier (UTC)")

    def clean_event_type(self) -> str | None:
        name: str = self.cleaned_data["event_type"]
        try:
            return check_event_type(name) if name else None
        except UnknownEventType as refusal:
            raise forms.ValidationError(str(refusal)) from None


class ResendingAdmin(LedgerAdmin):
    """What the admin of deliveries is beside its list and its page."""

    list_before_template = "admin/notifications/resend_matching.html"

    def has_resend_matching_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("notifications.resend_matching_webhookdelivery")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.resend_matching)
        return [path("resend-matching/", view, name=PAGE), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Offer it where the list is one endpoint's."""
        offered = {**(extra_context or {}), **self._offer(request)}
        return super().changelist_view(request, offered)

    def _offer(self, request: HttpRequest) -> dict[str, str]:
        if not request.GET.get("endpoint") or not self.has_resend_matching_permission(request):
            return {}
        names = {"endpoint": "endpoint", "status": "status__exact", "event_type": "event_type"}
        given = {name: request.GET.get(parameter) for name, parameter in names.items()}
        query = urlencode({name: value for name, value in given.items() if value})
        return {"resend_url": f"{reverse(f'{self.admin_site.name}:{PAGE}')}?{query}"}

    def resend_matching(self, request: HttpRequest) -> HttpResponse:
        """Ask which; say how many that are and ask again; begin when that is posted."""
        if not (self.has_view_permission(request) and self.has_resend_matching_permission(request)):
            raise PermissionDenied
        endpoint = _endpoint(request)
        if request.method != "POST":
            return self._ask_which(request, endpoint, ResendForm(initial=_initial(request)))
        form = ResendForm(request.POST)
        if not form.is_valid():
            return self._ask_which(request, endpoint, form)
        if "asked" in request.POST:
            return self._begin(request, endpoint, form)
        return self._ask_whether(request, endpoint, form)

    def _ask_which(
        self, request: HttpRequest, endpoint: WebhookEndpoint, form: ResendForm
    ) -> HttpResponse:
        what = f"Deliveries to {endpoint} ({host(endpoint)})"
        title = "Count what matches"
        return self.ask(request, title=title, what=what, back=self._list(endpoint), form=form)

    def _ask_whether(
        self, request: HttpRequest, endpoint: WebhookEndpoint, form: ResendForm
    ) -> HttpResponse:
        filters = ResendPayload(endpoint_id=endpoint.pk, **form.cleaned_data)
        count = resending.matching(filters).count()
        if not count:
            messages.warning(request, "No delivery matches.")
            return self._ask_which(request, endpoint, form)
        return self.ask(
            request,
            title=f"Send {count} again",
            what=f"{_in_words(filters)}, to {endpoint} ({host(endpoint)}): {count} now.",
            back=request.get_full_path(),
            form=forms.Form(),
            kept=[(name, request.POST.get(name, "")) for name in form.fields],
        )

    def _begin(
        self, request: HttpRequest, endpoint: WebhookEndpoint, form: ResendForm
    ) -> HttpResponse:
        try:
            job, count = resending.request_resend(
                tenant_id=None,
                user_id=request.user.pk,
                endpoint_id=endpoint.pk,
                **form.cleaned_data,
            )
        except self.refusals as refusal:
            messages.warning(request, str(refusal))
        else:
            noun = "delivery" if count == 1 else "deliveries"
            said = f"Job {job.pk} sends {count} {noun} to {endpoint} again."
            self.log_change(request, endpoint, said)
            messages.success(request, said)
        return HttpResponseRedirect(self._list(endpoint))

    def _list(self, endpoint: WebhookEndpoint) -> str:
        return f"{reverse(self._page_name('changelist'))}?{urlencode({'endpoint': endpoint.pk})}"


def _endpoint(request: HttpRequest) -> WebhookEndpoint:
    """:raises Http404: unless the address names one."""
    try:
        wanted = uuid.UUID(request.GET.get("endpoint", ""))
    except ValueError:
        raise Http404 from None
    endpoint = WebhookEndpoint.objects.defer("secret", "previous_secret").filter(pk=wanted).first()
    if endpoint is None:
        raise Http404
    return endpoint


def _initial(request: HttpRequest) -> dict[str, str]:
    """Begin with what the list shows."""
    status = request.GET.get("status", "")
    settled = status if status in SETTLED_DELIVERIES else DeliveryStatus.FAILED.value
    return {"status": settled, "event_type": request.GET.get("event_type", "")}


def _in_words(filters: ResendPayload) -> str:
    conditions = {
        "of the type": filters.event_type,
        "created since": filters.since and in_utc(filters.since),
        "created until": filters.until and in_utc(filters.until),
    }
    named = [f"{words} {value}" for words, value in conditions.items() if value]
    return ", ".join([f"Deliveries that are {filters.status}", *named])
