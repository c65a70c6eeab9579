"""The canonical line: one JSON object with the fields every line has, and the service's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[3]
_PROGRAM = """
from bytespike_runtime.logs import RequestLine, configure_logs, log_request
class Line(RequestLine):
    request_id: str
    status: int
    model: str | None = None
sink = configure_logs("edge", {level!r}, log_format={form!r})
log_request(Line(request_id='req_"1', status=200))
sink.flush()
"""


def _output(level: str, form: str) -> str:
    program = _PROGRAM.format(level=level, form=form)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(_ROOT / "shared")},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_line_is_one_json_object() -> None:
    (line,) = _output("info", "json").splitlines()
    fields = json.loads(line)
    assert fields.pop("at").endswith("+00:00")
    assert fields == {
        "level": "info",
        "service": "edge",
        "event": "request",
        "request_id": 'req_"1',
        "status": 200,
        "model": None,
    }


def test_on_a_terminal_it_is_for_people() -> None:
    output = _output("info", "pretty")
    assert "request" in output
    assert "status" in output
    assert not output.startswith("{")


@pytest.mark.parametrize("level", ["warning", "error"])
def test_it_is_a_line_of_level_info(level: str) -> None:
    assert _output(level, "json") == ""
