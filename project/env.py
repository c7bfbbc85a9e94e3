"""Reads settings from the environment and says in one line what is wrong with them."""

import os
import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import environ
from cryptography.fernet import Fernet

T = TypeVar("T")

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off", ""})

#: The most that a number may be, by the unit that its name ends with, unless its reading says
#: otherwise. Below them no clock, socket, interval or column overflows: sockets end at 24 days.
MOST = {"SECONDS": 604_800, "HOURS": 8_760, "DAYS": 36_500, "ROWS": 1_000_000_000}
MOST_OF_OTHERS = 1_000_000

DJANGOS_SMTP = "django.core.mail.backends.smtp.EmailBackend"
DJANGOS_FOLDER = "django.core.mail.backends.filebased.EmailBackend"

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
#: One plain address: nothing that needs quotes, and a domain of any script.
ADDRESS = rf"{_ATOM}(?:\.{_ATOM})*@[\w-]+(?:\.[\w-]+)*"
#: The same, alone or behind a name: in quotes, or without what would need them.
MAILBOX = rf'{ADDRESS}|(?:"[^"\\]+" +|[^"(),:;<>@\[\\\]. ][^"(),:;<>@\[\\\]]* +)?<{ADDRESS}>'


class BadSetting(SystemExit):
    """A variable that can't be used. Ends the process with one line instead of a traceback."""

    def __init__(self, name: str, fault: str, example: str) -> None:
        super().__init__(f"{name}: {fault}. Example: {name}={example}")


def text(name: str, default: str = "") -> str:
    """Return the variable, or the content of the file that `<name>_FILE` names, or the default."""
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return os.environ.get(name, default)
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadSetting(
            f"{name}_FILE", f"{path} can't be read ({reason})", "/run/secrets/it"
        ) from None


def flag(name: str, *, default: bool) -> bool:
    value = text(name, str(default)).lower()
    if value not in TRUE | FALSE:
        raise BadSetting(name, f"{value!r} is neither true nor false", "true")
    return value in TRUE


def number(name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
    """Return a whole number of the unit that the name ends with; without `most` see `MOST`."""
    most = MOST.get(name.rpartition("_")[2], MOST_OF_OTHERS) if most is None else most
    value = text(name, str(default))
    bounds = f"from {least} to {most}"
    if not value.strip().isdecimal():
        raise BadSetting(name, f"{value!r} is not a whole number, {bounds}", str(default))
    if not least <= int(value) <= most:
        raise BadSetting(name, f"{value} is not {bounds}", str(default))
    return int(value)


def names(name: str) -> list[str]:
    return [part.strip() for part in text(name).split(",") if part.strip()]


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = text(name, default)
    if value not in allowed:
        raise BadSetting(name, f"{value!r} is not one of {', '.join(allowed)}", default)
    return value


def url(
    name: str,
    default: str,
    *,
    schemes: tuple[str, ...],
    example: str,
    hostless: tuple[str, ...] = (),
) -> str:
    """
    Return a URL; one whose scheme is not among the `hostless` names a host.

    One that is set but empty is refused: a secret that did not arrive. No fault quotes it, for it
    may hold a password, wherever a slip has put that.
    """
    value = text(name, default)
    scheme = value.partition("://")[0]
    if scheme not in schemes:
        raise BadSetting(
            name, f"starts with none of {', '.join(f'{s}://' for s in schemes)}", example
        )
    parsed(name, value, lambda url: urlsplit(url).port, example)
    if scheme not in hostless:
        _check_host(name, value, example)
    return value


def optional_url(name: str, *, schemes: tuple[str, ...], example: str) -> str:
    """Return a URL with a host, or nothing where the variable is not set."""
    if name not in os.environ and f"{name}_FILE" not in os.environ:
        return ""
    return url(name, "", schemes=schemes, example=example)


def site(name: str, default: str) -> str:
    """Return where a site is, without the last slash: links begin with it, and have no secrets."""
    example = "https://offload.example.com"
    value = url(name, default, schemes=("http", "https"), example=example)
    if "@" in urlsplit(value).netloc:
        raise BadSetting(name, "holds a user or a password, which every link would show", example)
    if "?" in value or "#" in value:
        raise BadSetting(name, "holds a ? or a #: nothing can be added behind them", example)
    return value.rstrip("/")


def _check_host(name: str, value: str, example: str) -> None:
    if any(each.isspace() or not each.isprintable() for each in value):
        raise BadSetting(name, "holds a blank or a control character", example)
    if not urlsplit(value).hostname:
        raise BadSetting(name, "names no host", example)


def addresses(name: str, *, example: str) -> list[str]:
    """Return e-mail addresses, parted by commas; none where the variable is not set."""
    found = names(name)
    for address in found:
        if not re.fullmatch(ADDRESS, address):
            raise BadSetting(name, f"{address!r} is no e-mail address", example)
    return found


def mailbox(name: str, default: str) -> str:
    """Return one e-mail address, alone or behind a name: `Offload <offload@example.com>`."""
    value = text(name, default)
    if not (value.isprintable() and re.fullmatch(MAILBOX, value)):
        fault = "is not one e-mail address, or a name and one address in < >"
        raise BadSetting(name, fault, default)
    return value


def parsed(name: str, value: str, parser: Callable[[str], T], example: str) -> T:
    """
    Let a library read a value, and turn whatever it raises into one line about the variable.

    What it raises is quoted unless the value is a URL: that may have a password in any place.
    """
    try:
        return parser(value)
    except Exception as error:
        reason = f" ({error})"
        if "://" in value:
            reason = ": a port is a number, and / ? # @ of a password are written %2F %3F %23 %40"
        raise BadSetting(name, f"can't be read{reason}", example) from None


def database(name: str, default: str) -> dict[str, Any]:
    """Return Django's settings of a database; a PostgreSQL without a host is a local socket's."""
    example = "postgres://user:password@127.0.0.1:5432/offload"
    schemes = ("postgres", "postgresql", "sqlite")
    value = url(name, default, schemes=schemes, example=example, hostless=schemes)
    place = urlsplit(value)
    if place.scheme == "sqlite" and place.netloc:
        raise BadSetting(
            name, "names a host: a file's path is behind three slashes, sqlite:///", example
        )
    config: dict[str, Any] = parsed(name, value, environ.Env.db_url_config, example)
    if not config["NAME"] or not place.path.strip("/"):
        raise BadSetting(name, "names no database", example)
    return config


def email(name: str, default: str) -> dict[str, Any]:
    """Return Django's settings of a mail URL; one to an SMTP server gets our total deadline."""
    example = "smtp://user:password@127.0.0.1:1025"
    schemes = environ.Env.EMAIL_SCHEMES
    value = url(
        name,
        default,
        schemes=tuple(schemes),
        example=example,
        hostless=tuple(each for each, backend in schemes.items() if backend != DJANGOS_SMTP),
    )
    config: dict[str, Any] = parsed(name, value, environ.Env.email_url_config, example)
    if config["EMAIL_BACKEND"] == DJANGOS_FOLDER and not config["EMAIL_FILE_PATH"].startswith("/"):
        fault = "names no absolute path, which begins behind three slashes with its own"
        raise BadSetting(name, fault, "filemail:////so/there")
    if config["EMAIL_BACKEND"] == DJANGOS_SMTP:
        config["EMAIL_BACKEND"] = "notifications.channels.email.smtp.EmailBackend"
    return config


def ports(name: str, default: str) -> frozenset[int]:
    """Return at least one port."""
    found = [part.strip() for part in text(name, default).split(",") if part.strip()]
    for port in found:
        if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
            raise BadSetting(name, f"{port!r} is no port, 1 to 65535", default)
    if not found:
        raise BadSetting(name, "names no port", default)
    return frozenset(map(int, found))


def networks(name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return networks in CIDR notation; none where the variable is not set."""
    example = "10.20.0.0/16,fd00:20::/64"
    return tuple(parsed(name, each, ip_network, example) for each in names(name))


def fernet_keys(name: str) -> list[str]:
    """Return keys of 32 bytes in URL-safe base64; none where the variable is not set."""
    example = "a-key-from-cryptography.fernet.Fernet.generate_key"
    found = names(name)
    for place, key in enumerate(found, start=1):
        try:
            Fernet(key)
        except Exception:  # Its text may quote the key.
            fault = f"key {place} is not 32 bytes in URL-safe base64"
            raise BadSetting(name, fault, example) from None
    return found
