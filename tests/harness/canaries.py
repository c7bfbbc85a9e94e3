"""Secrets that are planted to be looked for, and the search that knows how they may be written."""

import base64
import html
import json
from collections.abc import Mapping
from urllib.parse import quote, quote_plus


def spellings(secret: str) -> set[str]:
    """Return how pages, addresses, JSON, dumps of bytes and base64 may write a secret."""
    content = secret.encode()
    escaped = {html.escape(secret), quote(secret), quote(secret, safe=""), quote_plus(secret)}
    as_json = {json.dumps(secret)[1:-1], secret.replace("/", "\\/")}
    dumps = {content.hex(), content.hex().upper()}
    return {secret, *escaped, *as_json, *dumps, *_inside_base64(content)}


def found_in(text: str, secrets: Mapping[str, str]) -> set[str]:
    """Return the names of the secrets that a text holds, however they are written."""
    return {
        name
        for name, secret in secrets.items()
        if any(spelling in text for spelling in spellings(secret))
    }


def _inside_base64(content: bytes) -> set[str]:
    """Return what a longer text's base64 has of it: three, by where in the text it begins."""
    found = set()
    for before in range(3):
        padded = b"\0" * before + content
        whole = padded[: len(padded) // 3 * 3]
        encoded = base64.b64encode(whole).decode()[0 if before == 0 else 4 :]
        found |= {encoded, encoded.replace("+", "-").replace("/", "_")}
    return found
