"""Opens a webhook's connection: to an address that was checked, and to no other."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpcore2
from django.conf import settings

from notifications.channels.webhook.addresses import is_trusted, why_refused
from notifications.channels.webhook.limited_stream import LimitedStream
from notifications.channels.webhook.resolver import Resolver, resolve_apart
from notifications.errors import AddressRefused, DeliveryFailed, NameLedAstray

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

        :raises AddressRefused: if it is an address that nothing is sent to, or not on this port.
        :raises NameLedAstray: if it is a name, and one of its addresses is such a one.
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
        addresses = [_read(text) for text in found]
        for address in addresses:
            reason = self._why_not(address, port)
            if reason:
                # A name may lead elsewhere the next time; an address stays what it is.
                refusal = AddressRefused if _read(host) else NameLedAstray
                raise refusal(f"{host} {reason}.")
        return [address for address in addresses if address]

    def _why_not(self, address: IPv4Address | IPv6Address | None, port: int) -> str | None:
        """Return why nothing is sent to one of a host's addresses, as the rest of a sentence."""
        if address is None:
            return "leads to what is no address"
        kind = why_refused(address)
        if kind:
            return f"leads to {kind}; nothing is sent there"
        if is_trusted(address):
            return None
        if not self._is_encrypted:
            return "is in no trusted network: https alone is sent there"
        if port not in settings.NOTIFICATIONS_PORTS:
            return f"is in no trusted network: nothing is sent to port {port}"
        return None


def _read(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
