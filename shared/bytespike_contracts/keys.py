"""Key records: the immutable, versioned projection of an API key that the edge admits by.

The ledger writes one JSON record per live key to Redis under the SHA-256 of the key and broadcasts
the change; the edge caches records in process. Counters never live in a record: a record is
replaced, never edited.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

__all__ = [
    "PROJECTION_MARKER",
    "KeyChange",
    "KeyRecord",
    "ProjectionMarker",
    "Scope",
    "SpendCaps",
    "SpendLimit",
    "key_record_name",
]

#: Redis string, rewritten by the ledger every few seconds with a TTL while Postgres answers and the
#: projection is complete. Value: JSON ``ProjectionMarker``. Absent = an unknown key cannot be
#: judged (503, never 401).
PROJECTION_MARKER = "bs:projection"


class Scope(StrEnum):
    """What a key may do. A leaked inference key must not mint keys, so ``manage`` is separate."""

    INFERENCE = "inference"
    MANAGE = "manage"


class SpendCaps(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Spend limits in micro-USD; 0 = unlimited. ``quota_uusd`` is for life, the others are rolling
    windows.
    """

    quota_uusd: int = 0
    window_5h_uusd: int = 0
    window_1d_uusd: int = 0
    window_7d_uusd: int = 0


class SpendLimit(msgspec.Struct, frozen=True, kw_only=True):
    """Caps of whoever a key belongs to, counted over all their keys in a spend scope of its own
    (named by the id of the member or organisation).
    """

    scope: str
    owner: Literal["member", "org"]
    caps: SpendCaps


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything the edge must know of a key. ``version`` grows with every change of the key or its
    account.

    ``ip_allow`` and ``ip_deny`` are CIDR strings, normalised by the ledger; empty allow = everyone.
    ``expires_ms`` is Unix milliseconds. Disabled keys stay projected (``enabled`` false); deleted
    ones vanish. ``limits`` are the caps of the key's member and organisation, those with any only.
    """

    key_id: str
    account_id: str
    version: int
    group: str
    scopes: tuple[Scope, ...]
    concurrency: int
    enabled: bool = True
    org_id: str | None = None
    expires_ms: int | None = None
    caps: SpendCaps = SpendCaps()
    limits: tuple[SpendLimit, ...] = ()
    ip_allow: tuple[str, ...] = ()
    ip_deny: tuple[str, ...] = ()


class ProjectionMarker(msgspec.Struct, frozen=True, kw_only=True):
    """Proof that the key projection is complete and was last checked against Postgres then."""

    verified_ms: int


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """Broadcast on ``subjects.KEYS_CHANGED``: drop the cached record of ``hash`` older than
    ``version``.
    """

    hash: str
    version: int


def key_record_name(hash_hex: str) -> str:
    """Redis name of a key record (spread over the cluster; not tied to the account's hash tag)."""
    return f"bs:key:{hash_hex}"
