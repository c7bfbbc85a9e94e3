"""Reads settings from the environment and says in one line what is wrong with them."""

import os
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
    """Return a whole number of the unit that the name ends with."""
    value = text(name, str(default))
    bounds = f"at least {least}" if most is None else f"from {least} to {most}"
    if not value.strip().isdecimal():
        raise BadSetting(name, f"{value!r} is not a whole number, {bounds}", str(default))
    if int(value) < least or (most is not None and int(value) > most):
        raise BadSetting(name, f"{value} is not {bounds}", str(default))
    return int(value)


def names(name: str) -> list[str]:
    return [part.strip() for part in text(name).split(",") if part.strip()]


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = text(name, default)
    if value not in allowed:
        raise BadSetting(name, f"{value!r} is not one of {', '.join(allowed)}", default)
    return value


def url(name: str, default: str, *, schemes: tuple[str, ...], example: str) -> str:
    """Return a URL. One that is set but empty is refused: a secret that did not arrive."""
    value = text(name, default)
    if value.partition("://")[0] not in schemes:
        raise BadSetting(
            name, f"starts with none of {', '.join(f'{s}://' for s in schemes)}", example
        )
    parsed(name, value, lambda url: urlsplit(url).port, example)
    return value


def optional_url(name: str, *, schemes: tuple[str, ...], example: str) -> str:
    """Return a URL with a host, or nothing where the variable is not set."""
    if name not in os.environ and f"{name}_FILE" not in os.environ:
        return ""
    value = url(name, "", schemes=schemes, example=example)
    if not urlsplit(value).hostname:
        raise BadSetting(name, "names no host", example)
    return value


def addresses(name: str, *, example: str) -> list[str]:
    """Return e-mail addresses, parted by commas; none where the variable is not set."""
    found = names(name)
    for address in found:
        local, _, domain = address.rpartition("@")
        if not local or not domain or any(c.isspace() or not c.isprintable() for c in address):
            raise BadSetting(name, f"{address!r} is no e-mail address", example)
    return found


def parsed(name: str, value: str, parser: Callable[[str], T], example: str) -> T:
    """
    Let a library read a URL, and turn whatever it raises into one line about the variable.

    What it raises is quoted unless the value has credentials, for then it may quote these.
    """
    try:
        return parser(value)
    except Exception as error:
        reason = "" if "@" in value else f" ({error})"
        raise BadSetting(name, f"can't be read{reason}", example) from None


def database(name: str, default: str) -> dict[str, Any]:
    example = "postgres://user:password@127.0.0.1:5432/offload"
    value = url(name, default, schemes=("postgres", "postgresql", "sqlite"), example=example)
    config: dict[str, Any] = parsed(name, value, environ.Env.db_url_config, example)
    if not config["NAME"]:
        raise BadSetting(name, "names no database", example)
    return config


def email(name: str, default: str) -> dict[str, Any]:
    """Return Django's settings of a mail URL; one to an SMTP server gets our total deadline."""
    example = "smtp://user:password@127.0.0.1:1025"
    config: dict[str, Any] = parsed(
        name, text(name, default), environ.Env.email_url_config, example
    )
    if config["EMAIL_BACKEND"] == "django.core.mail.backends.smtp.EmailBackend":
        config["EMAIL_BACKEND"] = "notifications.channels.email.smtp.EmailBackend"
    return config


def ports(name: str, default: str) -> frozenset[int]:
    found = [part.strip() for part in text(name, default).split(",") if part.strip()]
    for port in found:
        if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
            raise BadSetting(name, f"{port!r} is no port, 1 to 65535", default)
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
