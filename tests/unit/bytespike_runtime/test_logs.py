"""Logs: one JSON object per line, written late but never lost, and without secrets."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bytespike_runtime.logs import LineSink, redact
from bytespike_runtime.settings import Secret
from tests.support.raw_http import eventually
from tests.tidy.tree import ROOT


class Pipe:
    """A pipe whose written lines can be read without waiting."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 1 << 18)  # more than a buffer of the sink
        os.set_blocking(self.reader, False)
        self.seen = b""

    def text(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            self.seen += os.read(self.reader, 1 << 20)
        return self.seen

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


async def test_lines_wait_together_and_leave_in_one_write(pipe: Pipe) -> None:
    sink = LineSink(pipe.writer)
    for number in range(3):
        sink.info(b"%d\n" % number)
    assert pipe.text() == b""
    await eventually(lambda: pipe.text() == b"0\n1\n2\n", within_s=2)


async def test_a_warning_takes_earlier_lines_along_at_once(pipe: Pipe) -> None:
    sink = LineSink(pipe.writer)
    sink.info(b"first\n")
    sink.warning(b"second\n")
    assert pipe.text() == b"first\nsecond\n"


async def test_a_full_buffer_does_not_wait(pipe: Pipe) -> None:
    sink = LineSink(pipe.writer)
    sink.info(b"x" * 40_000 + b"\n")
    assert pipe.text() == b""
    sink.info(b"y" * 20_000 + b"\n" + b"z" * 5_600 + b"\n")
    assert len(pipe.text()) > 0


def test_without_a_loop_a_line_is_written_at_once(pipe: Pipe) -> None:
    LineSink(pipe.writer).info(b"start\n")
    assert pipe.text() == b"start\n"


async def test_lines_from_other_threads_arrive_whole(pipe: Pipe) -> None:
    sink = LineSink(pipe.writer)

    def write(line: bytes) -> None:
        for _ in range(50):
            sink.info(line)

    async with asyncio.TaskGroup() as group:
        for name in (b"a", b"b"):
            group.create_task(asyncio.to_thread(write, name * 50 + b"\n"))
    lines = pipe.text().splitlines()
    assert sorted(lines) == [b"a" * 50] * 50 + [b"b" * 50] * 50


def test_a_reader_that_left_does_not_stop_the_service() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    LineSink(writer).error(b"nobody hears this\n")
    os.close(writer)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("authorization", "Basic dTpw"),
        ("x-api-key", "anything"),
        ("internal_token", "anything"),
        ("password", b"bytes"),
        ("client_secret", "anything"),
        ("note", "key sk-byts-AAAAAAAAAAAA leaked"),
        ("note", "redis://user:hunter2@cache:6379/0"),
        ("note", "nats://:hunter2@bus:4222"),
        ("note", "sent Bearer hunter2hunter2"),
        ("nested", {"headers": [{"Authorization": "hunter2"}]}),
        ("error", ValueError("bad sk-ant-api03-AAAAAAA")),
        ("setting", Secret("hunter2")),
    ],
)
def test_secrets_are_masked_wherever_they_are(name: str, value: object) -> None:
    shown = repr(redact(None, "info", {"event": "x", name: value}))
    assert "***" in shown
    for secret in ("hunter2", "anything", "dTpw", "AAAAAAA", "b'bytes'"):
        assert secret not in shown


def test_what_is_no_secret_stays() -> None:
    event: dict[str, Any] = {
        "event": "request",
        "input_tokens": 12,
        "time_to_first_token_ms": 3.5,
        "url": "http://127.0.0.1:8080/v1",
        "key_id": "key_01J",
        "counts": {"output_tokens": 5},
    }
    assert redact(None, "info", dict(event)) == event


PROGRAM = """
import asyncio, logging, sys
from bytespike_runtime.logs import configure_logs, get_logger
log = get_logger()
configure_logs("edge", "info", log_format=sys.argv[1])
log.debug("unheard")
async def main():
    log.info("request", status=200, event_bytes=b"x", at_odds={1, 1})
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("boom", token="hunter2")
    logging.getLogger("driver").warning("from %s", "sk-byts-AAAAAAAA")
    logging.getLogger("driver").info("unheard")
    log.info("last")
asyncio.run(main())
"""


def run_program(log_format: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, log_format],
        env={"PYTHONPATH": str(ROOT / "shared")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "hunter2" not in done.stdout
    assert "unheard" not in done.stdout
    return done.stdout


def test_a_process_logs_json_lines_up_to_its_last() -> None:
    lines = [json.loads(line) for line in run_program("auto").splitlines()]
    assert [line["event"] for line in lines] == ["request", "boom", "from ***", "last"]
    assert [line["level"] for line in lines] == ["info", "error", "warning", "info"]
    assert {line["service"] for line in lines} == {"edge"}
    assert lines[0]["status"] == 200
    assert "ZeroDivisionError" in lines[1]["exception"]
    assert lines[2]["logger"] == "driver"


def test_a_human_gets_text() -> None:
    text = run_program("pretty")
    assert "request" in text
    assert not text.startswith("{")
