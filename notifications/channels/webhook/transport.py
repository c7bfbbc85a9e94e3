"""Opens a webhook's connection: to an address that was checked, and to no other."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpcore2
from django.conf import settings

from notifications.channels.webhook.addresses import is_trusted, why_refused
from notifications.channels.webhook.limited_stream import LimitedStream
from notifications.channels.webhook.resolver import Resolver, resolve_apart
from notifications.errors import AddressRefused, DeliveryFailed

#: Of a host's addresses, how many are tried; all are checked.
ADDRESSES_TRIED_MAX = 4


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """
    Resolves a host once, checks every answer, and connects to what was checked.

    A second question to the name server could be answered differently (DNS rebinding), so there
    is none. TLS stays with the host's name: httpcore2 hands that over itself.
    """

    def __init__(self, resolve: Resolver, *, is_encrypted: bool) -> None:
        self._resolve = resolve
        self._is_encrypted = is_encrypted
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """
        Connect to the first of the host's addresses that lets us.

        :raises AddressRefused: if one of its addresses, or the port, is not allowed.
        :raises DeliveryFailed: if the host has no address, or none of them answers.
        """
        addresses = (await self._checked(host, port))[:ADDRESSES_TRIED_MAX]
        # The last address gets its share too, however silent the others are.
        share = settings.NOTIFICATIONS_DELIVERY_SECONDS / (len(addresses) + 1)
        for address in addresses:
            try:
                stream = await self._sockets.connect_tcp(
                    str(address), port, share, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
            return LimitedStream(stream, host)
        raise DeliveryFailed(f"{host} accepts no connection on port {port}.")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """:raises AddressRefused: always."""
        raise AddressRefused("A webhook is never sent to a Unix socket.")

    async def sleep(self, seconds: float) -> None:
        await self._sockets.sleep(seconds)

    async def _checked(self, host: str, port: int) -> list[IPv4Address | IPv6Address]:
        try:
            found = await resolve_apart(self._resolve, host, port)
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise DeliveryFailed(f"The name {host} has no address.")
        try:
            addresses = [ip_address(text) for text in found]
        except ValueError:
            raise AddressRefused(f"{host} leads to what is no address.") from None
        for address in addresses:
            self._check(host, address, port)
        return addresses

    def _check(self, host: str, address: IPv4Address | IPv6Address, port: int) -> None:
        kind = why_refused(address)
        if kind:
            raise AddressRefused(f"{host} leads to {kind}; nothing is sent there.")
        if is_trusted(address):
            return
        if not self._is_encrypted:
            raise AddressRefused(f"{host} is in no trusted network: https alone is sent there.")
        if port not in settings.NOTIFICATIONS_PORTS:
            raise AddressRefused(
                f"{host} is in no trusted network: nothing is sent to port {port}."
            )
