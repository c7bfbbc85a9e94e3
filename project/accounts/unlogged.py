"""Keeps the tokens of invitations, which are in the address of a page, out of all logs."""

import logging

from django.http import HttpRequest

from project.accounts.invitation_tokens import without_tokens

#: Whoever writes down the address of a request, or the request itself.
LOGGERS = (
    "django.request",
    "django.security.DisallowedHost",
    "django.security.csrf",
    "django.server",
    "gunicorn.access",
)


class TokensHidden(logging.Filter):
    """Lets every record through, without the tokens in its text and in its request's address."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if (cleaned := without_tokens(text)) != text:
            record.msg, record.args = cleaned, ()
        request = getattr(record, "request", None)
        if isinstance(request, HttpRequest) and without_tokens(repr(request)) != repr(request):
            record.request = without_tokens(repr(request))
        return True


def hide_tokens() -> None:
    hidden = TokensHidden()
    for name in LOGGERS:
        logging.getLogger(name).addFilter(hidden)
