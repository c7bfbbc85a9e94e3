"""Reads a webhook's URL strictly, and says what can be known of it without asking a name server."""

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings

from notifications.channels.webhook.addresses import is_trusted, why_refused
from notifications.errors import UrlRefused

URL_MAX_CHARACTERS = 2_000
DEFAULT_PORTS = {"https": 443, "http": 80}

_VISIBLE = re.compile(r"[!-~]+")
_PARTS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<target>.*)")
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>.*))?")
_PORT = re.compile(r"[0-9]{1,5}")
_NAME = re.compile(r"(?=.{1,253}$)(?:(?!-)[a-z0-9_-]{1,63}(?<!-)\.)*(?!-)[a-z0-9_-]{1,63}(?<!-)")
#: A last label like these makes every resolver read the whole host as an IPv4 address.
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_INSIDE = re.compile(r"(?:.*\.)?(?:localhost|internal|local|localdomain)")


@dataclass(frozen=True)
class WebhookUrl:
    """A URL in its parts, each in its one normal spelling."""

    scheme: str
    host: str  #: In small letters, without the brackets of IPv6.
    port: int
    target: str  #: Path and query; they may hold secrets, so no error or log names them.

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The host where it is an address; None for a name."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    @property
    def authority(self) -> str:
        """Host and port as a Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def check_url(text: str) -> str:
    """
    Return the URL in its normal spelling. Names are not resolved: `post` does, on every attempt.

    :raises UrlRefused: if nothing can be sent there; the text says why.
    """
    url = read_url(text)
    reason = _why_not(url)
    if reason:
        raise UrlRefused(reason)
    _check_length(str(url))  # Which may be longer: 8.8 is spelled 8.0.0.8.
    return str(url)


def read_url(text: str) -> WebhookUrl:
    """
    Read a URL without judging where it leads.

    :raises UrlRefused: if it is no absolute http(s) URL, or one that two parsers read differently.
    """
    if not isinstance(text, str):
        raise UrlRefused("must be text.")
    _check_length(text)
    if not text.isascii():
        raise UrlRefused("holds characters outside ASCII; write a host as xn--, a path as %xx.")
    if not _VISIBLE.fullmatch(text) or "\\" in text:
        raise UrlRefused("holds white space, a control character or a backslash, or is empty.")
    parts = _PARTS.fullmatch(text)
    if not parts:
        raise UrlRefused("has no scheme and host; it begins with https://.")
    return _read_parts(parts["scheme"].lower(), parts["authority"], parts["target"])


def _check_length(text: str) -> None:
    if len(text) > URL_MAX_CHARACTERS:
        raise UrlRefused(f"has {len(text):,} characters; at most {URL_MAX_CHARACTERS:,} are kept.")


def _read_parts(scheme: str, authority: str, target: str) -> WebhookUrl:
    if scheme not in DEFAULT_PORTS:
        raise UrlRefused("has a scheme that is not https.")
    if "@" in authority:
        raise UrlRefused("holds a user name or password; a webhook's signature proves the sender.")
    if "#" in target:
        raise UrlRefused("has a fragment (#), which is never sent.")
    pieces = _AUTHORITY.fullmatch(authority)
    if not pieces:
        raise UrlRefused("has a host that can't be read.")
    port = DEFAULT_PORTS[scheme] if pieces["port"] is None else _read_port(pieces["port"])
    path = target if target.startswith("/") else f"/{target}"
    return WebhookUrl(scheme, _read_host(pieces["host"].lower()), port, path)


def _read_port(text: str) -> int:
    if not _PORT.fullmatch(text) or not 0 < int(text) < 65_536:
        raise UrlRefused("has a port that is none: 1 to 65535.")
    return int(text)


def _read_host(text: str) -> str:
    if text.startswith("["):
        return _read_ipv6(text[1:-1])
    host = text.removesuffix(".")  # The root's dot: the same host, but no certificate has it.
    if not host:
        raise UrlRefused("has no host.")
    if _NUMBER.fullmatch(host):
        return _read_ipv4(host)
    if not _NAME.fullmatch(host):
        raise UrlRefused("has a host that is neither a name nor an address.")
    return host


def _read_ipv4(text: str) -> str:
    """Read what a resolver would take too: 127.1, 0x7f.1, 017700000001, 2130706433."""
    try:
        return str(IPv4Address(socket.inet_aton(text)))
    except OSError:
        raise UrlRefused("has a host of numbers that is no IPv4 address.") from None


def _read_ipv6(text: str) -> str:
    if "%" in text:
        raise UrlRefused("has an address with a scope id, which means something on one machine.")
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise UrlRefused("has brackets around what is no IPv6 address.") from None


def _why_not(url: WebhookUrl) -> str | None:
    if url.address:
        kind = why_refused(url.address)
        if kind:
            return f"leads to {kind}; nothing is sent there."
        may_be_trusted = is_trusted(url.address)
    else:
        may_be_trusted = bool(settings.NOTIFICATIONS_TRUSTED_NETWORKS)
        if _INSIDE.fullmatch(url.host) and not may_be_trusted:
            return "has a name of the local machine or network (localhost, .internal, .local)."
    if may_be_trusted:
        return None
    if url.scheme == "http":
        return "must begin with https://: http is for trusted networks alone."
    if url.port not in settings.NOTIFICATIONS_PORTS:
        allowed = ", ".join(map(str, sorted(settings.NOTIFICATIONS_PORTS)))
        return f"has port {url.port}; webhooks are sent to {allowed} alone."
    return None
