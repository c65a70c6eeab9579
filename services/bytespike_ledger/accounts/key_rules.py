"""What a key may be: its secret and networks; and who may lay hands on whose key."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import NoReturn

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.ids import key_is_well_formed
from bytespike_ledger.accounts.actors import Actor, Operator, Permission, Role
from bytespike_ledger.store import Connection
from bytespike_ledger.store import keys as store
from bytespike_ledger.store.keys import KeyRow

__all__ = [
    "NEW_KEY",
    "announced",
    "check_custom_key",
    "check_rank",
    "find_visible",
    "find_writable",
    "normalise_networks",
    "own_only",
]

#: Columns of a key as it is made when nothing else is said.
NEW_KEY: Mapping[str, object] = {
    "scopes": ["inference"],
    "routing_group": "default",
    "quota_uusd": 0,
    "window_5h_uusd": 0,
    "window_1d_uusd": 0,
    "window_7d_uusd": 0,
    "ip_allow": [],
    "ip_deny": [],
    "expires_ms": None,
}

#: A list of networks travels with the key record into every edge; this many is a firewall's job.
_MAX_NETWORKS = 100
#: Lowest first.
_RANKS = (Role.VIEWER, Role.MEMBER, Role.ADMIN, Role.OWNER)


def normalise_networks(texts: list[str], *, param: str) -> list[str]:
    """Addresses and CIDR networks in one spelling, host bits cleared, IPv4-mapped IPv6 as IPv4.

    Raises ``GatewayError`` naming the element that is neither.
    """
    if len(texts) > _MAX_NETWORKS:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST, f"at most {_MAX_NETWORKS} networks", param=param
        )
    networks = []
    for number, text in enumerate(texts):
        try:
            network = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError as error:
            raise GatewayError(
                ErrorCode.INVALID_REQUEST,
                "not an IP address or CIDR network",
                param=f"{param}[{number}]",
            ) from error
        networks.append(str(_unmapped(network)))
    return list(dict.fromkeys(networks))


def check_custom_key(custom_key: str | None) -> None:
    """Raises ``GatewayError`` 400 unless a caller's own secret is usable (None is)."""
    if custom_key is not None and not key_is_well_formed(custom_key):
        raise GatewayError(
            ErrorCode.INVALID_REQUEST,
            "a custom key has 24 to 128 characters of A-Z a-z 0-9 _ - and must not look like a"
            " generated key with a typo",
            param="custom_key",
        )


def check_rank(who: Actor | Operator, member_role: str | None, scopes: object) -> None:
    """Raises ``GatewayError`` 403 if the secret of such a key would let a customer do more than
    their own role does. Keys that cannot manage act in nobody's role; keys of no member act as the
    owner.
    """
    if isinstance(who, Operator) or not isinstance(scopes, list) or "manage" not in scopes:
        return
    role = Role.OWNER if member_role is None else Role(member_role)
    if _RANKS.index(role) > _RANKS.index(who.role):
        raise GatewayError(
            ErrorCode.PERMISSION_DENIED,
            f"a key with the scope manage would act as {role}, which is above {who.role}",
        )


def announced(row: KeyRow) -> dict[str, object]:
    """What an event tells of a key; never its secret."""
    return {
        "key_id": row.id,
        "name": row.name,
        "hint": row.hint,
        "group": row.routing_group,
        "status": row.status,
        "member_id": row.member_id,
    }


def own_only(who: Actor | Operator) -> tuple[str | None] | None:
    """``(member_id,)`` if a list must be narrowed to the caller's own keys, else None."""
    if isinstance(who, Operator) or who.may(Permission.READ_ALL_KEYS):
        return None
    return (who.member_id,)


async def find_visible(
    conn: Connection, who: Actor | Operator, key_id: str, *, locked: bool = False
) -> KeyRow:
    """A key the caller may see, not deleted. Raises ``GatewayError`` 404 for all others alike."""
    row = await store.read_key(conn, key_id, locked=locked)
    if row is None or row.status == "deleted":
        _not_found(key_id)
    narrowed = own_only(who)
    foreign = isinstance(who, Actor) and row.account_id != who.account_id
    if foreign or (narrowed is not None and narrowed != (row.member_id,)):
        _not_found(key_id)
    return row


async def find_writable(conn: Connection, who: Actor | Operator, key_id: str) -> KeyRow:
    """A key the caller may change, locked. Raises as :func:`find_visible`, and 403."""
    row = await find_visible(conn, who, key_id, locked=True)
    if isinstance(who, Actor):
        own = row.member_id == who.member_id
        who.require(Permission.WRITE_OWN_KEYS if own else Permission.WRITE_ALL_KEYS)
    return row


def _unmapped(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """``::ffff:10.0.0.0/104`` is ``10.0.0.0/8``: edges see such clients by their IPv4 address."""
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def _not_found(key_id: str) -> NoReturn:
    raise GatewayError(ErrorCode.NOT_FOUND, f"no key {key_id!r}")
