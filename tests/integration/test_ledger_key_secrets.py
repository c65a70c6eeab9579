"""The secrets of keys: rotation with and without overlap, no second life, reveal, other KEKs."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator
from functools import partial

import pytest

from bytespike_cli.home import mint_encryption_key
from bytespike_cli.servers import PostgresServer
from bytespike_contracts.ids import key_hash
from bytespike_contracts.keys import key_record_name
from bytespike_ledger.accounts.keys import rotate_key
from bytespike_ledger.carryover import carry_key
from bytespike_ledger.projection import SCRIPTS, Projector
from bytespike_runtime.kv import ScriptPipe
from tests.integration.keys_setup import KEK, Office, running_office
from tests.support.eventually import eventually


@pytest.fixture(scope="module")
async def office(
    postgres_server: PostgresServer,
    redis_url: str,
    nats_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    async with running_office(postgres_server, redis_url, nats_url, folder) as office:
        yield office


async def test_a_rotation_ends_the_old_secret(office: Office) -> None:
    owner = await office.person(await office.org(), "owner")
    made = await owner.make(quota="3")
    rotated = await owner.call("POST", f"/{made['id']}/rotate")
    assert (rotated.status, rotated.body["id"]) == (200, made["id"])
    assert rotated.headers["cache-control"] == "no-store"
    assert rotated.body["key"] != made["key"]
    assert rotated.body["old_secret_expires_at"] is None
    assert await office.works(rotated.body["key"])
    assert not await office.works(made["key"])
    record = await office.record(rotated.body["key"])
    assert record is not None
    assert (record.key_id, record.caps.quota_uusd) == (made["id"], 3_000_000)
    revealed = await owner.call("GET", f"/{made['id']}/reveal")
    assert revealed.body == {"id": made["id"], "key": rotated.body["key"]}


async def test_an_overlap_runs_out(office: Office) -> None:
    owner = await office.person(await office.org(), "owner")
    made = await owner.make()
    path = f"/{made['id']}"
    rotated = await owner.call("POST", f"{path}/rotate", {"overlap_seconds": 2})
    assert rotated.body["old_secret_expires_at"] is not None
    assert await office.works(made["key"])
    assert await office.works(rotated.body["key"])
    changed = await owner.call("PATCH", path, {"quota": "1"})
    old = await office.record(made["key"])
    assert old is not None
    assert (old.caps.quota_uusd, old.version) == (1_000_000, changed.body["version"])

    async def swept() -> bool:
        rows = await office.rows("select old_key_hash from api_keys where id = $1", made["id"])
        left = await office.rows(
            "select from retired_secrets where key_id = $1 and not buried", made["id"]
        )
        return rows[0]["old_key_hash"] is None and not left

    await eventually(swept)
    old = await office.record(made["key"])
    assert old is not None
    assert not old.enabled
    assert await office.works(rotated.body["key"])
    assert (await owner.call("GET", path)).body["old_secret_expires_at"] is None


@pytest.mark.parametrize("end", ["rotate", "disable", "delete"])
async def test_an_overlap_is_ended(office: Office, end: str) -> None:
    owner = await office.person(await office.org(), "owner")
    made = await owner.make()
    path = f"/{made['id']}"
    second = await owner.call("POST", f"{path}/rotate", {"overlap_seconds": 86_400})
    assert await office.works(made["key"])
    match end:
        case "rotate":
            await owner.call("POST", f"{path}/rotate", {"overlap_seconds": 60})
            assert await office.works(second.body["key"])
        case "disable":
            await owner.call("PATCH", path, {"status": "disabled"})
            await owner.call("PATCH", path, {"status": "active"})
            assert await office.works(second.body["key"])
        case _:
            await owner.call("DELETE", path)
            assert not await office.works(second.body["key"])
    assert not await office.works(made["key"])


async def test_an_overlap_outlives_the_loss_of_redis(office: Office) -> None:
    owner = await office.person(await office.org(), "owner")
    made = await owner.make()
    first = await owner.call("POST", f"/{made['id']}/rotate")
    second = await owner.call("POST", f"/{made['id']}/rotate", {"overlap_seconds": 600})
    await office.rig.pipe.command("FLUSHALL")
    await eventually(lambda: office.works(second.body["key"]), within_s=20)
    assert await office.works(first.body["key"])
    assert not await office.works(made["key"])


async def test_of_rotations_at_once_one_secret_is_left(office: Office) -> None:
    owner = await office.person(await office.org(), "owner")
    made = await owner.make()
    answers = await asyncio.gather(*(owner.call("POST", f"/{made['id']}/rotate") for _ in range(6)))
    last = max(answers, key=lambda answer: int(answer.body["version"])).body["key"]
    secrets_given = [made["key"], *(answer.body["key"] for answer in answers)]
    assert len(set(secrets_given)) == 7
    assert [secret for secret in secrets_given if await office.works(secret)] == [last]
    assert (await owner.call("GET", f"/{made['id']}/reveal")).body["key"] == last


async def test_a_rotation_that_redis_did_not_hear_of_is_carried_over(office: Office) -> None:
    """Whoever rotated may die before Redis knows: any ledger finishes it."""
    owner = await office.person(await office.org(), "owner")
    made = await owner.make()
    deaf = ScriptPipe("redis://127.0.0.1:1", SCRIPTS)
    books = dataclasses.replace(office.rig.books, projector=Projector(deaf, office.rig.bus))
    first = await rotate_key(books, made["id"], overlap_s=600)
    second = await rotate_key(books, made["id"], overlap_s=600)
    assert first.secret is not None
    assert second.secret is not None
    await eventually(partial(office.works, second.secret), within_s=3)
    assert await office.works(first.secret)
    assert not await office.works(made["key"])

    await carry_key(office.rig.books, first.row)  # what it was before, arriving late
    assert not await office.works(made["key"])
    assert await office.works(first.secret)
    record = await office.record(first.secret)
    assert record is not None
    assert record.version == second.row.version


async def test_an_old_memory_of_redis_brings_no_secret_back(office: Office) -> None:
    owner = await office.person(await office.org(), "owner")
    rotated, deleted, overlapping = [await owner.make() for _ in range(3)]
    pipe = office.rig.pipe
    names = [key_record_name(key_hash(made["key"])) for made in (rotated, deleted, overlapping)]
    memory = [(name, await pipe.command("GET", name)) for name in names]
    await owner.call("POST", f"/{rotated['id']}/rotate")
    await owner.call("DELETE", f"/{deleted['id']}")
    await owner.call("POST", f"/{overlapping['id']}/rotate", {"overlap_seconds": 600})

    for name, text in memory:
        await pipe.command("SET", name, text)
    assert await office.works(rotated["key"]), "the memory is as it was"
    assert await office.rig.rebuilder.rebuild()
    assert not await office.works(rotated["key"])
    assert not await office.works(deleted["key"])
    assert await office.works(overlapping["key"])
    record = await office.record(overlapping["key"])
    assert record is not None
    assert record.expires_ms is not None


async def test_a_secret_is_never_used_twice(office: Office) -> None:
    """Whatever it was to whomever: current, in overlap, retired, deleted."""
    owner = await office.person(await office.org(), "owner")
    stranger = await office.person(await office.org(), "owner")

    async def refused(secret: str) -> None:
        for person in (owner, stranger):
            answer = await person.call("POST", "", {"name": "x", "custom_key": secret})
            assert answer.error == (409, "conflict", "custom_key")

    custom = f"custom-{secrets.token_hex(12)}"
    made = await owner.make(custom_key=custom)
    await refused(custom)
    second = (await owner.call("POST", f"/{made['id']}/rotate", {"overlap_seconds": 60})).body
    await refused(custom)
    await owner.call("POST", f"/{made['id']}/rotate")
    await refused(custom)
    await refused(second["key"])
    await owner.call("DELETE", f"/{made['id']}")
    await refused(custom)


async def test_bad_rotations_are_refused(office: Office) -> None:
    owner = await office.person(await office.org(), "owner")
    for body in ({"overlap_seconds": -1}, {"overlap_seconds": 86_401}, {"overlap_seconds": 1.5}):
        answer = await owner.call("POST", f"/{owner.key_id}/rotate", body)
        assert answer.error == (400, "invalid_request", "overlap_seconds")
    assert (await owner.call("POST", f"/{owner.key_id}/rotate", {"overlap": 1})).status == 400
    made = await owner.make()
    await owner.call("DELETE", f"/{made['id']}")
    assert (await owner.call("POST", f"/{made['id']}/rotate")).status == 404
    assert (await owner.call("GET", f"/{made['id']}/reveal")).status == 404


async def test_reveal_needs_an_encryption_key(office: Office) -> None:
    owner = await office.person(await office.org(), "owner")
    sealed = await owner.make()
    async with office.beside(None) as without:
        there = owner.at(without)
        answer = await there.call("GET", f"/{sealed['id']}/reveal")
        assert answer.error[:2] == (409, "reveal_disabled")
        unsealed = await there.make(name="unsealed")
        wanted = {"name": "once"}
        first = await there.call("POST", "", wanted, Idempotency_Key="n")
        again = await there.call("POST", "", wanted, Idempotency_Key="n")
        assert (first.status, again.status, again.body["key"]) == (201, 200, None)
        assert again.body["id"] == first.body["id"]
        stale = await owner.make(name="rotated where nothing is kept")
        await there.call("POST", f"/{stale['id']}/rotate")
        assert (await without.call("POST", "/api/v1/admin/secrets/rewrap")).status == 409
    for made in (unsealed, stale):
        answer = await owner.call("GET", f"/{made['id']}/reveal")
        assert answer.error[:2] == (409, "reveal_disabled")
    rotated = (await owner.call("POST", f"/{unsealed['id']}/rotate")).body
    answer = await owner.call("GET", f"/{unsealed['id']}/reveal")
    assert answer.body["key"] == rotated["key"]


async def test_the_encryption_key_changes(office: Office) -> None:
    owner = await office.person(await office.org(), "owner")
    custom = f"custom-{secrets.token_hex(12)}"
    made = [await owner.make(custom_key=custom), *[await owner.make() for _ in range(6)]]
    path, new_key = f"/{made[0]['id']}/reveal", mint_encryption_key()
    async with office.beside(new_key) as only_new:
        answer = await owner.at(only_new).call("GET", path)
        assert answer.error[:2] == (409, "reveal_disabled")
        assert KEK.partition(":")[0] in answer.body["error"]["message"]
        done = (await only_new.call("POST", "/api/v1/admin/secrets/rewrap?limit=200")).body
        assert done["rewrapped"] == 0
        assert done["failed"] == done["remaining"] > 0

    sealed = "select owner_id, sealed from sealed_secrets order by owner_id"
    before = await office.rows(sealed)
    async with office.beside(f"{new_key},{KEK}") as both:
        cursor: str | None = ""
        batches = 0
        while cursor is not None:
            query = f"?limit=5&cursor={cursor}"
            done = (await both.call("POST", f"/api/v1/admin/secrets/rewrap{query}")).body
            assert done["failed"] == 0
            cursor, batches = done["next_cursor"], batches + 1
        assert (done["remaining"], batches) == (0, len(before) // 5 + 1)
    assert before == await office.rows(sealed)
    async with office.beside(new_key) as only_new:
        assert (await owner.at(only_new).call("GET", path)).body["key"] == custom
    assert (await owner.call("GET", path)).error[:2] == (409, "reveal_disabled")
    log = await office.rows("select target from audit_log where action = 'secrets.rewrap'")
    assert {row["target"] for row in log} == {new_key.partition(":")[0]}


async def test_a_damaged_secret_is_said_to_be_one(office: Office) -> None:
    owner = await office.person(await office.org(), "owner")
    one, other = await owner.make(), await owner.make()
    await office.execute(
        """update sealed_secrets as mine set sealed = theirs.sealed, wrapped = theirs.wrapped
           from sealed_secrets as theirs where mine.owner_id = $1 and theirs.owner_id = $2""",
        one["id"],
        other["id"],
    )
    answer = await owner.call("GET", f"/{one['id']}/reveal")
    assert answer.error[:2] == (500, "internal_error")
    assert other["key"] not in str(answer.body)
