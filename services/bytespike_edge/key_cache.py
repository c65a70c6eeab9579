"""Who a key belongs to: immutable key records from Redis, cached in process.

A record is never edited here, only replaced by a newer one. Changes are broadcast on NATS and drop
the cached copy at once; while NATS is away a copy is trusted for one second, so a revoked key stops
within a second either way. Copies made while the bus was silent are not trusted beyond that second
after it is back, because what was said meanwhile was not heard.

"No such key" is only said when the projection is known to be complete; otherwise the caller is
asked to come back.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.holds import ScopeCaps
from bytespike_contracts.ids import key_hash, key_is_well_formed
from bytespike_contracts.keys import PROJECTION_MARKER, KeyChange, KeyRecord, key_record_name
from bytespike_edge.client_address import IpRules
from bytespike_edge.limit_headers import Limits, limits_of
from bytespike_edge.metrics import EdgeMetrics
from bytespike_runtime.kv import KvUnavailable

__all__ = ["KeyCache", "KnownKey", "invalid_key", "prepare"]

#: Belt to the broadcast's braces: how long a copy lives at most.
FRESH_S = 60.0
#: How long a copy lives while invalidations cannot be heard, and how long "unknown" is remembered.
BRIEF_S = 1.0
#: Unknown keys are remembered only to blunt a flood of one wrong key.
NEGATIVE_SIZE = 10_000
#: Announced versions matter for as long as a Redis read can be under way, so a few seconds' worth.
ANNOUNCED_SIZE = 10_000
#: A record older than the announced one means that the read overtook the write: ask again.
READ_ATTEMPTS = 3

V = TypeVar("V")

_decode_record = msgspec.json.Decoder(KeyRecord).decode
_decode_change = msgspec.json.Decoder(KeyChange).decode


class RecordStore(Protocol):
    """The one thing asked of Redis here."""

    async def command(self, *args: str | int | bytes) -> object:
        """Raises ``KvUnavailable``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """A key record with what every request needs of it prepared once."""

    record: KeyRecord
    ip_rules: IpRules | None
    #: The key first, then its owners that have limits, in the order of the record.
    scopes: tuple[ScopeCaps, ...]
    scope_names: tuple[str, ...]
    limits: Limits
    #: Whether any limit header can apply, so that a look at the account is worth its round trip.
    limited: bool


class KeyCache:
    """Key records by hash. All methods belong to the event loop's thread."""

    def __init__(
        self,
        store: RecordStore,
        *,
        hears_changes: Callable[[], bool],
        size: int,
        metrics: EdgeMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._hears_changes = hears_changes
        self._size = size
        self._metrics = metrics
        self._clock = clock
        #: Copies made at or before this may have missed a change.
        self._trusted_since = float("-inf")
        self._known: OrderedDict[str, tuple[KnownKey, float]] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._announced: OrderedDict[str, int] = OrderedDict()
        # Bounded by the requests being served: each waits for at most one of these.
        self._loading: dict[str, asyncio.Future[KnownKey | None]] = {}

    def fresh(self, key: str) -> KnownKey | None:
        """The copy of a plaintext key's record, if there is one that needs no look-up."""
        return self._fresh(key_hash(key)) if key.isascii() else None

    def knows(self, key: str) -> bool:
        """Whether it is a key we have seen and not heard to be gone, however old our copy is."""
        return key.isascii() and key_hash(key) in self._known

    async def find(self, key: str) -> KnownKey:
        """The record of a plaintext key.

        Raises :class:`GatewayError`: 401 if there is no such key, 503 if that cannot be known now.
        """
        if not key.isascii():  # header bytes that are not even text
            raise invalid_key()
        hash_hex = key_hash(key)
        fresh = self._fresh(hash_hex)
        if fresh is not None:
            return fresh
        if not key_is_well_formed(key) or self._is_known_unknown(hash_hex):
            raise invalid_key()
        self._metrics.key_miss()
        known = await self._load_shared(hash_hex)
        if known is None:
            raise invalid_key()
        return known

    def _fresh(self, hash_hex: str) -> KnownKey | None:
        entry = self._known.get(hash_hex)
        if entry is None or not self._is_fresh(entry[1]):
            return None
        self._known.move_to_end(hash_hex)
        self._metrics.key_hit()
        return entry[0]

    def on_change(self, message: bytes) -> None:
        """A broadcast: what is cached under the hash and older than the version is dropped."""
        try:
            change = _decode_change(message)
        except msgspec.DecodeError:
            self.forget_all()  # a broadcast nobody can read may have been about any key
            return
        _remember(self._announced, change.hash, change.version, ANNOUNCED_SIZE)
        self._unknown.pop(change.hash, None)
        entry = self._known.get(change.hash)
        if entry is not None and entry[0].record.version < change.version:
            del self._known[change.hash]

    def distrust(self) -> None:
        """Changes may have gone unheard until now: copies made before this are no longer fresh."""
        self._trusted_since = self._clock()
        self._unknown.clear()

    def forget_all(self) -> None:
        """Start from nothing."""
        self._known.clear()
        self._unknown.clear()

    def _is_fresh(self, loaded_at: float) -> bool:
        age = self._clock() - loaded_at
        trusted = loaded_at > self._trusted_since and self._hears_changes()
        return age < (FRESH_S if trusted else BRIEF_S)

    def _is_known_unknown(self, hash_hex: str) -> bool:
        since = self._unknown.get(hash_hex)
        return since is not None and self._clock() - since < BRIEF_S

    async def _load_shared(self, hash_hex: str) -> KnownKey | None:
        """One Redis read however many requests miss the same key at once."""
        loading = self._loading.get(hash_hex)
        if loading is not None:
            return await asyncio.shield(loading)
        loading = self._loading[hash_hex] = asyncio.get_running_loop().create_future()
        try:
            known = await self._load(hash_hex)
        except BaseException as error:
            shared = error if isinstance(error, GatewayError) else _cannot_tell()
            loading.set_exception(shared)
            loading.exception()  # read here, so that no waiter is not "never retrieved"
            raise
        else:
            loading.set_result(known)
            return known
        finally:
            del self._loading[hash_hex]

    async def _load(self, hash_hex: str) -> KnownKey | None:
        for _ in range(READ_ATTEMPTS):
            asked_at = self._clock()
            text = await self._read(key_record_name(hash_hex))
            if text is None:
                text = await self._read_unless_unknown(hash_hex)
            if text is None:
                self._known.pop(hash_hex, None)
                _remember(self._unknown, hash_hex, asked_at, NEGATIVE_SIZE)
                return None
            if not self._hears_changes():
                self._trusted_since = self._clock()
            known = _prepared(text)
            if known.record.version >= self._announced.get(hash_hex, 0):
                _remember(self._known, hash_hex, (known, asked_at), self._size)
                return known
        raise _cannot_tell()

    async def _read_unless_unknown(self, hash_hex: str) -> bytes | None:
        """A second look, now that the projection is known to be complete: a record that was absent
        before the marker was seen may only have been on its way.
        """
        if await self._read(PROJECTION_MARKER) is None:
            raise _cannot_tell()
        return await self._read(key_record_name(hash_hex))

    async def _read(self, name: str) -> bytes | None:
        try:
            value = await self._store.command("GET", name)
        except KvUnavailable:
            raise _cannot_tell() from None
        return value if isinstance(value, bytes) else None


def prepare(record: KeyRecord) -> KnownKey:
    """What every request needs of a record, worked out once per load. Raises ``ValueError`` if its
    networks cannot be parsed.
    """
    scopes = (
        ScopeCaps(record.key_id, record.caps),
        *(ScopeCaps(limit.scope, limit.caps) for limit in record.limits),
    )
    limits = limits_of(scopes)
    return KnownKey(
        record=record,
        ip_rules=(
            IpRules(record.ip_allow, record.ip_deny) if record.ip_allow or record.ip_deny else None
        ),
        scopes=scopes,
        scope_names=tuple(scope for scope, _ in scopes),
        limits=limits,
        limited=bool(limits.windows or limits.quotas or record.org_id),
    )


def invalid_key() -> GatewayError:
    """The one answer to every unusable key: missing, malformed, unknown, disabled, expired."""
    return GatewayError(
        ErrorCode.INVALID_API_KEY,
        "invalid API key",
        headers={"WWW-Authenticate": 'Bearer realm="ByteSpike"'},
    )


def _cannot_tell() -> GatewayError:
    return GatewayError(
        ErrorCode.UNAVAILABLE,
        "API keys cannot be checked right now; try again shortly",
        headers={"Retry-After": "1"},
    )


def _prepared(text: bytes) -> KnownKey:
    try:
        return prepare(_decode_record(text))
    except (msgspec.DecodeError, ValueError):  # a record we cannot read is not a wrong key
        raise _cannot_tell() from None


def _remember(cache: OrderedDict[str, V], name: str, value: V, size: int) -> None:
    """Insert as the newest entry and drop the oldest beyond ``size``."""
    cache[name] = value
    cache.move_to_end(name)
    if len(cache) > size:
        cache.popitem(last=False)
