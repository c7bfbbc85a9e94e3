"""What the admin asks for before it acts on dead letters."""

import json
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from jobs import payloads, registry
from jobs.dead_letters.bulk import RATE_MAX_PER_SECOND
from jobs.dead_letters.operations import REASON_MAX_CHARACTERS
from jobs.errors import EnqueueRefused


class DiscardForm(forms.Form):
    reason = forms.CharField(
        label="Why nobody needs this work any more",
        max_length=REASON_MAX_CHARACTERS,
        widget=UnfoldAdminTextInputWidget,
    )


class PayloadForm(forms.Form):
    """Checks a payload against its type before anything is done with it."""

    job_type = forms.CharField(widget=forms.HiddenInput)
    payload = forms.CharField(
        label="Payload (JSON)", widget=UnfoldAdminTextareaWidget(attrs={"rows": 14})
    )

    def clean(self) -> dict[str, Any]:
        """Return the payload alone, as an object."""
        given = super().clean() or {}
        if "payload" not in given:
            return {}
        try:
            value = json.loads(given["payload"])
            if not isinstance(value, dict):
                raise ValueError("a payload is a JSON object, {…}")
            payloads.as_json(registry.get_type(given["job_type"]).read(value))
        except EnqueueRefused as error:
            self.add_error("payload", str(error))
        except ValueError as error:
            self.add_error("payload", f"This is no payload: {error}.")
        else:
            return {"payload": value}
        return {}


class BulkReplayForm(forms.Form):
    rate_per_second = forms.FloatField(
        label="How many a second, at most",
        initial=10,
        min_value=0.01,
        max_value=RATE_MAX_PER_SECOND,
        widget=UnfoldAdminTextInputWidget,
    )
    canary = forms.BooleanField(
        label="The first alone, and the others once it has succeeded",
        initial=True,
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )
    stop_share = forms.FloatField(
        label="Stop when more than this share of the settled ones failed (0 to 1)",
        initial=0.5,
        min_value=0,
        max_value=1,
        widget=UnfoldAdminTextInputWidget,
    )
