"""What is spent with a key counts for its member and its organisation: in Postgres, in Redis, in
the audit, after a rebuild, and for a limit that is set when it has been spent already.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from bytespike_cli.servers import PostgresServer
from bytespike_contracts import holds
from bytespike_contracts.holds import Admission, Refusal, ScopeCaps
from bytespike_contracts.keys import KeyRecord, SpendCaps, SpendLimit, key_record_name
from bytespike_contracts.usage import UsageEvent
from bytespike_ledger.accounts.keys import create_key
from bytespike_ledger.carryover import carry_due, carry_limits
from bytespike_ledger.projection import Projector
from bytespike_ledger.settle import price_event
from bytespike_ledger.settling import Settler
from bytespike_ledger.store.accounts import insert_account
from bytespike_ledger.store.keys import KeyRow, touch_keys
from bytespike_runtime import pg
from bytespike_runtime.kv import ScriptPipe
from bytespike_runtime.migrate import migrate
from tests.support.ledger import Customer, Rig, ledger, plain_controls, replaced
from tests.support.owners import add_member, give_key, set_caps


@pytest.fixture
async def rig(
    postgres_server: PostgresServer, fresh_postgres_url: str, redis_url: str, nats_url: str
) -> AsyncIterator[Rig]:
    async with ledger(fresh_postgres_url, redis_url, nats_url) as rig:
        yield rig


@dataclass(frozen=True)
class Team:
    """An organisation with 10 000 micro-USD: Ann has two keys, Bob one, and one is nobody's."""

    rig: Rig
    org: Customer  # with the key that is nobody's
    ann: str
    bob: str
    ann_1: Customer
    ann_2: Customer
    bob_1: Customer

    def scopes(self) -> list[str]:
        keys = (self.org, self.ann_1, self.ann_2, self.bob_1)
        return [*(key.key_id for key in keys), self.ann, self.bob, self.org.org_id]

    async def spend(self, key: Customer, tokens: int) -> UsageEvent:
        """One settled request of ten micro-USD per token."""
        event = self.rig.event(key, output_tokens=tokens)
        await self.rig.publish(event)
        await self.rig.settle_all()
        return event

    async def spent(self) -> list[int]:
        """In Postgres, of each scope; the buckets of every window say the same."""
        found = []
        for scope in self.scopes():
            spent = await self.rig.value(
                "select coalesce(sum(spent_uusd), 0)::bigint from scope_spend where scope = $1",
                scope,
            )
            for window_no in (1, 2, 3):
                counted = await self.rig.value(
                    """select coalesce(sum(settled_uusd), 0)::bigint from spend_buckets
                       where scope = $1 and window_no = $2""",
                    scope,
                    window_no,
                )
                assert counted == spent
            assert isinstance(spent, int)
            found.append(spent)
        return found

    async def mirrored(self) -> list[int]:
        """The same in Redis."""
        mirror = await self.rig.mirror.account(self.org.account_id, self.scopes())
        for scope in mirror.scopes.values():
            assert set(scope.sums.values()) == {scope.spent_uusd}
        return [mirror.scopes[scope].spent_uusd for scope in self.scopes()]

    async def limit(self, owner: str, caps: SpendCaps) -> list[KeyRow]:
        """Committed, with the keys it binds; Redis has not heard of it."""
        async with pg.connection(self.rig.books.pool) as conn, conn.transaction():
            is_member = owner.startswith("mem")
            await set_caps(conn, "members" if is_member else "orgs", owner, caps)
            return await touch_keys(
                conn, self.org.account_id, member_id=owner if is_member else None
            )

    async def record(self, key: Customer) -> KeyRecord:
        """What an edge would read."""
        text = await self.rig.pipe.command("GET", key_record_name(key.key_hash))
        return msgspec.json.decode(text, type=KeyRecord)

    async def admit(self, key: Customer, event: UsageEvent) -> Admission:
        """What an edge would do, with the limits of the record it reads."""
        record = await self.record(key)
        scopes = [ScopeCaps(record.key_id, record.caps)]
        scopes += [ScopeCaps(limit.scope, limit.caps) for limit in record.limits]
        args = holds.admit_args(event.request_id, event.hold_uusd, concurrency=99, scopes=scopes)
        name = holds.wallet_name(record.account_id)
        return holds.read_admission(await self.rig.pipe.script("admit", name, args))


@pytest.fixture
async def team(rig: Rig) -> Team:
    org = await rig.customer(10_000)
    keys = []
    async with pg.connection(rig.books.pool) as conn:
        ann = await add_member(conn, org.account_id, org.org_id)
        bob = await add_member(conn, org.account_id, org.org_id)
        for member in (ann, ann, bob):
            made = await create_key(
                rig.books,
                rig.catalogue,
                org.account_id,
                custom_key=None,
                controls=plain_controls(),
            )
            await give_key(conn, made.row.id, member)
            keys.append(Customer(org.org_id, org.account_id, made.row.id, made.row.key_hash.hex()))
    assert await carry_due(rig.books)
    assert await rig.dirty_checks() == set()
    return Team(rig, org, ann, bob, *keys)


async def test_a_settlement_counts_for_key_member_and_organisation(rig: Rig, team: Team) -> None:
    for key, tokens in ((team.org, 1), (team.ann_1, 2), (team.ann_2, 4), (team.bob_1, 8)):
        await team.spend(key, tokens)
    assert await team.spent() == [10, 20, 40, 80, 60, 80, 150]
    assert await team.mirrored() == [10, 20, 40, 80, 60, 80, 150]

    again = await team.spend(team.ann_1, 16)
    await rig.publish(again)  # a replay adds nothing, anywhere
    await rig.settle_all()
    assert await team.spent() == [10, 180, 40, 80, 220, 80, 310]
    assert await team.mirrored() == await team.spent()
    assert await rig.dirty_checks() == set()


async def test_an_event_does_not_say_whose_key_it_was(rig: Rig, team: Team) -> None:
    await rig.publish(replaced(rig.event(team.ann_1), org_id=None))
    await rig.publish(replaced(rig.event(team.ann_1), org_id="org_of_somebody_else"))
    await rig.settle_all()
    assert await team.spent() == [0, 20, 0, 0, 20, 0, 20]
    assert await rig.dirty_checks() == set()


async def test_an_individuals_key_counts_for_itself_alone(rig: Rig) -> None:
    async with pg.connection(rig.books.pool) as conn:
        await insert_account(conn, "acct_alone", tier="free", concurrency=5)
    assert await carry_due(rig.books)
    made = await create_key(
        rig.books, rig.catalogue, "acct_alone", custom_key=None, controls=plain_controls()
    )
    alone = Customer("", "acct_alone", made.row.id, made.row.key_hash.hex())
    await rig.publish(replaced(rig.event(alone), org_id=None))
    await rig.settle_all()
    assert await rig.value("select array_agg(scope) from scope_spend") == [made.row.id]
    assert await rig.dirty_checks() == set()


#: Corruption of one scope's rows -> the checks that must notice.
WRONG_ROWS = {
    "update scope_spend set spent_uusd = spent_uusd + 1 where scope = $1": {
        "spend_equals_usage",
        "redis_equals_postgres",
    },
    "delete from scope_spend where scope = $1": {"spend_equals_usage", "redis_equals_postgres"},
    "update spend_buckets set settled_uusd = 1 where scope = $1 and window_no = 3": {
        "buckets_equal_usage",
        "redis_equals_postgres",
    },
    "delete from spend_buckets where scope = $1 and window_no = 1": {
        "buckets_equal_usage",
        "redis_equals_postgres",
    },
    "update spend_buckets set bucket = bucket - 1 where scope = $1 and window_no = 2": {
        "buckets_equal_usage",
        "redis_equals_postgres",
    },
}


@pytest.mark.parametrize("corruption", WRONG_ROWS)
@pytest.mark.parametrize("kind", ["key", "member", "org"])
async def test_the_audit_finds_a_wrong_row_of_each_scope(
    rig: Rig, team: Team, kind: str, corruption: str
) -> None:
    await team.spend(team.ann_1, 7)
    assert await rig.dirty_checks() == set()
    scope = {"key": team.ann_1.key_id, "member": team.ann, "org": team.org.org_id}[kind]
    async with pg.connection(rig.books.pool) as conn:
        await conn.execute(corruption, scope)

    report = await rig.auditor.audit()

    found = {finding.name: finding for finding in report.findings if finding.violations}
    assert set(found) == WRONG_ROWS[corruption]
    for name, finding in found.items():
        named = team.org.account_id if name == "redis_equals_postgres" else scope
        assert all(offender.startswith(named) for offender in finding.first)


@pytest.mark.parametrize("kind", ["key", "member", "org", "idle member"])
@pytest.mark.parametrize("command", ["HSET {s} spent 5", "HINCRBY {s} S1 1", "HSET {s} s2:1 5"])
async def test_a_rebuild_mends_a_wrong_scope(rig: Rig, team: Team, kind: str, command: str) -> None:
    await team.spend(team.ann_1, 7)
    scope = {
        "key": team.ann_1.key_id,
        "member": team.ann,
        "org": team.org.org_id,
        "idle member": team.bob,
    }[kind]
    name = f"bs:{{{team.org.account_id}}}:spend:{scope}"
    await rig.pipe.command(*command.format(s=name).split(" "))
    assert await rig.dirty_checks() == {"redis_equals_postgres"}
    assert await rig.rebuilder.rebuild()
    assert await rig.dirty_checks() == set()
    assert await team.mirrored() == [0, 70, 0, 0, 70, 0, 70]


async def test_a_rebuild_restores_every_scope(rig: Rig, team: Team) -> None:
    for key, tokens in ((team.org, 1), (team.ann_1, 2), (team.ann_2, 4), (team.bob_1, 8)):
        await team.spend(key, tokens)
    await carry_limits(
        rig.books, team.org.account_id, await team.limit(team.ann, SpendCaps(quota_uusd=100))
    )
    record = await team.record(team.ann_1)
    await rig.pipe.command("FLUSHALL")

    assert await rig.rebuilder.rebuild()

    assert await team.mirrored() == [10, 20, 40, 80, 60, 80, 150]
    assert await team.record(team.ann_1) == record
    assert await rig.dirty_checks() == set()


@pytest.mark.parametrize("kind", ["member", "org"])
@pytest.mark.parametrize(
    ("cap", "refusal"),
    [
        ("quota_uusd", Refusal.QUOTA),
        ("window_5h_uusd", Refusal.WINDOW_5H),
        ("window_1d_uusd", Refusal.WINDOW_1D),
        ("window_7d_uusd", Refusal.WINDOW_7D),
    ],
)
async def test_a_limit_set_later_knows_the_past(
    rig: Rig, team: Team, kind: str, cap: str, refusal: Refusal
) -> None:
    held = rig.event(team.ann_1, output_tokens=5)  # by nobody's limit but the key's
    assert (await team.admit(team.ann_1, held)).refusal is None
    await team.spend(team.ann_1, 6)
    owner = team.ann if kind == "member" else team.org.org_id
    caps = SpendCaps(**{cap: 100})

    await carry_limits(rig.books, team.org.account_id, await team.limit(owner, caps))

    limit = SpendLimit(scope=owner, owner="member" if kind == "member" else "org", caps=caps)
    assert (await team.record(team.ann_2)).limits == (limit,)
    bobs = (await team.record(team.bob_1)).limits
    assert bobs == (() if kind == "member" else (limit,))

    # 60 are spent; the hold of before is not counted, its settlement is.
    too_much, fits = (rig.event(team.ann_2, output_tokens=n) for n in (5, 4))
    refused = await team.admit(team.ann_2, too_much)
    assert (refused.refusal, refused.scope_index) == (refusal, 1)
    admitted = await team.admit(team.ann_2, fits)
    assert admitted.refusal is None
    assert admitted.state is not None
    assert admitted.state.scopes[1].spent_uusd == 60
    await rig.finish(held)
    await rig.publish(held)
    await rig.settle_all()
    refused = await team.admit(team.ann_2, rig.event(team.ann_2))
    assert (refused.refusal, refused.scope_index) == (refusal, 1)
    assert refused.state is not None
    scope = refused.state.scopes[1]
    assert (scope.spent_uusd, scope.pending_uusd) == (110, 40)
    assert await rig.dirty_checks() == set()


class RecordsKnowThePast(Projector):
    """Looks, before a key record goes out, whether Redis has what its limits have spent."""

    async def key(self, hash_hex: str, record: KeyRecord, **options: Any) -> None:
        for limit in record.limits:
            state = await self.look(record.account_id, limit.scope)
            assert state.scopes[0].spent_uusd == 70
            assert [w.settled_uusd for w in state.scopes[0].windows] == [70, 70, 70]
        await super().key(hash_hex, record, **options)


@pytest.mark.parametrize("by_the_loop", [False, True])
async def test_spend_comes_to_redis_before_the_record_that_limits_it(
    rig: Rig, team: Team, by_the_loop: bool
) -> None:
    """Also if whoever set the limit died after the commit."""
    await team.spend(team.ann_1, 7)
    watched = replace(rig.books, projector=RecordsKnowThePast(rig.pipe, rig.bus))
    rows = await team.limit(team.ann, SpendCaps(quota_uusd=100))
    await rig.pipe.command("DEL", f"bs:{{{team.org.account_id}}}:spend:{team.ann}")
    if by_the_loop:
        assert await carry_due(watched)
    else:
        await carry_limits(watched, team.org.account_id, rows)
    assert [limit.scope for limit in (await team.record(team.ann_1)).limits] == [team.ann]
    assert await rig.dirty_checks() == set()


class NeverUncounted(ScriptPipe):
    """After each call: no scope counts less than was spent, settled or held."""

    least: dict[str, int]
    calls = 0

    async def script(self, name: str, key: str, args: Sequence[str | int]) -> Any:
        reply = await super().script(name, key, args)
        if name == "project":
            self.calls += 1
            for scope, least in self.least.items():
                spend = f"{key.removesuffix('wallet')}spend:{scope}"
                spent, pend = await self.command("HMGET", spend, "spent", "pend")
                assert int(spent or 0) + int(pend or 0) >= least, scope
        return reply


async def test_a_large_settlement_never_leaves_anything_uncounted(
    rig: Rig, team: Team, redis_url: str
) -> None:
    """More scopes and holds of one account than go into one call."""
    events = []
    for _ in range(20):
        made = await create_key(
            rig.books,
            rig.catalogue,
            team.org.account_id,
            custom_key=None,
            controls=plain_controls(),
        )
        events += [replaced(rig.event(team.org), key_id=made.row.id) for _ in range(14)]
    for event in events:
        scopes = [ScopeCaps(scope, SpendCaps()) for scope in (event.key_id, team.org.org_id)]
        admit = holds.admit_args(event.request_id, 10, concurrency=999, scopes=scopes)
        await rig.pipe.script("admit", holds.wallet_name(event.account_id), admit)
    pipe = NeverUncounted(redis_url, {"project": holds.PROJECT})
    pipe.least = {event.key_id: 140 for event in events} | {team.org.org_id: 10 * len(events)}
    await pipe.start()
    try:
        books = replace(rig.books, projector=Projector(pipe, rig.bus))
        priced = [price_event(event, rig.rates, rig.books.now_ms()) for event in events]
        assert await Settler(books).settle(priced) == []
    finally:
        await pipe.close()
    assert pipe.calls > 2
    assert await rig.dirty_checks() == set()


BEFORE = """
insert into accounts (id, kind, tier, concurrency) values
    ('acct_1', 'customer', 'pro', 5), ('acct_2', 'customer', 'pro', 5);
insert into balances (account_id, projection_due) values ('acct_1', false), ('acct_2', false);
insert into orgs (id, account_id, name) values ('org_1', 'acct_1', 'Acme');
insert into api_keys (id, account_id, org_id, name, key_hash, hint, scopes, routing_group,
                      quota_uusd, window_5h_uusd, window_1d_uusd, window_7d_uusd, ip_allow, ip_deny)
select id, account_id, org_id, 'key', sha256(id::bytea), '', '{inference}', 'default',
       0, 0, 0, 0, '{}', '{}'
from (values ('key_1', 'acct_1', 'org_1'), ('key_2', 'acct_1', 'org_1'), ('key_3', 'acct_2', null))
    as keys (id, account_id, org_id);
insert into scope_spend values ('acct_1', 'key_1', 10), ('acct_1', 'key_2', 5),
                               ('acct_2', 'key_3', 3);
insert into spend_buckets values ('acct_1', 'key_1', 1, 7, 4), ('acct_1', 'key_1', 1, 8, 6),
                                 ('acct_1', 'key_2', 1, 8, 5), ('acct_2', 'key_3', 1, 8, 3);
"""


async def test_what_was_settled_before_owners_counted_is_added_up(
    fresh_postgres_url: str, tmp_path: Path
) -> None:
    """A database from before, migrated."""
    folder = resources.files("bytespike_ledger") / "migrations"
    for file in folder.iterdir():
        if file.name.endswith(".sql") and int(file.name[:4]) < 9:
            (tmp_path / file.name).write_text(file.read_text())
    await migrate(fresh_postgres_url, tmp_path, service="ledger")
    conn = await asyncpg.connect(fresh_postgres_url)
    try:
        await conn.execute(BEFORE)
        await migrate(fresh_postgres_url, folder, service="ledger")
        spend = await conn.fetch("select * from scope_spend where scope not like 'key%'")
        buckets = await conn.fetch("select * from spend_buckets where scope not like 'key%'")
        due = await conn.fetchval("select count(*) from balances where projection_due")
    finally:
        await conn.close()
    assert [tuple(row) for row in spend] == [("acct_1", "org_1", 15)]
    assert sorted(tuple(row) for row in buckets) == [
        ("acct_1", "org_1", 1, 7, 4),
        ("acct_1", "org_1", 1, 8, 11),
    ]
    assert due == 2
