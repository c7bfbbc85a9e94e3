"""A connection that is read up to a limit, whatever the bytes are: headers, hints, chunks, body."""

import ssl
from typing import Any

import httpcore2

from notifications.errors import DeliveryFailed

#: Beyond any answer that counts: its headers, its body, and a chunk of its own for every byte.
READ_MAX_BYTES = 1_000_000


class LimitedStream(httpcore2.AsyncNetworkStream):
    """Ends what would keep a processor busy until the deadline, such as 1xx answers without end."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream, host: str) -> None:
        self._stream = stream
        self._host = host
        self._left = READ_MAX_BYTES

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """:raises DeliveryFailed: beyond READ_MAX_BYTES."""
        content = await self._stream.read(max_bytes, timeout)
        self._left -= len(content)
        if self._left < 0:
            raise DeliveryFailed(f"{self._host} sent {READ_MAX_BYTES:,} bytes and no whole answer.")
        return content

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            encrypted = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            # httpcore2 closes after an `Exception` alone: the deadline's cancellation is none.
            await self._stream.aclose()
            raise
        return LimitedStream(encrypted, self._host)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
