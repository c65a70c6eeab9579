"""The invariants that Postgres itself keeps, whatever the code believes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from bytespike_cli.servers import PostgresServer
from tests.support.ledger import prepare_database

HASH = b"\0" * 32


@pytest.fixture(scope="module")
async def database(postgres_server: PostgresServer) -> AsyncIterator[asyncpg.Connection]:
    url = postgres_server.create_database("ledger_schema")
    await prepare_database(url)
    conn = await asyncpg.connect(url)
    await conn.execute(
        "insert into accounts (id, kind, tier, concurrency) values ('acct_1', 'customer', 'pro', 5)"
    )
    await conn.execute("insert into balances (account_id) values ('acct_1')")
    yield conn
    await conn.close()


async def transfer(conn: asyncpg.Connection, key: str, *amounts: int) -> int:
    """A transfer with one entry per amount, committed."""
    async with conn.transaction():
        number: int = await conn.fetchval(
            "insert into transfers (kind, account_id, idempotency_key, input_hash, actor)"
            " values ('topup', 'acct_1', $1, $2, 'test') returning id",
            key,
            HASH,
        )
        for line, amount in enumerate(amounts, 1):
            await conn.execute(
                "insert into entries values ($1, $2, $3, $4)",
                number,
                line,
                "acct_1" if line == 1 else "house_funding",
                amount,
            )
    return number


async def test_a_balanced_transfer_is_accepted(database: asyncpg.Connection) -> None:
    number = await transfer(database, "balanced", 5, -3, -2)
    total = await database.fetchval(
        "select sum(amount_uusd) from entries where transfer_id = $1", number
    )
    assert total == 0


@pytest.mark.parametrize("amounts", [(5, -4), (5,), ()])
async def test_an_unbalanced_transfer_cannot_commit(
    database: asyncpg.Connection, amounts: tuple[int, ...]
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="does not sum to zero"):
        await transfer(database, f"unbalanced {amounts}", *amounts)


async def test_entries_cannot_join_a_committed_transfer(database: asyncpg.Connection) -> None:
    number = await transfer(database, "complete", 5, -5)
    with pytest.raises(asyncpg.CheckViolationError, match="earlier transfer"):
        await database.execute(
            "insert into entries values ($1, 3, 'acct_1', 1), ($1, 4, 'house_funding', -1)", number
        )


async def test_an_entry_of_zero_is_refused(database: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await transfer(database, "zero", 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        "update transfers set note = 'other'",
        "delete from transfers",
        "update entries set amount_uusd = 1",
        "delete from entries",
        "truncate entries, transfers cascade",
        "update price_revisions set input_uusd = 0",
    ],
)
async def test_the_past_cannot_be_changed(database: asyncpg.Connection, change: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await database.execute(change)


async def test_an_idempotency_key_is_used_once(database: asyncpg.Connection) -> None:
    await transfer(database, "once", 5, -5)
    with pytest.raises(asyncpg.UniqueViolationError):
        await transfer(database, "once", 5, -5)


@pytest.mark.parametrize("posted", [-1, 2**53])
async def test_a_balance_stays_between_zero_and_what_redis_can_mirror(
    database: asyncpg.Connection, posted: int
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await database.execute("update balances set posted_uusd = $1", posted)


async def test_house_accounts_have_no_tier(database: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await database.execute("insert into accounts values ('acct_2', 'house', 'pro', 5)")
    with pytest.raises(asyncpg.CheckViolationError):
        await database.execute("insert into accounts values ('acct_2', 'customer', null, null)")


async def test_only_success_can_be_charged(database: asyncpg.Connection) -> None:
    await database.execute("select ensure_usage_day('2026-11-23')")
    row = """insert into usage values ('2026-11-23', $1, 'acct_1', 'key_1', null, 'g', 'm', 'd',
             'r', $2, '', 200, false, false, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 10, $3, 0, $4)"""
    await database.execute(row, "req_1", "completed", 5, HASH)
    await database.execute(row, "req_2", "failed", 0, HASH)
    with pytest.raises(asyncpg.CheckViolationError, match="only_success_is_charged"):
        await database.execute(row, "req_3", "failed", 5, HASH)


async def test_a_request_has_one_usage_row_and_days_may_be_ensured_twice(
    database: asyncpg.Connection,
) -> None:
    await database.execute("select ensure_usage_day('2026-12-01'), ensure_usage_day('2026-12-01')")
    row = """insert into usage values ('2026-12-01', 'req_9', 'acct_1', 'key_1', null, 'g', 'm',
             'd', 'r', 'failed', '', 500, false, false, 0, 0, 0, null, null, null, null, null,
             null, null, 10, 0, 0, $1)"""
    await database.execute(row, HASH)
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.execute(row, HASH)
