"""The settlement transaction's SQL: a batch of events in a handful of ``unnest`` statements.

Order of locks, the same for every ledger: balance rows by account id, then usage rows by request
id, then spend and buckets by key. All settlements of an account meet at its balance row, so what is
read after taking it stays true until the commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from bytespike_contracts.money import TokenUsage
from bytespike_ledger.settle import BucketDelta, PricedEvent, Settled
from bytespike_ledger.store import Connection
from bytespike_ledger.store.state import AccountSettled, add_scopes

__all__ = [
    "add_spend",
    "insert_attempts",
    "insert_usage",
    "known_fingerprints",
    "lock_balances",
    "owners_of",
    "post_charges",
]

_TOKENS = tuple(TokenUsage.__struct_fields__)
_NO_TOKENS: tuple[int | None, ...] = (None,) * len(_TOKENS)


async def lock_balances(conn: Connection, account_ids: Iterable[str]) -> dict[str, AccountSettled]:
    """Lock the balance rows and return those accounts that exist, without scopes."""
    rows = await conn.fetch(
        "select account_id, posted_uusd, version from balances"
        " where account_id = any($1::text[]) order by account_id for update",
        sorted(set(account_ids)),
    )
    return {
        row["account_id"]: AccountSettled(row["account_id"], row["posted_uusd"], row["version"])
        for row in rows
    }


async def known_fingerprints(conn: Connection, events: Sequence[PricedEvent]) -> dict[str, bytes]:
    """``{request id: fingerprint}`` of the events that have a usage row already."""
    known: dict[str, bytes] = {}
    for day in sorted({priced.day for priced in events}):
        ids = [priced.event.request_id for priced in events if priced.day == day]
        rows = await conn.fetch(
            "select request_id, fingerprint from usage"
            " where day = $1 and request_id = any($2::text[])",
            day,
            ids,
        )
        known.update((row["request_id"], row["fingerprint"]) for row in rows)
    return known


async def insert_usage(conn: Connection, settled: Sequence[Settled]) -> int:
    """Insert usage rows; the number written is smaller than asked if another ledger was faster."""
    columns = list(zip(*map(_usage_row, settled), strict=True))
    status = await conn.execute(_INSERT_USAGE, *columns)
    return int(status.rpartition(" ")[2])


async def insert_attempts(conn: Connection, settled: Sequence[Settled]) -> None:
    """Insert the second book's lines of the same events."""
    rows = [row for item in settled for row in _attempt_rows(item.priced)]
    if rows:
        await conn.execute(_INSERT_ATTEMPTS, *zip(*rows, strict=True))


async def post_charges(
    conn: Connection, settled: Sequence[Settled], accounts: Mapping[str, AccountSettled]
) -> None:
    """Transfers, entries and balances of everything in the batch that costs the customer.

    The accounts take over their new balances and versions.
    """
    charged = [item for item in settled if item.charge_uusd]
    if not charged:
        return
    events = [item.priced.event for item in charged]
    await conn.execute(
        _INSERT_TRANSFERS,
        [f"settle:{event.request_id}" for event in events],
        [event.account_id for event in events],
        [item.charge_uusd for item in charged],
        [item.priced.fingerprint for item in charged],
        [event.admitted_ms for event in events],
    )
    sums: dict[str, int] = {}
    for item in charged:
        account_id = item.priced.event.account_id
        sums[account_id] = sums.get(account_id, 0) + item.charge_uusd
    rows = await conn.fetch(
        """update balances set posted_uusd = posted_uusd - spent, version = version + 1
           from unnest($1::text[], $2::bigint[]) as batch (account, spent)
           where account_id = account
           returning account_id, posted_uusd, version""",
        list(sums),
        list(sums.values()),
    )
    for row in rows:
        account = accounts[row["account_id"]]
        account.balance_uusd, account.version = row["posted_uusd"], row["version"]


async def owners_of(
    conn: Connection, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """The member and the organisation, as far as there are any, of ``(account, key)`` pairs. What a
    key belongs to never changes, so no lock is needed.
    """
    if not keys:
        return {}
    rows = await conn.fetch(
        "select account_id, id, member_id, org_id from api_keys where id = any($1::text[])",
        list({key_id for _, key_id in keys}),
    )
    return {
        (row["account_id"], row["id"]): tuple(filter(None, (row["member_id"], row["org_id"])))
        for row in rows
    }


async def add_spend(
    conn: Connection,
    deltas: Mapping[tuple[str, str], int],
    buckets: Sequence[BucketDelta],
    accounts: Mapping[str, AccountSettled],
) -> None:
    """Add to the lifetime spend of scopes and to the sub-buckets of their windows.

    The accounts take over the scopes named here with their new, absolute values.
    """
    if not deltas:
        return
    spend = await conn.fetch(
        """insert into scope_spend (account_id, scope, spent_uusd)
           select * from unnest($1::text[], $2::text[], $3::bigint[])
           on conflict (account_id, scope)
           do update set spent_uusd = scope_spend.spent_uusd + excluded.spent_uusd
           returning account_id, scope, spent_uusd""",
        [account_id for account_id, _ in deltas],
        [scope for _, scope in deltas],
        list(deltas.values()),
    )
    rows = await conn.fetch(
        """insert into spend_buckets (account_id, scope, window_no, bucket, settled_uusd)
           select * from unnest($1::text[], $2::text[], $3::smallint[], $4::bigint[], $5::bigint[])
           on conflict (account_id, scope, window_no, bucket)
           do update set settled_uusd = spend_buckets.settled_uusd + excluded.settled_uusd
           returning account_id, scope, window_no, bucket, settled_uusd""",
        [delta.account_id for delta in buckets],
        [delta.scope for delta in buckets],
        [delta.window_no for delta in buckets],
        [delta.bucket for delta in buckets],
        [delta.amount_uusd for delta in buckets],
    )
    add_scopes(accounts, spend, rows)


def _insert(table: str, columns: Mapping[str, str], suffix: str = "") -> str:
    casts = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(columns.values(), 1))
    # Table and columns are the constants below.
    return f"insert into {table} ({', '.join(columns)}) select * from unnest({casts}) {suffix}"  # noqa: S608


_INSERT_USAGE = _insert(
    "usage",
    {
        "day": "date",
        "request_id": "text",
        "account_id": "text",
        "key_id": "text",
        "org_id": "text",
        "routing_group": "text",
        "model": "text",
        "dialect": "text",
        "price_revision": "text",
        "outcome": "text",
        "error_type": "text",
        "status": "smallint",
        "stream": "boolean",
        "estimated": "boolean",
        "admitted_ms": "bigint",
        "finished_ms": "bigint",
        "first_byte_ms": "bigint",
        "hold_uusd": "bigint",
        "charge_uusd": "bigint",
        "shortfall_uusd": "bigint",
        "fingerprint": "bytea",
        **dict.fromkeys(_TOKENS, "bigint"),
    },
    "on conflict do nothing",
)

_INSERT_ATTEMPTS = _insert(
    "usage_attempts",
    {
        "day": "date",
        "request_id": "text",
        "attempt": "smallint",
        "channel": "text",
        "status": "smallint",
        "error_type": "text",
        "duration_ms": "bigint",
        "estimated": "boolean",
        "cost_uusd": "bigint",
        **dict.fromkeys(_TOKENS, "bigint"),
    },
)

# Two entries per transfer: the customer gives, revenue takes.
_INSERT_TRANSFERS = """
    with batch as (
        select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[],
                             $5::bigint[])
            as batch (idempotency_key, account_id, amount_uusd, input_hash, admitted_ms)
    ), made as (
        insert into transfers (kind, account_id, idempotency_key, input_hash, actor, effective_at)
        select 'settle', account_id, idempotency_key, input_hash, 'ledger',
               to_timestamp(admitted_ms / 1000.0) from batch
        returning id, idempotency_key
    )
    insert into entries (transfer_id, line, account_id, amount_uusd)
    select made.id, line,
           case line when 1 then batch.account_id else 'house_revenue' end,
           case line when 1 then -batch.amount_uusd else batch.amount_uusd end
    from made join batch using (idempotency_key), generate_series(1, 2) as line
"""


def _usage_row(item: Settled) -> tuple[object, ...]:
    event = item.priced.event
    tokens = _NO_TOKENS if event.usage is None else _token_counts(event.usage)
    return (
        item.priced.day,
        event.request_id,
        event.account_id,
        event.key_id,
        event.org_id,
        event.group,
        event.model,
        event.dialect,
        event.price_revision,
        event.outcome.value,
        event.error_type,
        event.status,
        event.stream,
        event.estimated,
        event.admitted_ms,
        event.finished_ms,
        event.first_byte_ms,
        event.hold_uusd,
        item.charge_uusd,
        item.shortfall_uusd,
        item.priced.fingerprint,
        *tokens,
    )


def _attempt_rows(priced: PricedEvent) -> Iterable[tuple[object, ...]]:
    for number, attempt in enumerate(priced.event.attempts, 1):
        yield (
            priced.day,
            priced.event.request_id,
            number,
            attempt.channel,
            attempt.status,
            attempt.error_type,
            attempt.duration_ms,
            attempt.estimated,
            attempt.cost_uusd,
            *_token_counts(attempt.usage),
        )


def _token_counts(usage: TokenUsage) -> tuple[int, ...]:
    return (
        usage.input_tokens,
        usage.cache_write_5m_tokens,
        usage.cache_write_1h_tokens,
        usage.cache_read_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        usage.web_searches,
    )
