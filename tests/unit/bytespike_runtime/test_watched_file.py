"""A watched file: what is taken over, what is refused, and what stays in force meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bytespike_runtime.watched_file import WatchedFile
from tests.support.raw_http import eventually


class Watch:
    """A file with a number in it, watched."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: list[bool] = []
        path.write_text("1")
        self.file = WatchedFile(str(path), int, name="number", on_result=self.results.append)


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path / "number")


def test_an_unchanged_file_is_left_alone(watch: Watch) -> None:
    watch.file.reload_if_changed()
    assert (watch.file.current, watch.results) == (1, [])


def test_a_changed_file_is_taken_over_once(watch: Watch) -> None:
    watch.path.write_text("22")
    watch.file.reload_if_changed()
    watch.file.reload_if_changed()
    assert (watch.file.current, watch.results) == (22, [True])


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_seen(watch: Watch) -> None:
    before = watch.path.stat()
    other = watch.path.with_name("other")
    other.write_text("2")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(watch.path)
    watch.file.reload_if_changed()
    assert watch.file.current == 2


def test_two_writes_within_one_tick_are_both_seen(watch: Watch) -> None:
    """Same inode, same size, same time: only the content tells them apart."""
    watch.path.write_text("2")
    status = watch.path.stat()
    watch.file.reload_if_changed()
    watch.path.write_text("3")
    os.utime(watch.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    watch.file.reload_if_changed()
    assert (watch.file.current, watch.results) == (3, [True, True])


def test_a_link_turned_to_another_folder_is_followed(tmp_path: Path) -> None:
    """How Kubernetes changes a mounted ConfigMap: the folder behind the link is another one."""
    for name in ("1", "2"):
        (tmp_path / f"..{name}").mkdir()
        (tmp_path / f"..{name}" / "number").write_text(name)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "number").symlink_to("..data/number")
    results: list[bool] = []
    file = WatchedFile(str(tmp_path / "number"), int, name="number", on_result=results.append)
    file.reload_if_changed()
    assert (file.current, results) == (1, [])
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    file.reload_if_changed()
    assert (file.current, results) == (2, [True])


async def test_a_change_is_in_force_within_a_second(watch: Watch) -> None:
    running = asyncio.create_task(watch.file.run())
    await asyncio.sleep(0)
    replacement = watch.path.with_name("replacement")
    replacement.write_text("7")
    written = time.monotonic()
    replacement.rename(watch.path)
    await eventually(lambda: watch.file.current == 7)
    assert time.monotonic() - written < 1
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("not a number"),
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: path.unlink(),
    ],
)
def test_the_last_good_content_stays(watch: Watch, spoil: Callable[[Path], object]) -> None:
    spoil(watch.path)
    watch.file.reload_if_changed()
    watch.file.reload_if_changed()  # the same bad content is not news
    assert (watch.file.current, watch.results) == (1, [False])
    watch.path.write_text("333")
    watch.file.reload_if_changed()
    assert (watch.file.current, watch.results) == (333, [False, True])


def test_without_first_content_there_is_nothing_to_watch(tmp_path: Path) -> None:
    path = tmp_path / "number"
    with pytest.raises(FileNotFoundError):
        WatchedFile(str(path), int, name="number", on_result=print)
    path.write_text("x")
    with pytest.raises(ValueError, match="invalid literal"):
        WatchedFile(str(path), int, name="number", on_result=print)


async def test_a_hangup_reloads_at_once(watch: Watch) -> None:
    running = asyncio.create_task(watch.file.run())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGHUP)
    await eventually(lambda: bool(watch.results))
    running.cancel()
    await asyncio.wait([running])
    assert watch.results == [True]
