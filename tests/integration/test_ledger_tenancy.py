"""Postgres itself keeps tenants apart: whatever SQL a customer's call runs, it sees and writes its
own account alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from bytespike_cli.servers import PostgresServer
from bytespike_ledger.store import Connection, RefusedByDatabase, connection, tenant
from tests.support.ledger import Rig, ledger
from tests.support.management import Company, Management, management, some_email

DENIED = asyncpg.InsufficientPrivilegeError


@pytest.fixture(scope="module")
async def rig(postgres_server: PostgresServer, redis_url: str, nats_url: str) -> AsyncIterator[Rig]:
    database = postgres_server.create_database("ledger_tenancy")
    async with ledger(database, redis_url, nats_url) as rig:
        yield rig


@pytest.fixture(scope="module")
async def api(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Management]:
    folder: Path = tmp_path_factory.mktemp("catalogue")
    async with management(rig, folder) as api:
        yield api


@pytest.fixture(scope="module")
async def acme(api: Management) -> Company:
    return await api.company()


@pytest.fixture(scope="module")
async def other(api: Management) -> Company:
    return await api.company()


@pytest.fixture
async def conn(rig: Rig, acme: Company) -> AsyncIterator[Connection]:
    """Acme's transaction, rolled back afterwards."""
    with suppress(_Undo):
        async with tenant(rig.books.pool, acme.account_id) as conn:
            yield conn
            raise _Undo


class _Undo(Exception):
    """Ends a test's transaction."""


#: Table -> how the account of a row is found.
OWNED = {
    "accounts": "id",
    "orgs": "account_id",
    "members": "account_id",
    "api_keys": "account_id",
    "audit_log": "account_id",
    "account_events": "account_id",
    "balances": "account_id",
}


@pytest.mark.parametrize("table", OWNED)
async def test_only_ones_own_rows_are_seen(
    conn: Connection, rig: Rig, acme: Company, other: Company, table: str
) -> None:
    every = f"select distinct {OWNED[table]} from {table}"
    async with connection(rig.books.pool) as all_seeing:
        there = {row[0] for row in await all_seeing.fetch(every)}
    assert {acme.account_id, other.account_id} <= there
    assert [row[0] for row in await conn.fetch(every)] == [acme.account_id]


async def test_users_are_seen_by_whom_they_work_for(conn: Connection, api: Management) -> None:
    seen = await conn.fetchval("select count(*) from users")
    assert seen == 4
    assert await api.rig.value("select count(*) from users") == 8


async def test_without_an_account_nothing_is_seen(rig: Rig, acme: Company) -> None:
    async with tenant(rig.books.pool, "") as conn:
        for table in OWNED:
            assert await conn.fetchval(f"select count(*) from {table}") == 0


@pytest.mark.parametrize(
    "change",
    [
        "update orgs set name = 'taken over', quota_uusd = 1",
        "update members set role = 'viewer'",
        "update api_keys set status = 'disabled'",
    ],
)
async def test_an_update_of_everything_reaches_only_ones_own(
    conn: Connection, rig: Rig, acme: Company, other: Company, change: str
) -> None:
    table = change.split()[1]
    status = await conn.execute(change)
    own = await rig.value(
        f"select count(*) from {table} where account_id = $1",
        acme.account_id,
    )
    assert status == f"UPDATE {own}"
    foreign = await conn.execute(
        f"{change} where account_id = $1",
        other.account_id,
    )
    assert foreign == "UPDATE 0"


_KEY = """insert into api_keys (id, account_id, org_id, member_id, name, key_hash, hint, scopes,
              routing_group, quota_uusd, window_5h_uusd, window_1d_uusd, window_7d_uusd, ip_allow,
              ip_deny)
          values ('key_x', $1, $2, $3, 'x', sha256('x'), 'x', '{manage}', 'default', 0, 0, 0, 0,
                  '{}', '{}')"""


async def test_rows_cannot_be_hung_on_somebody_elses(
    rig: Rig, acme: Company, other: Company
) -> None:
    """Neither in their account, nor in one's own account below their organisation or member."""
    user = await rig.value("select user_id from members where id = $1", acme.members["viewer"])
    member = """insert into members (id, account_id, org_id, user_id, role)
                values ('mem_x', $1, $2, $3, 'owner')"""
    theirs = (other.account_id, other.id, other.members["owner"])
    for statement, values, error in (
        (member, (other.account_id, other.id, user), DENIED),
        (member, (acme.account_id, other.id, user), RefusedByDatabase),
        (_KEY, theirs, DENIED),
        (_KEY, (acme.account_id, other.id, None), RefusedByDatabase),
        (_KEY, (acme.account_id, acme.id, other.members["owner"]), RefusedByDatabase),
    ):
        with pytest.raises(error):
            async with tenant(rig.books.pool, acme.account_id) as conn:
                await conn.execute(statement, *values)


@pytest.mark.parametrize(
    "change",
    [
        "update members set account_id = '{other}'",
        "update api_keys set account_id = '{other}'",
        "insert into audit_log (actor, address, request_id, action, account_id, target)"
        " values ('x', 'x', 'x', 'org.update', '{other}', 'x')",
        "insert into account_events (id, account_id, type, body)"
        " values ('evt_x', '{other}', 'org.settings.update', '{{}}')",
        # One's own, and still not one's to change.
        "update orgs set status = 'active'",
        "update orgs set account_id = '{other}'",
        "insert into orgs (id, account_id, name) values ('org_x', '{acme}', 'x')",
        "delete from orgs",
        "update accounts set concurrency = 100000",
        "update balances set posted_uusd = 1000000",
        "insert into users (id, email, name) values ('user_x', 'x@people.example', 'x')",
        "update users set email = 'x@people.example'",
        "delete from members",
        "delete from api_keys",
        "update audit_log set actor = 'x'",
        "select * from operators",
        "insert into operators (id, name, token_hash, hint) values ('op', 'x', sha256('x'), 'x')",
    ],
)
async def test_what_a_tenant_may_not_do_at_all(
    conn: Connection, acme: Company, other: Company, change: str
) -> None:
    with pytest.raises(DENIED):
        await conn.execute(change.format(acme=acme.account_id, other=other.account_id))


async def test_a_look_for_an_address_tells_only_an_id(
    conn: Connection, api: Management, other: Company
) -> None:
    email = await api.rig.value(
        """select email from users join members on members.user_id = users.id
           where members.id = $1""",
        other.members["owner"],
    )
    known = await conn.fetchval("select user_of_email('user_new', $1, 'x')", email)
    assert known != "user_new"
    assert await conn.fetchrow("select * from users where id = $1", known) is None
    unknown = await conn.fetchval("select user_of_email('user_new', $1, 'x')", some_email())
    assert unknown == "user_new"
    # What the tenant said they are called does not stick to somebody who exists.
    name = await api.rig.value("select name from users where id = $1", known)
    assert name == "The owner"


async def test_the_next_user_of_the_connection_sees_everything_again(
    rig: Rig, acme: Company
) -> None:
    for _ in range(rig.books.pool.get_max_size()):
        async with tenant(rig.books.pool, acme.account_id) as conn:
            assert await conn.fetchval("select count(*) from orgs") == 1
        async with connection(rig.books.pool) as conn:
            assert await conn.fetchval("select count(*) from orgs") > 1
