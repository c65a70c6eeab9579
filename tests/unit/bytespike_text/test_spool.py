"""The spool: what was appended comes out once, in order, whatever was killed or damaged."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from bytespike_contracts.settlement import Outcome
from bytespike_contracts.subjects import usage_subject
from bytespike_contracts.usage import UsageEvent
from bytespike_text import spool as spool_module
from bytespike_text.spool import Journal, Position, Spool, SpoolError, adopt_orphans


def event(number: int) -> UsageEvent:
    return UsageEvent(
        request_id=f"req_{number:04d}",
        account_id=f"acct_{number % 3}",
        key_id="key_1",
        group="default",
        model="m",
        dialect="anthropic",
        price_revision="r",
        admitted_ms=1,
        finished_ms=2,
        status=200,
        outcome=Outcome.COMPLETED,
        hold_uusd=10,
        charge_uusd=number,
    )


def open_spool(root: Path, name: str = "one", limit_bytes: int = 1 << 20) -> Spool:
    return Spool.create(root, name, limit_bytes=limit_bytes)


def numbers(journal: Journal) -> list[int]:
    """Everything left in a journal, in order, acknowledging as it goes."""
    found = []
    while (batch := journal.read(7)).end != batch.start:
        found += [
            msgspec.json.decode(line.event, type=UsageEvent).charge_uusd for line in batch.lines
        ]
        journal.acknowledge(batch.end)
    return found


def abandoned(root: Path, name: str, count: int) -> Path:
    """A folder whose owner died without closing anything but its lock."""
    spool = open_spool(root, name)
    for number in range(count):
        spool.append(event(number))
    os.close(spool._lock_fd)
    return spool.folder


def test_events_come_out_in_order_with_their_subjects(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    for number in range(20):
        spool.release(spool.append(event(number)))
    batch = spool.read_released(64)
    assert [line.subject for line in batch.lines] == [
        usage_subject(f"acct_{number % 3}") for number in range(20)
    ]
    assert numbers(spool) == list(range(20))


def test_an_event_waits_for_its_release_and_holds_back_later_ones(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    first, second = spool.append(event(1)), spool.append(event(2))
    spool.release(second)
    assert spool.read_released(64).lines == []
    spool.release(first)
    assert len(spool.read_released(64).lines) == 2


def test_acknowledged_events_are_forgotten_and_counted_down(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    for number in range(5):
        spool.release(spool.append(event(number)))
    assert spool.pending_events == 5
    batch = spool.read_released(3)
    spool.settle_batch(batch)
    assert (spool.pending_events, len(spool.read_released(64).lines)) == (2, 2)
    spool.settle_batch(spool.read_released(64))
    assert (spool.pending_events, spool.pending_bytes) == (0, 0)


def test_segments_roll_and_published_ones_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 1000)
    spool = open_spool(tmp_path)
    for number in range(30):
        spool.release(spool.append(event(number)))
    segments = len(list(spool.folder.glob("*.events")))
    assert segments > 5
    assert numbers(spool) == list(range(30))
    assert len(list(spool.folder.glob("*.events"))) == 1


def test_a_full_spool_says_so_until_it_is_published(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, limit_bytes=500)
    while not spool.full:
        spool.release(spool.append(event(1)))
    assert spool.pending_events == 2
    spool.settle_batch(spool.read_released(64))
    assert not spool.full


def test_a_dead_processs_events_are_adopted_once(tmp_path: Path) -> None:
    folder = abandoned(tmp_path, "dead", 10)
    alive = open_spool(tmp_path, "alive")
    alive.append(event(99))
    (orphan,) = adopt_orphans(tmp_path)
    assert adopt_orphans(tmp_path) == []
    assert orphan.name == "dead"
    assert numbers(orphan) == list(range(10))
    orphan.remove()
    assert not folder.exists()


def test_an_adopted_spool_goes_on_where_it_was_published(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, "dead")
    for number in range(10):
        spool.release(spool.append(event(number)))
    spool.settle_batch(spool.read_released(4))
    os.close(spool._lock_fd)
    (orphan,) = adopt_orphans(tmp_path)
    assert numbers(orphan) == list(range(4, 10))


@pytest.mark.parametrize("torn_bytes", [1, 20, 100])
def test_a_torn_tail_is_dropped(tmp_path: Path, torn_bytes: int) -> None:
    folder = abandoned(tmp_path, "dead", 3)
    (segment,) = folder.glob("*.events")
    os.truncate(segment, segment.stat().st_size - torn_bytes)
    (orphan,) = adopt_orphans(tmp_path)
    assert numbers(orphan) == [0, 1]


def test_a_damaged_line_is_counted_and_skipped(tmp_path: Path) -> None:
    folder = abandoned(tmp_path, "dead", 3)
    (segment,) = folder.glob("*.events")
    data = bytearray(segment.read_bytes())
    data[data.find(b"req_0001") + 7] ^= 1
    segment.write_bytes(data)
    (orphan,) = adopt_orphans(tmp_path)
    batch = orphan.read(64)
    assert (len(batch.lines), batch.torn) == (2, 1)
    assert numbers(orphan) == [0, 2]


def test_a_damaged_offset_file_repeats_rather_than_loses(tmp_path: Path) -> None:
    folder = abandoned(tmp_path, "dead", 3)
    (folder / "published").write_bytes(b"garbage")
    (orphan,) = adopt_orphans(tmp_path)
    assert numbers(orphan) == [0, 1, 2]


def test_a_disk_that_refuses_is_reported_and_found_well_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool(tmp_path)
    spool.release(spool.append(event(1)))
    with monkeypatch.context() as broken:
        # Standing in for the kernel, not for code of ours: no test can fill a disk.
        broken.setattr(os, "write", lambda fd, data: os.pwrite(fd, data[:10], 0) and 10)
        with pytest.raises(SpoolError, match="full"):
            spool.append(event(2))
    before = spool.full
    spool.probe()
    assert (before, spool.full) == (True, False)
    spool.release(spool.append(event(3)))
    assert numbers(spool) == [1, 3]


def test_a_clean_end_leaves_nothing_behind(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.release(spool.append(event(1)))
    spool.settle_batch(spool.read_released(64))
    spool.close()
    assert not spool.folder.exists()
    unpublished = open_spool(tmp_path, "two")
    unpublished.append(event(2))
    unpublished.close()
    (orphan,) = adopt_orphans(tmp_path)
    assert (orphan.published, numbers(orphan)) == (Position(1, 0), [2])


def test_memory_and_disk_tell_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever of a backlog is remembered, batches are cut where the file would cut them."""
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 2_000)
    monkeypatch.setattr(spool_module, "_REMEMBERED_EVENTS", 5)
    spool = open_spool(tmp_path)
    positions = [spool.append(event(number)) for number in range(40)]
    for position in positions[:-3]:
        spool.release(position)
    found = []
    while (batch := spool.read_released(4)).end != batch.start:
        assert batch == spool.read(4, until=spool.readable_end)
        found += [msgspec.json.decode(line.event, type=UsageEvent).charge_uusd for line in batch[0]]
        spool.settle_batch(batch)
    assert found == list(range(37))
    assert spool.pending_events == 3
