"""Invitations in the admin: who was invited, by whom, and what came of it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display

from jobs.admin.base import Act, LedgerAdmin
from notifications.channels.email.rules import check_address
from notifications.errors import MailRefused
from project.accounts import invitations
from project.accounts.errors import AccountsError, RoleRefused
from project.accounts.inviters import Inviter
from project.accounts.models import Invitation, User
from project.accounts.states import InvitationStatus

COLOURS = {
    InvitationStatus.PENDING: "info",
    InvitationStatus.ACCEPTED: "success",
    InvitationStatus.REVOKED: "danger",
    InvitationStatus.EXPIRED: "warning",
}


class InviteForm(forms.ModelForm):
    """Refuses what the operation would, so that it is said beside its field."""

    operator: User  #: Set by the page.

    class Meta:
        model = Invitation
        fields = ("tenant", "email", "role")

    def clean_email(self) -> str:
        try:
            return check_address(self.cleaned_data["email"])
        except MailRefused as refusal:
            raise forms.ValidationError(str(refusal)) from None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors:
            self._ask(**cleaned)
        return cleaned

    def _ask(self, **asked: Any) -> None:
        """The page is one transaction, so what is not refused now is not refused later either."""
        try:
            invitations.check_invitation(by=_operator(self.operator), now=timezone.now(), **asked)
        except RoleRefused as refusal:
            self.add_error("role", str(refusal))
        except AccountsError as refusal:
            self.add_error("email", str(refusal))


class StatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return InvitationStatus.choices

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() not in InvitationStatus.values:
            return queryset
        return queryset.in_status(self.value(), now=timezone.now())


@admin.register(Invitation)
class InvitationAdmin(LedgerAdmin):
    """Neither the token nor its hash is on any of these pages."""

    refusals = (AccountsError, MailRefused)
    form = InviteForm
    autocomplete_fields = ("tenant",)
    list_display = ("email", "tenant", "role", "state", "invited_by", "created_at", "expires_at")
    list_filter = (StatusFilter, "role")
    list_select_related = ("tenant", "invited_by")
    search_fields = ("email", "tenant__name")
    actions = ("resend_selected", "revoke_selected")
    actions_detail = ("resend", "revoke")
    shown_fields = ("email", "tenant", "role", "state", "id", "invited_by", "by_operator",
                    "created_at", "sent_at", "expires_at", "accepted_at", "accepted_by",
                    "revoked_at")  # fmt: skip

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return "sha256" not in lookup and super().lookup_allowed(lookup, value, request)

    def get_fields(self, request: HttpRequest, obj: Invitation | None = None) -> Any:
        return InviteForm.Meta.fields if obj is None else self.shown_fields

    def get_readonly_fields(self, request: HttpRequest, obj: Invitation | None = None) -> Any:
        return () if obj is None else self.shown_fields

    # --- Who may do what ------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.add_invitation")

    def has_resend_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("accounts.resend_invitation")

    def has_revoke_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("accounts.revoke_invitation")

    # --- Invite ---------------------------------------------------------------------------------

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return super().add_view(
            request, form_url, {**(extra_context or {}), "title": "Invite somebody"}
        )

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)  # A class of this request's own.
        form.operator = request.user
        return form

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:
        invitation = invitations.invite(
            **form.cleaned_data, by=_operator(request.user), now=timezone.now()
        )
        obj.__dict__.update(invitation.__dict__)

    # --- Actions --------------------------------------------------------------------------------

    @action(description="Send again", permissions=["resend"], icon="forward_to_inbox")
    def resend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._resending(request)
        return self.act_on_one(request, object_id, question="Send this invitation again", act=act)

    @action(description="Revoke", permissions=["revoke"], icon="block")
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._revoking(request)
        return self.act_on_one(request, object_id, question="Revoke this invitation", act=act)

    @admin.action(description="Send selected invitations again", permissions=["resend"])
    def resend_selected(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        self.act_on_selected(request, queryset, act=self._resending(request))

    @admin.action(description="Revoke selected invitations", permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        self.act_on_selected(request, queryset, act=self._revoking(request))

    def _resending(self, request: HttpRequest) -> Act:
        said = "Sent the invitation of {} again; its old link is dead."
        return _acting(request, invitations.resend, said)

    def _revoking(self, request: HttpRequest) -> Act:
        return _acting(request, invitations.revoke, "Revoked the invitation of {}.")

    # --- Cells ----------------------------------------------------------------------------------

    @display(description="Status", label=COLOURS)
    def state(self, invitation: Invitation) -> str:
        return invitation.status(now=timezone.now())


def _operator(user: Any) -> Inviter:
    return Inviter(user=user, is_operator=True)


def _acting(request: HttpRequest, operation: Callable[..., Any], said: str) -> Act:
    by = _operator(request.user)

    def act(invitation: Invitation) -> str:
        operation(tenant=invitation.tenant, invitation_id=invitation.pk, by=by, now=timezone.now())
        return said.format(invitation)

    return act
