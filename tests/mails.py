"""One mail through the e-mail channel, and the settings that name a test's mail server."""

from typing import Any

import pytest

from notifications.channels.email.sending import send
from project import env

SUBJECT = "Your export is ready"
HTML = "<h1>Ready</h1><p>Fetch it <a href='https://example.com/x'>here</a>.</p>"
MESSAGE_ID = "<notification-1@offload.example>"


def send_one(**changes: str) -> None:
    """Send the mail of all tests, but for what is given."""
    mail = {"to": "ann@example.com", "subject": SUBJECT, "html": HTML, "message_id": MESSAGE_ID}
    send(**{**mail, **changes})


def use_mail_server(settings: Any, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let the settings name a mail server, read as the product reads EMAIL_URL."""
    settings.DEFAULT_FROM_EMAIL = "Offload <offload@offload.example>"
    monkeypatch.setenv("EMAIL_URL", url)
    for name, value in env.email("EMAIL_URL", "").items():
        setattr(settings, name, value)
