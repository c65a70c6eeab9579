"""A home is private, keeps its secrets, and belongs to one run at a time."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bytespike_cli.home import Home, HomeBusy, write_private
from tests.support.stack import clean_environment


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_and_secrets_are_private(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home")
    home.secret("redis")
    assert _mode(home.root) == 0o700
    assert _mode(home.secret_path("redis")) == 0o600


def test_a_secret_is_made_once_and_differs_from_others(tmp_path: Path) -> None:
    first = Home(tmp_path).secret("redis")
    assert len(first) >= 32
    assert Home(tmp_path).secret("redis") == first
    assert Home(tmp_path).secret("nats") != first


def test_a_second_process_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.lock()
    code = (
        "import sys; from pathlib import Path; from bytespike_cli.home import Home\n"
        "Home(Path(sys.argv[1])).lock()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    second = subprocess.run(
        command, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert second.returncode != 0
    assert f"in use by process {os.getpid()}" in second.stderr
    home.unlock()
    assert subprocess.run(command, env=clean_environment(), check=False).returncode == 0


def test_the_lock_is_one_per_home_also_within_a_process(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.lock()
    with pytest.raises(HomeBusy, match="BYTESPIKE_HOME"):
        Home(tmp_path).lock()
    home.unlock()
    successor = Home(tmp_path)
    successor.lock()
    successor.unlock()


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    path.write_text("old and world-readable")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert _mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]
