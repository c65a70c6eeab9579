"""NATS subjects and streams: the words on the bus, in one place.

Facts travel on NATS, bodies never do. JetStream carries what must not be lost (usage events); core
NATS carries broadcasts that a TTL would repair anyway (cache invalidation).
"""

from __future__ import annotations

from functools import lru_cache

from bytespike_contracts.ids import partition_of

__all__ = [
    "CATALOGUE_CHANGED",
    "CHANNELS_CHANGED",
    "KEYS_CHANGED",
    "PARKED_STREAM",
    "PARKED_SUBJECT",
    "SETTLE_CONSUMER",
    "USAGE_STREAM",
    "USAGE_SUBJECTS",
    "usage_subject",
]

#: JetStream stream of usage events, kept until the ledger acknowledges them.
USAGE_STREAM = "BYTESPIKE_USAGE"
USAGE_SUBJECTS = "bytespike.usage.v1.*"
#: Durable pull consumer shared by all ledger replicas.
SETTLE_CONSUMER = "ledger-settle"

#: Events that cannot be applied (same id, other content; undecodable) wait here for a human.
PARKED_STREAM = "BYTESPIKE_PARKED"
PARKED_SUBJECT = "bytespike.parked.usage"

#: Core NATS broadcasts.
KEYS_CHANGED = "bytespike.keys.changed"
CATALOGUE_CHANGED = "bytespike.catalogue.changed"
CHANNELS_CHANGED = "bytespike.channels.changed"


@lru_cache(maxsize=4096)  # asked on every request; an account's never changes
def usage_subject(account_id: str) -> str:
    """The subject for an account's events: per-account order survives several ledgers."""
    return f"bytespike.usage.v1.{partition_of(account_id)}"
