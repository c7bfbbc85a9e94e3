"""Which IP addresses a webhook may be sent to: public unicast ones, and trusted networks."""

from ipaddress import IPv4Address, IPv6Address, ip_network

from django.conf import settings

#: First match wins, so a part stands before its whole. From the IANA special-purpose registries
#: (RFC 6890) and clouds' manuals; `ipaddress.is_global` calls several of these global.
_KINDS = tuple(
    (ip_network(network), kind)
    for network, kind in (
        ("0.0.0.0/32", "the unspecified address"),
        ("0.0.0.0/8", "this network (0.0.0.0/8)"),
        ("10.0.0.0/8", "a private network"),
        ("100.64.0.0/10", "carrier-grade NAT (shared address space)"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's platform address (cloud metadata)"),  # Azure's.
        ("169.254.0.0/16", "link-local (cloud metadata)"),
        ("172.16.0.0/12", "a private network"),
        ("192.0.0.0/24", "IETF protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112 (a sink for DNS)"),
        ("192.52.193.0/24", "AMT (multicast tunnels)"),
        ("192.88.99.0/24", "6to4 relay anycast"),
        ("192.168.0.0/16", "a private network"),
        ("192.175.48.0/24", "AS112 (a sink for DNS)"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved for future use"),
        ("::/128", "the unspecified address"),
        ("::1/128", "loopback"),
        ("64:ff9b:1::/48", "NAT64 for local use"),
        ("100::/64", "discard-only"),
        ("100:0:0:1::/64", "a dummy prefix"),
        ("2001:2::/48", "benchmarking"),
        ("2001:3::/32", "AMT (multicast tunnels)"),
        ("2001:4:112::/48", "AS112 (a sink for DNS)"),
        ("2001:10::/28", "ORCHID"),
        ("2001:20::/28", "ORCHID (version 2)"),
        ("2001:30::/28", "drone remote identification"),
        ("2001::/23", "IETF protocol assignments"),
        ("2001:db8::/32", "documentation"),
        ("2620:4f:8000::/48", "AS112 (a sink for DNS)"),
        ("3ffe::/16", "the former 6bone"),
        ("3fff::/20", "documentation"),
        ("2000::/3", ""),
        ("5f00::/16", "segment routing (SRv6)"),
        ("fc00::/7", "unique local (a private network)"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local (a private network)"),
        ("ff00::/8", "multicast"),
        ("::/0", "outside of IPv6's global unicast (2000::/3)"),
    )
)

#: Prefixes whose addresses lead on to an IPv4 address, and how many bits stand behind it.
_CARRIERS = tuple(
    (ip_network(network), kind, bits_behind)
    for network, kind, bits_behind in (
        ("::ffff:0:0/96", "IPv4-mapped", 0),
        ("::ffff:0:0:0/96", "IPv4-translated", 0),
        ("::/96", "IPv4-compatible", 0),
        ("64:ff9b::/96", "NAT64", 0),
        ("2002::/16", "6to4", 80),
        ("2001::/32", "Teredo", 0),
    )
)
_EVERY_BIT = 0xFFFF_FFFF


def is_trusted(address: IPv4Address | IPv6Address) -> bool:
    """Say whether a network in NOTIFICATIONS_TRUSTED_NETWORKS holds the address as it stands."""
    return any(address in network for network in settings.NOTIFICATIONS_TRUSTED_NETWORKS)


def why_refused(address: IPv4Address | IPv6Address) -> str | None:
    """Name the kind of address that nothing is sent to; None for one that may be used."""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return "an address with a scope id"  # It means another network on every machine.
    if is_trusted(address):
        return None
    return _carried(address) or _kind(address)


def _kind(address: IPv4Address | IPv6Address) -> str | None:
    return next((kind for network, kind in _KINDS if address in network), "") or None


def _carried(address: IPv4Address | IPv6Address) -> str | None:
    """Name what an IPv6 address carries: refused even where the IPv4 address would not be."""
    if isinstance(address, IPv4Address) or int(address) in (0, 1):
        return None
    for network, kind, bits_behind in _CARRIERS:
        if address in network:
            bits = int(address) >> bits_behind & _EVERY_BIT
            inner = IPv4Address(bits ^ _EVERY_BIT if kind == "Teredo" else bits)
            inner_kind = _kind(inner)
            return f"{kind} of {inner}" + (f", {inner_kind}" if inner_kind else "")
    return None
