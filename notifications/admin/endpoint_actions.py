"""What an operator may do to a webhook endpoint: test it, re-key it, switch it, try it now."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.decorators import action

from jobs.admin.base import LedgerAdmin
from jobs.errors import JobError
from notifications.admin import endpoint_texts as texts
from notifications.admin.endpoint_forms import NewSecretForm
from notifications.errors import NotificationError
from notifications.models import WebhookEndpoint
from notifications.operations import breaker, deliveries, endpoints


class NothingToDo(NotificationError):
    """It is so already: a second click, or somebody was faster."""


class ActingOnEndpoints(LedgerAdmin):
    """What the admin of endpoints is beside its list, its page and its form."""

    refusals = (JobError, NotificationError)
    actions_detail = ("test", "resend_matching", "close_breaker", "enable", "disable", "new_secret")

    def has_test_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "test")

    def has_rotate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "rotate")

    def has_enable_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "enable")

    def has_resend_matching_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("notifications.resend_matching_webhookdelivery")

    def may(self, request: HttpRequest, verb: str) -> bool:
        return request.user.has_perm(f"notifications.{verb}_webhookendpoint")

    def idle_actions(self, row: WebhookEndpoint) -> set[str]:
        return texts.idle_actions(row)

    @action(description="Send a test", permissions=["test"], icon="send")
    def test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(endpoint: WebhookEndpoint) -> str:
            delivery = deliveries.request_test(
                tenant_id=None, user_id=request.user.pk, endpoint_id=endpoint.pk
            )
            return f"A test is on its way to {endpoint}, as delivery {delivery.pk}."

        return self.act_on_one(request, object_id, question="Send a test", act=act)

    @action(description="Send again", permissions=["resend_matching"], icon="replay")
    def resend_matching(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page that asks which, and says how many."""
        page = reverse("admin:notifications_webhookdelivery_resend_matching")
        return HttpResponseRedirect(f"{page}?endpoint={object_id}")

    @action(description="Try now", permissions=["enable"], icon="restart_alt")
    def close_breaker(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(endpoint: WebhookEndpoint) -> str:
            if not breaker.close(endpoint.pk):
                raise NothingToDo(f"The breaker of {endpoint} is closed already.")
            return f"Closed the breaker of {endpoint}: what waits is sent now."

        question = "Close the breaker and try now"
        return self.act_on_one(request, object_id, question=question, act=act)

    @action(description="Enable", permissions=["enable"], icon="play_arrow")
    def enable(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._switching(enabled=True)
        return self.act_on_one(request, object_id, question="Enable this endpoint", act=act)

    @action(description="Disable", permissions=["enable"], icon="pause")
    def disable(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._switching(enabled=False)
        return self.act_on_one(request, object_id, question="Disable this endpoint", act=act)

    @action(description="New secret", permissions=["rotate"], icon="key")
    def new_secret(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.act_on_one(
            request,
            object_id,
            question="Give this endpoint a new secret",
            act=self._rotating(request),
            form_class=NewSecretForm,
            initial=lambda endpoint: {"seen": str(endpoint.previous_secret_until)},
        )

    def _switching(self, *, enabled: bool) -> Any:
        word = "enabled" if enabled else "disabled"

        def act(endpoint: WebhookEndpoint) -> str:
            if endpoint.enabled == enabled:
                raise NothingToDo(f"{endpoint} is {word} already.")
            endpoints.update_endpoint(tenant_id=None, endpoint_id=endpoint.pk, enabled=enabled)
            return f"{endpoint} is {word} now."

        return act

    def _rotating(self, request: HttpRequest) -> Any:
        @transaction.atomic
        def act(endpoint: WebhookEndpoint, seen: str) -> str:
            # The lock is for two clicks at once: both would have seen the same.
            rows = WebhookEndpoint.objects.select_for_update().filter(pk=endpoint.pk)
            if str(rows.values_list("previous_secret_until", flat=True).first()) != seen:
                raise NothingToDo(f"{endpoint} has a new secret since you were asked.")
            _, secret = endpoints.rotate_secret(tenant_id=None, endpoint_id=endpoint.pk)
            self.show_once(request, secret)
            return f"Gave {endpoint} a new secret."

        return act

    def show_once(self, request: HttpRequest, secret: str) -> None:
        messages.warning(request, f"Copy the secret now, it is not shown again: {secret}")
