"""Sends one mail through Django's backend and tells what may succeed later from what never will."""

import smtplib
import socket
import ssl

from django.core.mail import BadHeaderError

from notifications.channels.email.deadline import DeadlineOver
from notifications.channels.email.message import build
from notifications.channels.email.words import one_line
from notifications.errors import DeliveryFailed, MailRefused, MailRejected

#: Replies that say "log in first" or "not with this password" (RFC 4954), whatever the mail:
#: the settings are at fault, and once they are mended it can be sent.
_LOGIN_CODES = frozenset({530, 534, 535, 538})

#: What keeps us from the server: a name, a route, a certificate, a connection, time.
_OUT_OF_REACH = (ConnectionError, TimeoutError, socket.gaierror, ssl.SSLError)


def send(*, to: str, subject: str, html: str, message_id: str) -> None:
    """
    Send a mail, and return once the mail server (or another backend) has accepted it.

    At least once: where the connection breaks between the mail's end and the server's answer
    it is sent again, under the same Message-ID.

    :raises MailRejected: if no other attempt can end differently: the server said 5xx to the
        sender, the recipient or the mail, or it can't be written as one.
    :raises DeliveryFailed: if another attempt may: 4xx, no connection, no time, no login.
    :raises Exception: whatever a backend of other makers raises.
    """
    try:
        mail = build(to=to, subject=subject, html=html, message_id=message_id)
        mail.message()  # Raises before a server is asked to wait for it.
        accepted = mail.send()
    except MailRefused as error:
        raise MailRejected(str(error)) from None
    except BadHeaderError:  # Its text quotes the header.
        raise MailRejected("A header of this mail would be more than one line.") from None
    except smtplib.SMTPException as error:
        raise _verdict(error) from None  # A stored traceback would quote its words unfiltered.
    except DeadlineOver as error:
        raise DeliveryFailed(str(error)) from error
    except _OUT_OF_REACH as error:
        raise DeliveryFailed(one_line(f"The mail server was not reached: {error}")) from error
    if accepted == 0:  # Some backends return nothing at all.
        raise DeliveryFailed("The mail backend did not send the mail.")


def _verdict(error: smtplib.SMTPException) -> Exception:
    """Return what an answer of the server, or the lack of one, means for this mail."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _refusal([(code, words) for code, words in error.recipients.values()])
    if isinstance(error, smtplib.SMTPSenderRefused | smtplib.SMTPDataError):
        return _refusal([(error.smtp_code, error.smtp_error)])
    if isinstance(error, smtplib.SMTPResponseException):  # To our greeting or our login.
        said = _words(error.smtp_code, error.smtp_error)
        return DeliveryFailed(one_line(f"The mail server does not talk to us: {said}"))
    if isinstance(error, smtplib.SMTPNotSupportedError) and "SMTPUTF8" in str(error):
        return MailRejected("The mail server takes no address of other letters than ASCII.")
    return DeliveryFailed(one_line(f"The mail server: {error}"))


def _refusal(answers: list[tuple[int, bytes | str]]) -> Exception:
    said = one_line("; ".join(_words(code, words) for code, words in answers))
    final = all(500 <= code < 600 and code not in _LOGIN_CODES for code, _ in answers)
    return MailRejected(said) if answers and final else DeliveryFailed(said)


def _words(code: int, words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"{code} {text}"
