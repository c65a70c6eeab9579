"""Reading the projection: what Redis holds, account by account, without changing any of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import msgspec

from bytespike_contracts.holds import wallet_name
from bytespike_contracts.keys import KeyRecord, key_record_name
from bytespike_runtime.kv import ScriptPipe

__all__ = ["AccountMirror", "HoldMirror", "Mirror", "ScopeMirror"]

#: Keys looked at per SCAN call; each blocks Redis for well under a millisecond.
_SCAN_COUNT = 1_000


@dataclass(frozen=True, slots=True)
class HoldMirror:
    """One pending entry; ``open`` = the request still runs, else its cost waits to be settled."""

    amount_uusd: int
    open: bool
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScopeMirror:
    """One scope: settled and pending for life; per (window, bucket) and its running sums."""

    spent_uusd: int
    pending_uusd: int
    buckets: dict[tuple[int, int], int]
    sums: dict[int, int]


@dataclass(frozen=True, slots=True)
class AccountMirror:
    """One account; ``balance_uusd`` is None while it is not loaded."""

    balance_uusd: int | None
    version: int
    pending_uusd: int
    holds: dict[str, HoldMirror]
    leases: frozenset[str]
    scopes: dict[str, ScopeMirror]


class Mirror:
    """Reads over the ledger's Redis connection. Every method raises ``KvUnavailable``."""

    def __init__(self, pipe: ScriptPipe) -> None:
        self._pipe = pipe

    async def accounts(self, part: str) -> AsyncIterator[str]:
        """Ids of accounts that have a key of this kind (``wallet``, ``holds`` or ``leases``).

        SCAN may name an account twice.
        """
        async for names in self._scan(f"bs:{{*}}:{part}"):
            for name in names:
                yield name.decode().partition("{")[2].partition("}")[0]

    async def key_hashes(self) -> AsyncIterator[list[str]]:
        """Some at a time, the hashes that key records are kept under. SCAN may name one twice."""
        prefix = key_record_name("")
        async for names in self._scan(f"{prefix}*"):
            yield [name.decode().removeprefix(prefix) for name in names]

    async def key_record(self, hash_hex: str) -> KeyRecord | None:
        """The record under a hash."""
        text: bytes | None = await self._pipe.command("GET", key_record_name(hash_hex))
        return None if text is None else msgspec.json.decode(text, type=KeyRecord)

    async def _scan(self, pattern: str) -> AsyncIterator[list[bytes]]:
        cursor = b"0"
        while True:
            cursor, names = await self._pipe.command(
                "SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_COUNT
            )
            yield names
            if cursor == b"0":
                return

    async def account(self, account_id: str, scopes: Sequence[str] = ()) -> AccountMirror:
        """One account with the scopes asked for, all read in the same moment."""
        reply = await self._pipe.script("mirror", wallet_name(account_id), scopes)
        wallet = _hash(reply[0])
        balance = wallet.get("balance")
        return AccountMirror(
            balance_uusd=None if balance is None else int(balance),
            version=int(wallet.get("version", 0)),
            pending_uusd=int(wallet.get("pending", 0)),
            holds={name: _hold(record) for name, record in _hash(reply[1]).items()},
            leases=frozenset(name.decode() for name in reply[2]),
            scopes={
                scope: _scope(_hash(fields))
                for scope, fields in zip(scopes, reply[3:], strict=True)
            },
        )


def _hash(flat: Sequence[bytes]) -> dict[str, str]:
    words = [word.decode() for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))


def _hold(record: str) -> HoldMirror:
    amount, _admitted, state, scopes = record.split("|", 3)
    return HoldMirror(int(amount), state == "h", tuple(filter(None, scopes.split(","))))


def _scope(fields: dict[str, str]) -> ScopeMirror:
    buckets: dict[tuple[int, int], int] = {}
    sums = {number: int(fields.get(f"S{number}", 0)) for number in (1, 2, 3)}
    for name, value in fields.items():
        kind, colon, bucket = name.partition(":")
        if colon and kind.startswith("s"):
            buckets[int(kind[1:]), int(bucket)] = int(value)
    return ScopeMirror(int(fields.get("spent", 0)), int(fields.get("pend", 0)), buckets, sums)
