"""What people type into the pages outside the admin."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest


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
