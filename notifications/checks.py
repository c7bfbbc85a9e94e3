"""What must be true of the settings for mails and webhooks to end by themselves: `check`."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning

#: How long one attempt of a mail, and of a webhook, may take.
ATTEMPTS = ("EMAIL_DEADLINE_SECONDS", "NOTIFICATIONS_DELIVERY_SECONDS")


def check_settings(**_: Any) -> list[CheckMessage]:
    """
    Return every contradiction; registered by the app's config.

    Warnings: all goes well until a receiver hangs.
    """
    return [*attempts(), *breaker()]


def attempts() -> Iterator[CheckMessage]:
    limit = settings.JOBS_SOFT_LIMIT_SECONDS
    for name in ATTEMPTS:
        seconds = getattr(settings, name)
        if seconds >= limit:
            message = (
                f"{name} is {seconds} s, but JOBS_SOFT_LIMIT_SECONDS ends the job after {limit} s: "
                "in the middle of an attempt, so that nobody knows whether it arrived."
            )
            yield Warning(message, hint=f"Make {name} the smaller one.", id="notifications.W001")


def breaker() -> Iterator[CheckMessage]:
    first = settings.NOTIFICATIONS_BREAKER_SECONDS
    longest = settings.NOTIFICATIONS_BREAKER_MAX_SECONDS
    if first > longest:
        message = (
            f"NOTIFICATIONS_BREAKER_SECONDS is {first} s, but a breaker is open for "
            f"NOTIFICATIONS_BREAKER_MAX_SECONDS at most, which is {longest} s."
        )
        hint = "Make NOTIFICATIONS_BREAKER_SECONDS the smaller one, or both the same."
        yield Warning(message, hint=hint, id="notifications.W002")
