"""The ledger's working set: Postgres, the projection, prices, clock and chance, in one value.

Handlers, the consumer and the upkeep loops receive it; nothing in this service is global.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bytespike_contracts.ids import mint_id
from bytespike_ledger.courier.guard import Guard
from bytespike_ledger.metrics import LedgerMetrics
from bytespike_ledger.prices import PriceBook
from bytespike_ledger.projection import Projector
from bytespike_ledger.sealing import Sealer
from bytespike_ledger.settle import USAGE_RETENTION_DAYS
from bytespike_ledger.store import Pool

__all__ = ["Books", "wall_clock_ms"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def wall_clock_ms() -> int:
    """Unix milliseconds now."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, kw_only=True)
class Books:
    """What every part of the ledger works on. ``now_ms`` is Unix milliseconds (tests pass their
    own clock). ``sealer`` keeps what must be readable again; without keys it is not enabled.
    ``webhook_guard`` says where webhooks may go.
    """

    pool: Pool
    projector: Projector
    prices: PriceBook
    metrics: LedgerMetrics
    now_ms: Callable[[], int] = wall_clock_ms
    sealer: Sealer = field(default_factory=lambda: Sealer({}))
    usage_retention_days: int = USAGE_RETENTION_DAYS
    webhook_guard: Guard = field(default_factory=Guard)

    def now(self) -> datetime:
        """The same clock as Postgres takes it."""
        return _EPOCH + timedelta(milliseconds=self.now_ms())

    def mint(self, prefix: str) -> str:
        """A new id of the given kind."""
        return mint_id(prefix, self.now_ms(), secrets.token_bytes(10))
