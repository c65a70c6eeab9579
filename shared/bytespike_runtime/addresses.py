"""Addresses of clients as they come over the wire, read into one form. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

__all__ = ["Address", "client_network", "parse_address"]

Address = IPv4Address | IPv6Address

#: What a household or a server is given; whoever has one address of it has all of them.
_IPV6_PREFIX = 64


def parse_address(text: str | None) -> Address | None:
    """The address in ``text`` (with or without a port), or None if there is none to read."""
    if not text:
        return None
    try:
        return _plain(ip_address(_without_port(text)))
    except ValueError:
        return None


def client_network(text: str | None) -> str:
    """Who an address counts as: itself (IPv4) or its /64 (IPv6); what cannot be read is one."""
    address = parse_address(text)
    if address is None:
        return "unknown"
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), _IPV6_PREFIX), strict=False))


def _without_port(text: str) -> str:
    """``1.2.3.4:80``, ``[::1]:80`` and ``[::1]`` are written by some proxies."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, _, port = text.rpartition(":")
    return host if port.isdigit() and host.count(":") == 0 and host else text


def _plain(address: Address) -> Address:
    """An IPv4 client on a dual-stack socket shows up as ``::ffff:a.b.c.d``: one form."""
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))  # int() drops a scope id
    return address
