"""Noting the last use of keys: in memory first, then in Redis in pieces, then taken once each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bytespike_contracts.key_uses import (
    KEY_USES,
    TAKE_KEY_USES,
    USES_PER_CALL,
    KeyUse,
    read_taken,
)
from bytespike_edge.key_uses import SCRIPTS, KeyUses
from bytespike_runtime.kv import KvUnavailable, ScriptPipe


@pytest.fixture
async def pipe(redis_url: str) -> AsyncIterator[ScriptPipe]:
    pipe = ScriptPipe(redis_url, {**SCRIPTS, "take": TAKE_KEY_USES})
    await pipe.start()
    await pipe.command("DEL", KEY_USES)
    yield pipe
    await pipe.close()


async def take(pipe: ScriptPipe, count: int = USES_PER_CALL) -> list[KeyUse]:
    return sorted(read_taken(await pipe.script("take", KEY_USES, [count])))


@pytest.mark.parametrize(
    ("seen", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("[2001:DB8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("1.2.3.4:80", "1.2.3.4"),
        ("", None),
        ("unknown", None),
        ("1.2.3.4 1 key_other 5 evil", None),
        ("1" * 10_000, None),
    ],
)
async def test_addresses_have_one_spelling(
    pipe: ScriptPipe, seen: str, address: str | None
) -> None:
    uses = KeyUses(pipe)
    uses.note("key_1", 1_000, seen)
    await uses.flush()
    assert await take(pipe) == [KeyUse("key_1", 1_000, address)]


async def test_the_last_use_wins_on_one_edge_and_between_two(pipe: ScriptPipe) -> None:
    one, other = KeyUses(pipe), KeyUses(pipe)
    one.note("key_1", 1_000, "1.1.1.1")
    one.note("key_1", 3_000, "3.3.3.3")
    other.note("key_1", 2_000, "2.2.2.2")
    await one.flush()
    await other.flush()
    assert await take(pipe) == [KeyUse("key_1", 3_000, "3.3.3.3")]
    await one.flush()
    assert await take(pipe) == [], "nothing is told twice"


async def test_many_keys_go_in_pieces_and_are_taken_in_pieces(pipe: ScriptPipe) -> None:
    uses = KeyUses(pipe)
    for number in range(2 * USES_PER_CALL + 1):
        uses.note(f"key_{number}", number + 1, "1.1.1.1")
    await uses.flush()
    taken = [await take(pipe) for _ in range(4)]
    assert [len(some) for some in taken] == [USES_PER_CALL, USES_PER_CALL, 1, 0]
    assert len({use.key_id for some in taken for use in some}) == 2 * USES_PER_CALL + 1


async def test_memory_is_bounded(pipe: ScriptPipe) -> None:
    uses = KeyUses(pipe, max_noted=2)
    for number in range(5):
        uses.note(f"key_{number}", 1, "1.1.1.1")
    uses.note("key_0", 2, "1.1.1.1")
    await uses.flush()
    assert [(use.key_id, use.at_ms) for use in await take(pipe)] == [("key_0", 2), ("key_1", 1)]


async def test_what_redis_did_not_take_is_told_later(pipe: ScriptPipe, redis_url: str) -> None:
    away = ScriptPipe("redis://127.0.0.1:1", SCRIPTS)
    uses = KeyUses(away, max_noted=3)
    for number in range(3):
        uses.note(f"key_{number}", 1, "1.1.1.1")
    await uses.flush()
    uses.note("key_1", 9, "9.9.9.9")
    with pytest.raises(KvUnavailable):
        await away.script("note_key_uses", KEY_USES, [])
    uses._pipe = pipe
    await uses.flush()
    assert [(use.key_id, use.at_ms) for use in await take(pipe)] == [
        ("key_0", 1),
        ("key_1", 9),
        ("key_2", 1),
    ]
