"""The process: ready line, port conflict, clean end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import pytest

from bytespike_cli.simulator import main
from tests.support.stack import clean_environment


def test_it_says_when_it_is_ready_and_ends_on_sigterm() -> None:
    argv = [sys.executable, "-m", "bytespike_cli.simulator", "--port", "0"]
    with subprocess.Popen(
        argv,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline().startswith("simulator ready on http://127.0.0.1:")
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=10) == 0
        assert child.stderr.read() == ""


def test_a_taken_port_is_a_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    assert f"port {port} is in use" in capsys.readouterr().err
