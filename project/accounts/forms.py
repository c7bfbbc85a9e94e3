"""What people type into the pages outside the admin."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest

from notifications.events import MAIL_TYPES


class SignInForm(AuthenticationForm):
    """Django's own check of address and password."""

    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": "The e-mail address or the password is wrong."
    }

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.fields["username"].widget = forms.EmailInput(
            attrs={"autofocus": True, "autocomplete": "username", "maxlength": 254}
        )


class SwitchTenantForm(forms.Form):
    tenant_id = forms.UUIDField()


class JoinForm(forms.Form):
    """The same whether the address has an account or not: only its answer tells, to the invited."""

    name = forms.CharField(
        max_length=200, required=False, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    password = forms.CharField(
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )


class MailPreferencesForm(forms.Form):
    """A box for each event type; one that is not ticked is not sent."""

    wanted = forms.MultipleChoiceField(choices=tuple(MAIL_TYPES.items()), required=False)

    def answers(self) -> dict[str, bool]:
        return {name: name in self.cleaned_data["wanted"] for name in MAIL_TYPES}
