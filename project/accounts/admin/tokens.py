"""API tokens in the admin: made there, shown once, revoked there."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from project.accounts import operations
from project.accounts.models import ApiToken, Membership
from project.accounts.scopes import Scope

DEFAULT_LIFETIME = timedelta(days=90)


def default_expiry() -> datetime:
    return timezone.now() + DEFAULT_LIFETIME


class AddTokenForm(forms.ModelForm):
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="The token never has more than its owner's role allows.",
    )

    class Meta:
        model = ApiToken
        fields = ("tenant", "user", "name", "scopes", "expires_at")

    def clean_expires_at(self) -> datetime:
        expires_at: datetime = self.cleaned_data["expires_at"]
        if expires_at <= timezone.now():
            raise forms.ValidationError("Choose a moment in the future.")
        return expires_at

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        tenant, user = cleaned.get("tenant"), cleaned.get("user")
        members = Membership.objects.filter(tenant=tenant, user=user)
        if tenant and user and not members.exists():
            self.add_error("user", f"{user} is no member of {tenant}.")
        return cleaned


@admin.register(ApiToken)
class ApiTokenAdmin(ModelAdmin):
    """A token's row can be read and revoked, never edited; its hash is not shown at all."""

    form = AddTokenForm
    list_display = ("name", "tenant", "user", "state", "scope_names", "expires_at", "last_used_at")
    list_select_related = ("tenant", "user")
    search_fields = ("name", "prefix", "user__email", "tenant__name")
    autocomplete_fields = ("tenant", "user")
    ordering = ("-created_at",)
    actions = ("revoke_tokens",)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return "sha256" not in lookup and super().lookup_allowed(lookup, value, request)

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        if obj is None:
            return AddTokenForm.Meta.fields
        return ("name", "prefix", "tenant", "user", "scope_names", "state", "created_at",
                "expires_at", "last_used_at", "revoked_at")  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        return () if obj is None else self.get_fields(request, obj)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"user": request.user.pk, "expires_at": default_expiry()}

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.revoke_apitoken")

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        token, text = operations.create_token(**form.cleaned_data)
        obj.__dict__.update(token.__dict__)
        messages.warning(request, f"Copy the token now, it is not shown again: {text}")

    @admin.action(description="Revoke selected tokens", permissions=["revoke"])
    def revoke_tokens(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        now = timezone.now()
        revoked = [token for token in queryset if operations.revoke_token(token=token, now=now)]
        for token in revoked:
            self.log_change(request, token, "Revoked.")
        messages.success(request, f"Revoked {len(revoked)} of {len(queryset)} tokens.")

    @display(label={"live": "success", "expired": "warning", "revoked": "danger"})
    def state(self, token: ApiToken) -> str:
        if token.revoked_at:
            return "revoked"
        return "live" if token.is_live(now=timezone.now()) else "expired"

    @admin.display(description="Scopes")
    def scope_names(self, token: ApiToken) -> str:
        return ", ".join(token.scopes)
