"""What a mail may be made of: one plain address, a subject of one line, HTML that can be stored."""

import re
import unicodedata

from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator

from notifications.errors import MailRefused
from notifications.texts import fault_of_line, fault_of_surrogates

#: RFC 5321, 4.5.3.1: 64 of a local part, and 254 of what fits between the brackets of a path.
ADDRESS_CHARACTERS = 254
LOCAL_CHARACTERS = 64
SUBJECT_CHARACTERS = 200
HTML_BYTES = 262_144

_SPACES = frozenset({"Zs", "Zl", "Zp"})
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})

#: What a mailbox may be written with by some standard or other, and one plain mailbox never is.
_NOT_PLAIN = {
    ",;": "must be one address, not a list",
    '<>"': "must be the plain address, without a name, quotes or angle brackets",
    "()": "must not hold a comment in parentheses",
    "[]": "must name a domain, not an IP address in brackets",
    "%!:\\": "must not say the way that a mail takes (one of % ! : \\)",
}

#: At the end of a label, where the encoding lets it hide behind its own prefix.
_BARE_HYPHEN = re.compile(r"(?:^|\.)-|-(?:\.|$)")

_is_address = EmailValidator(allowlist=[])


def check_address(text: str) -> str:
    """
    Return the address of one mailbox with its domain in small letters.

    The local part is ASCII and stays as it is. A domain of other scripts stays readable too;
    it has exactly one ASCII form, which is what a mail server gets.

    :raises MailRefused: if it is anything else, or could be read as anything else.
    """
    _check_characters_of_address(text)
    local, at, domain = text.rpartition("@")
    if not at or "@" in local:
        raise MailRefused("email", "must be one address with exactly one @")
    if len(local) > LOCAL_CHARACTERS:
        raise MailRefused("email", f"must have at most {LOCAL_CHARACTERS} characters before the @")
    if not local.isascii():
        raise MailRefused("email", "must have ASCII letters alone before the @")

    domain = unicodedata.normalize("NFC", domain.lower())
    _check_as_sent(f"{local}@{_ascii_form(domain)}")
    return f"{local}@{domain}"


def check_subject(text: str) -> str:
    """
    Return a subject of 1 to 200 characters without the spaces around it.

    :raises MailRefused: if it is empty or too long, or is more than one line of text.
    """
    if fault := fault_of_line(text):
        raise MailRefused("subject", fault)
    if "=?" in text and "?=" in text:
        raise MailRefused("subject", "must be readable text, not an encoded word (=?...?=)")

    subject = text.strip()
    if not subject:
        raise MailRefused("subject", "must not be empty")
    if len(subject) > SUBJECT_CHARACTERS:
        raise MailRefused("subject", f"must have at most {SUBJECT_CHARACTERS} characters")
    return subject


def check_html(text: str) -> str:
    """
    Return HTML of at most 262,144 bytes of UTF-8.

    :raises MailRefused: if it is empty or too large, or PostgreSQL could not store it.
    """
    if not text.strip():
        raise MailRefused("html", "must not be empty")
    if "\x00" in text:
        raise MailRefused("html", "must not hold the character NUL")
    if fault := fault_of_surrogates(text):
        raise MailRefused("html", fault)
    if len(text.encode()) > HTML_BYTES:
        raise MailRefused("html", f"must have at most {HTML_BYTES:,} bytes of UTF-8")
    return text


def _check_characters_of_address(text: str) -> None:
    if not text:
        raise MailRefused("email", "must not be empty")
    if len(text) > ADDRESS_CHARACTERS:
        raise MailRefused("email", f"must have at most {ADDRESS_CHARACTERS} characters")
    categories = {unicodedata.category(character) for character in text}
    if categories & _UNPRINTABLE:
        raise MailRefused("email", "must not hold control characters or others that nobody sees")
    if categories & _SPACES:
        raise MailRefused("email", "must not hold spaces")
    for characters, reason in _NOT_PLAIN.items():
        if not set(characters).isdisjoint(text):
            raise MailRefused("email", reason)
    if "=?" in text:
        raise MailRefused("email", "must not be an encoded word (=?...?=)")


def _ascii_form(domain: str) -> str:
    """
    Return what is sent for a domain, which must lead back to the very same domain.

    The encoding maps many characters to others: `straße.de` would become `strasse.de`,
    which may be somebody else's, and some that look like one letter hold a dot or a slash.
    """
    if domain.isascii():
        return domain
    try:
        encoded = domain.encode("idna")
        same = encoded.decode("idna") == domain and not _BARE_HYPHEN.search(domain)
    except UnicodeError:
        same = False
    if not same:
        raise MailRefused("email", "must have a domain that has an ASCII form; write that one")
    return encoded.decode("ascii")


def _check_as_sent(address: str) -> None:
    if len(address) > ADDRESS_CHARACTERS:
        raise MailRefused("email", f"must have at most {ADDRESS_CHARACTERS} characters as sent")
    try:
        _is_address(address)
    except ValidationError:
        raise MailRefused("email", "must be an address such as ann@example.com") from None
