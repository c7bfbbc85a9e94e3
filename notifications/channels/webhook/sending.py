"""Sends one webhook: one attempt, one deadline, one answer that is never trusted."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache

import httpcore2
from django.conf import settings

from notifications.channels.webhook.answers import Answer, excerpt_of, header, retry_after_seconds
from notifications.channels.webhook.failures import reason_of
from notifications.channels.webhook.resolver import Resolver, system_resolver
from notifications.channels.webhook.running import run
from notifications.channels.webhook.transport import GuardedBackend
from notifications.channels.webhook.urls import WebhookUrl, read_url
from notifications.errors import AddressRefused, DeliveryFailed, UrlRefused

__all__ = ["ANSWER_MAX_BYTES", "Answer", "post"]

ANSWER_MAX_BYTES = 65_536


def post(
    url: str, *, headers: Mapping[str, str], body: bytes, resolve: Resolver = system_resolver
) -> Answer:
    """
    POST the body, a JSON document, and return the answer whatever its status.

    May block for NOTIFICATIONS_DELIVERY_SECONDS in all: name, connection, TLS, sending, answer.
    Follows no redirect, uses no proxy, decodes nothing. Not for a thread with a running loop.

    :raises AddressRefused: if the URL can't be read, or its host is an address that nothing is
        sent to; another attempt can't end differently.
    :raises NameLedAstray: if its host is a name that leads to such an address, this time.
    :raises DeliveryFailed: if there was no answer, or not a whole one in HTTP/1.1.
    """
    try:
        target = read_url(url)
    except UrlRefused as refusal:
        raise AddressRefused(str(refusal)) from None
    return run(_post(target, _headers(target, headers, body), body, resolve))


async def _post(
    url: WebhookUrl, headers: list[tuple[str, str]], body: bytes, resolve: Resolver
) -> Answer:
    try:
        async with asyncio.timeout(settings.NOTIFICATIONS_DELIVERY_SECONDS):
            return await _exchange(url, headers, body, resolve)
    except TimeoutError:
        limit = settings.NOTIFICATIONS_DELIVERY_SECONDS
        raise DeliveryFailed(f"{url.host} gave no whole answer within {limit} s.") from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
        raise DeliveryFailed(f"{url.host} {reason_of(error)}.") from None


async def _exchange(
    url: WebhookUrl, headers: list[tuple[str, str]], body: bytes, resolve: Resolver
) -> Answer:
    started = time.monotonic()
    is_encrypted = url.scheme == "https"
    async with (
        httpcore2.AsyncConnectionPool(
            ssl_context=_tls() if is_encrypted else None,
            network_backend=GuardedBackend(resolve, is_encrypted=is_encrypted),
        ) as pool,
        pool.stream(
            "POST",
            httpcore2.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target),
            headers=headers,
            content=body,
        ) as response,
    ):
        content, fault = await _read(response)
        return Answer(
            status=response.status,
            latency_ms=round((time.monotonic() - started) * 1_000),
            excerpt=excerpt_of(content),
            retry_after_seconds=retry_after_seconds(
                header(response.headers, b"retry-after"), now=datetime.now(UTC)
            ),
            fault=fault,
        )


async def _read(response: httpcore2.Response) -> tuple[bytes, str]:
    """Return the body as it came, at most ANSWER_MAX_BYTES of it, and what is wrong with it."""
    encoding = header(response.headers, b"content-encoding").lower()
    content = bytearray()
    async for chunk in response.aiter_stream():
        if chunk and encoding not in ("", "identity"):
            # A few KB may unpack to gigabytes, so nothing is unpacked; we asked for identity.
            return b"", "its answer is encoded (Content-Encoding), not identity as asked"
        content += chunk
        if len(content) > ANSWER_MAX_BYTES:
            fault = f"its answer is over {ANSWER_MAX_BYTES:,} bytes"
            return bytes(content[:ANSWER_MAX_BYTES]), fault
    return bytes(content), ""


def _headers(url: WebhookUrl, headers: Mapping[str, str], body: bytes) -> list[tuple[str, str]]:
    ours = {
        "Host": url.authority,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Accept-Encoding": "identity",
        "User-Agent": "Offload",
        "Connection": "close",
    }
    taken = {name.lower() for name in (*ours, "Transfer-Encoding")}
    return [*ours.items(), *((k, v) for k, v in headers.items() if k.lower() not in taken)]


@cache
def _tls() -> ssl.SSLContext:
    """Return the context of all webhooks: reading the authorities takes longer than a delivery."""
    return httpcore2.default_ssl_context()
