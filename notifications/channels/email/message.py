"""Builds the mail of a notification, the same one on every attempt."""

import uuid
from email.charset import QP, Charset

from django.core.mail import EmailMultiAlternatives

from notifications.channels.email.plain_text import text_of
from notifications.channels.email.rules import check_address, check_html, check_subject
from notifications.channels.email.sender import sender_domain


def build(*, to: str, subject: str, html: str, message_id: str) -> EmailMultiAlternatives:
    """
    Build a mail to one mailbox, as plain text and as HTML, from DEFAULT_FROM_EMAIL.

    :raises MailRefused: if the address, the subject or the HTML is none that a mail may have.
    """
    mail = EmailMultiAlternatives(
        subject=check_subject(subject),
        body=text_of(html),
        to=[check_address(to)],
        # RFC 3834: no absence note or other robot answers a mail that says this.
        headers={"Message-ID": message_id, "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(check_html(html), "text/html")
    mail.encoding = _quoted_printable()
    return mail


def message_id_of(notification_id: uuid.UUID) -> str:
    """Return the Message-ID of a notification: a mail that comes twice can be known by it."""
    return f"<notification-{notification_id}@{sender_domain()}>"


def _quoted_printable() -> Charset:
    """
    Return UTF-8 that is sent as short lines of ASCII.

    Django sends 8-bit text to servers that never said they take it (RFC 6152), and counts the
    length of lines by other line ends than SMTP's: HTML on one line may pass its 998 bytes.
    """
    charset = Charset("utf-8")
    charset.body_encoding = QP
    return charset
