"""Invitations in the admin: who was invited, by whom, and what came of it."""

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display

from jobs.admin.base import LedgerAdmin
from notifications.channels.email.rules import check_address
from notifications.errors import MailRefused
from project.accounts import invitations
from project.accounts.errors import AccountsError, RoleRefused
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
        tenant, role = cleaned.get("tenant"), cleaned.get("role", "")
        if tenant and not self.operator.is_superuser:
            try:
                invitations.refuse_escalation(tenant=tenant, inviter=self.operator, role=role)
            except RoleRefused as refusal:
                self.add_error("role", str(refusal))
        return cleaned


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
    shown_fields = ("email", "tenant", "role", "state", "id", "invited_by", "created_at",
                    "expires_at", "accepted_at", "accepted_by", "revoked_at")  # fmt: skip

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
            **form.cleaned_data,
            invited_by=_operator(request),
            now=timezone.now(),
            by_operator=request.user.is_superuser,
        )
        obj.__dict__.update(invitation.__dict__)

    # --- Actions --------------------------------------------------------------------------------

    @action(description="Send again", permissions=["resend"], icon="forward_to_inbox")
    def resend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._resending(request)
        return self.act_on_one(request, object_id, question="Send this invitation again", act=act)

    @action(description="Revoke", permissions=["revoke"], icon="block")
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.act_on_one(
            request, object_id, question="Revoke this invitation", act=revoke_invitation
        )

    @admin.action(description="Send selected invitations again", permissions=["resend"])
    def resend_selected(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        self.act_on_selected(request, queryset, act=self._resending(request))

    @admin.action(description="Revoke selected invitations", permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        self.act_on_selected(request, queryset, act=revoke_invitation)

    def _resending(self, request: HttpRequest) -> Any:
        def act(invitation: Invitation) -> str:
            invitations.resend(
                tenant=invitation.tenant,
                invitation_id=invitation.pk,
                by=_operator(request),
                now=timezone.now(),
                by_operator=request.user.is_superuser,
            )
            return f"Sent the invitation of {invitation} again; its old link is dead."

        return act

    # --- Cells ----------------------------------------------------------------------------------

    @display(description="Status", label=COLOURS)
    def state(self, invitation: Invitation) -> str:
        return invitation.status(now=timezone.now())


def _operator(request: HttpRequest) -> User:
    return cast(User, request.user)  # The admin lets nobody else in.


def revoke_invitation(invitation: Invitation) -> str:
    invitations.revoke(
        tenant_id=invitation.tenant_id, invitation_id=invitation.pk, now=timezone.now()
    )
    return f"Revoked the invitation of {invitation}."
