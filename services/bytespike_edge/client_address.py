"""Which address a request came from, and whether a key may be used from there. Pure.

Every proxy in front of the edge appends the address it saw to ``X-Forwarded-For``, so only the last
``trusted_hops`` entries were written by machines we run; everything left of them is the client's
own claim. The count is explicit: too small and every client looks like the proxy, too large and a
client chooses its own address.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from bytespike_runtime.addresses import parse_address

__all__ = ["IpRules", "client_address"]

_Network = IPv4Network | IPv6Network


class IpRules:
    """The allow and deny lists of one key, parsed once. Deny beats allow; no allow list = everyone.

    Raises ``ValueError`` on a network that cannot be parsed (the ledger normalises them, so that is
    a corrupt record and must not open the key to the world).
    """

    __slots__ = ("_allow", "_deny")

    def __init__(self, allow: Sequence[str], deny: Sequence[str]) -> None:
        self._allow = tuple(_network(text) for text in allow)
        self._deny = tuple(_network(text) for text in deny)

    def permits(self, address: str | None) -> bool:
        """Whether the key may be used from ``address``; one that cannot be read may not."""
        parsed = parse_address(address)
        if parsed is None or any(parsed in network for network in self._deny):
            return False
        return not self._allow or any(parsed in network for network in self._allow)


def client_address(
    peer: str | None, forwarded_for: Sequence[str], *, trusted_hops: int
) -> str | None:
    """The address behind ``trusted_hops`` proxies of ours, or None if the chain is shorter.

    ``forwarded_for`` holds every ``X-Forwarded-For`` value in the order received.
    """
    if trusted_hops == 0:
        return peer
    chain = ",".join(forwarded_for).split(",")
    return chain[-trusted_hops].strip() if trusted_hops <= len(chain) else None


def _network(text: str) -> _Network:
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        if network.prefixlen < 96:
            return network
        return ip_network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network
