"""Children are stopped as asked, killed when deaf, and mourned with the end of their log."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from bytespike_cli.home import Home
from bytespike_cli.processes import Child, ChildFailed

_DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
"""


def _child(home: Path, code: str) -> Child:
    return Child("child", [sys.executable, "-c", code], home=Home(home))


async def _up(child: Child) -> None:
    async def says_up() -> bool:
        return "up" in child.log_path.read_text()

    await child.ready(says_up, timeout_s=10)


async def test_a_deaf_child_is_killed_after_its_grace(tmp_path: Path) -> None:
    child = _child(tmp_path, _DEAF)
    child.spawn()
    await _up(child)
    began = time.monotonic()
    await child.stop(grace_s=0.2)
    assert time.monotonic() - began < 5
    assert child.exit_code == -signal.SIGKILL
    assert list((tmp_path / "run").iterdir()) == []


async def test_a_child_that_ends_early_is_reported_with_its_last_words(tmp_path: Path) -> None:
    child = _child(tmp_path, "print('no money'); raise SystemExit(3)")
    child.spawn()

    async def never() -> bool:
        return False

    with pytest.raises(ChildFailed, match=r"child exited with 3;[\s\S]*no money"):
        await child.ready(never, timeout_s=10)


async def test_a_child_that_never_gets_ready_is_reported(tmp_path: Path) -> None:
    child = _child(tmp_path, _DEAF)
    child.spawn()

    async def never() -> bool:
        return False

    with pytest.raises(ChildFailed, match="not ready after 0 s"):
        await child.ready(never, timeout_s=0.1)
    child.kill()
    assert "SIGKILL" in child.obituary()


async def test_a_restart_goes_on_in_the_same_log(tmp_path: Path) -> None:
    marker = tmp_path / "second-life"
    code = f"from pathlib import Path; print(Path({str(marker)!r}).exists(), 'up', flush=True)"
    child = _child(tmp_path, f"{code}; import time; time.sleep(60)")
    child.spawn()
    await _up(child)
    child.kill()
    marker.touch()
    child.spawn()

    async def says_true() -> bool:
        return "True up" in child.log_tail()

    await child.ready(says_true, timeout_s=10)
    await child.stop(grace_s=10)
    assert child.log_path.read_text().split() == ["False", "up", "True", "up"]
    assert child.log_tail() == "  True up"


async def test_stopping_what_never_ran_is_fine(tmp_path: Path) -> None:
    child = _child(tmp_path, "")
    await child.stop(grace_s=1)
    child.kill()
    with pytest.raises(RuntimeError, match="never started"):
        _ = child.pid
