"""The forms by which an operator creates, changes and re-keys a webhook endpoint."""

import re
from typing import Any

from django import forms
from django.conf import settings
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from notifications.channels.webhook.urls import check_url
from notifications.errors import UnknownEventType, UrlRefused
from notifications.events import EVENT_TYPES, EVERY, check_subscription
from notifications.models import WebhookEndpoint
from notifications.texts import fault_of_line

_BETWEEN_NAMES = re.compile(r"[\s,]+")


def choices() -> list[tuple[str, str]]:
    return [
        (EVERY, "Every event"),
        *((name, f"{name}: {text}") for name, text in EVENT_TYPES.items()),
    ]


class EndpointForm(forms.ModelForm):
    known_types = forms.MultipleChoiceField(
        label="Events",
        choices=choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    own_types = forms.CharField(
        label="Events of your own",
        required=False,
        max_length=2_000,
        widget=UnfoldAdminTextInputWidget,
        help_text="Names of the event types that your own tasks deliver, with commas between.",
    )

    class Meta:
        model = WebhookEndpoint
        fields = ("tenant", "url", "description")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen, offered = self.instance.event_types, dict(choices())
        self.initial.setdefault("known_types", [name for name in chosen if name in offered])
        own = ", ".join(name for name in chosen if name not in offered)
        self.initial.setdefault("own_types", own)

    def clean_url(self) -> str:
        try:
            return check_url(self.cleaned_data["url"])
        except UrlRefused as refusal:
            reason = str(refusal).removeprefix("url: ")
            raise forms.ValidationError(f"The URL {reason}") from None

    def clean_description(self) -> str:
        description: str = self.cleaned_data["description"]
        if fault := fault_of_line(description):
            raise forms.ValidationError(f"The description {fault}")
        return description

    def clean(self) -> dict[str, Any]:
        """Add what both fields of event types say together, as `event_types`."""
        cleaned = super().clean() or self.cleaned_data
        own = _BETWEEN_NAMES.split(cleaned.get("own_types", ""))
        names = [*cleaned.get("known_types", ()), *filter(None, own)]
        try:
            cleaned["event_types"] = check_subscription(names)
        except UnknownEventType as refusal:
            self.add_error("own_types", str(refusal))
        if not names and not self.errors:
            self.add_error("known_types", "Choose at least one event.")
        return cleaned

    def given(self) -> dict[str, Any]:
        """Return what was changed, as operations take it: the rest may be another's change."""
        changed = set(self.changed_data)
        given = {name: self.cleaned_data[name] for name in changed & {"url", "description"}}
        if changed & {"known_types", "own_types"}:
            given["event_types"] = self.cleaned_data["event_types"]
        return given


class NewSecretForm(forms.Form):
    """Carries what its page has shown: a second click must not take the first secret away."""

    seen = forms.CharField(label="", required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        hours = settings.NOTIFICATIONS_SECRET_OVERLAP_HOURS
        self.fields["seen"].help_text = (
            f"It is shown once. The present secret signs beside it for {hours} hours, so that the "
            "receiver can change at its leisure; one that was replaced before no longer does."
        )
