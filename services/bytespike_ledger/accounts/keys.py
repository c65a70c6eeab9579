"""API keys: minting, controls, and putting every change in force within a second."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from bytespike_contracts.catalogue import Catalogue
from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.ids import key_hash, key_hint, key_is_well_formed, mint_key
from bytespike_ledger.accounts.orgs import find_account
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import carry_key
from bytespike_ledger.store import connection
from bytespike_ledger.store import keys as store
from bytespike_ledger.store.keys import DuplicateKey, KeyRow

__all__ = ["NewKey", "change_key", "create_key", "find_key", "list_keys", "normalise_networks"]

#: A list of networks travels with the key record into every edge; this many is a firewall's job.
_MAX_NETWORKS = 100


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: the only moment its secret is known."""

    secret: str
    row: KeyRow


async def create_key(
    books: Books,
    catalogue: Catalogue,
    account_id: str,
    *,
    custom_key: str | None,
    controls: Mapping[str, object],
) -> NewKey:
    """Mint a key for an account. ``controls`` are columns of ``api_keys``, already checked.

    Raises ``GatewayError``: 404 no such account, 400 unusable custom key or unknown group,
    409 the secret is taken.
    """
    account = await find_account(books, account_id)
    _check_group(catalogue, controls)
    if custom_key is not None and not key_is_well_formed(custom_key):
        raise GatewayError(
            ErrorCode.INVALID_REQUEST,
            "a custom key has 24 to 128 characters of A-Z a-z 0-9 _ - and must not look like a"
            " generated key with a typo",
            param="custom_key",
        )
    secret = custom_key or mint_key(secrets.token_bytes(64))
    values = {
        "id": books.mint("key"),
        "account_id": account.id,
        "org_id": account.org_id,
        "key_hash": bytes.fromhex(key_hash(secret)),
        "hint": key_hint(secret),
        **controls,
    }
    try:
        async with connection(books.pool) as conn:
            await store.insert_key(conn, values)
            row = await store.read_key(conn, str(values["id"]))
    except DuplicateKey as error:
        raise GatewayError(
            ErrorCode.CONFLICT, "this key is or was in use", param="custom_key"
        ) from error
    if row is None:
        _not_found(str(values["id"]))
    await carry_key(books, row)
    return NewKey(secret, row)


async def change_key(
    books: Books, catalogue: Catalogue, key_id: str, changes: Mapping[str, object]
) -> KeyRow:
    """Apply column changes (``status`` among them; "deleted" is for good). 404 if there is none."""
    _check_group(catalogue, changes)
    async with connection(books.pool) as conn:
        row = await store.update_key(conn, key_id, changes)
    if row is None:
        _not_found(key_id)
    await carry_key(books, row)
    return row


async def find_key(books: Books, key_id: str) -> KeyRow:
    """One key that is not deleted; 404 if there is none."""
    async with connection(books.pool) as conn:
        row = await store.read_key(conn, key_id)
    if row is None or row.status == "deleted":
        _not_found(key_id)
    return row


async def list_keys(books: Books, account_id: str, *, after: str, limit: int) -> list[KeyRow]:
    """A page of an account's keys; 404 if there is no such account."""
    await find_account(books, account_id)
    async with connection(books.pool) as conn:
        return await store.list_keys(conn, account_id, after=after, limit=limit)


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


def _unmapped(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """``::ffff:10.0.0.0/104`` is ``10.0.0.0/8``: edges see such clients by their IPv4 address."""
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def _check_group(catalogue: Catalogue, controls: Mapping[str, object]) -> None:
    group = controls.get("routing_group")
    if group is not None and group not in catalogue.groups:
        raise GatewayError(ErrorCode.INVALID_REQUEST, f"no group {group!r}", param="group")


def _not_found(key_id: str) -> NoReturn:
    raise GatewayError(ErrorCode.NOT_FOUND, f"no key {key_id!r}")
