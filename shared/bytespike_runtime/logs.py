"""Logs: JSON lines on stdout (pretty on a terminal), one canonical line per request.

A line is cheap because many leave in one system call: informational lines wait at most 100 ms or
64 KiB, warnings and worse take everything before them along at once. What a service must never log
(credentials, prompts, completions) it must not pass here; redaction is the last line of defence,
not the first.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

__all__ = ["LineSink", "RequestLine", "configure_logs", "get_logger", "log_request", "redact"]

LogFormat = Literal["auto", "json", "pretty"]

#: A reader of the log sees a line at most this late, and a crash by SIGKILL loses at most this.
_FLUSH_AFTER_S = 0.1
_FLUSH_AT_BYTES = 65_536

_MASK = "***"


class RequestLine(msgspec.Struct, kw_only=True):
    """A service's canonical line: a subclass names the fields, all of them ids, words from closed
    sets and numbers. Being closed it needs no redaction, and it is encoded without a detour, which
    is what makes one line per request affordable.
    """


_SENSITIVE_WORDS = frozenset(
    {"authorization", "cookie", "credential", "credentials", "password", "secret", "token"}
)
_SENSITIVE_VALUE = re.compile(
    r"sk-[A-Za-z0-9_-]{6,}"  # API keys, ours and the vendors'
    r"|(?<=://)[^/@\s:]*:[^/@\s]+(?=@)"  # user:password in a URL
    r"|(?i:(?<=bearer )[^\s\"',]+)"
)
#: Deep enough for anything logged on purpose; deeper structures are cut, not walked.
_MAX_DEPTH = 4


class LineSink:
    """A buffered writer of whole lines; also the object structlog hands a finished line to.

    Inside an event loop lines are gathered; without one (start-up, threads) they leave at once.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: list[bytes] = []
        self._size = 0
        self._lock = threading.Lock()
        self._timer: asyncio.TimerHandle | None = None

    def debug(self, line: bytes) -> None:
        """Buffer a line that nobody waits for."""
        with self._lock:
            self._lines.append(line)
            self._size += len(line)
            if self._size < _FLUSH_AT_BYTES and self._will_flush():
                return
        self.flush()

    info = debug

    def error(self, line: bytes) -> None:
        """Write a line now, and with it all that came before."""
        with self._lock:
            self._lines.append(line)
        self.flush()

    warning = warn = exception = critical = fatal = error

    def flush(self) -> None:
        """Write what is buffered; lines nobody can receive any more are dropped."""
        with self._lock:
            data = memoryview(b"".join(self._lines))
            self._lines.clear()
            self._size = 0
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
            except OSError:
                return  # closed or full pipe: there is nobody to tell, and serving goes on

    def _will_flush(self) -> bool:
        """Whether a timer of the running loop will write the buffer (starts one if need be)."""
        if self._timer is not None:
            return True
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        self._timer = loop.call_later(_FLUSH_AFTER_S, self.flush)
        return True


def configure_logs(service: str, level: str, *, log_format: LogFormat = "auto") -> LineSink:
    """Send structlog and stdlib logging to stdout; returns the sink, to be flushed before an exit.

    ``level`` is one of debug, info, warning, error. The stdlib (drivers) is heard from warning up.
    """
    sink = LineSink(sys.stdout.fileno())
    atexit.register(sink.flush)
    pretty = log_format == "pretty" or (log_format == "auto" and sys.stdout.isatty())
    structlog.configure(
        processors=_pretty_processors() if pretty else _json_processors(service),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: sink,
        cache_logger_on_first_use=True,
    )
    _request_log.open(service, sink, wanted=level in ("debug", "info"), pretty=pretty)
    root = logging.getLogger()
    root.handlers[:] = [_StdlibBridge()]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    return sink


def get_logger() -> FilteringBoundLogger:
    """A logger; cheap, made once per module."""
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def log_request(line: RequestLine) -> None:
    """Write the one line of a finished request (level info)."""
    _request_log.write(line)


class _RequestLog:
    """Where canonical lines go; silent until the process has configured its logs."""

    __slots__ = ("_encode", "_head", "_pretty", "_sink")

    def __init__(self) -> None:
        self._sink: LineSink | None = None
        self._pretty = False
        self._head = b""
        self._encode = msgspec.json.Encoder().encode

    def open(self, service: str, sink: LineSink, *, wanted: bool, pretty: bool) -> None:
        self._sink = sink if wanted else None
        self._pretty = pretty
        self._head = b'","level":"info","service":"%b","event":"request",' % service.encode()

    def write(self, line: RequestLine) -> None:
        if self._sink is None:
            return
        if self._pretty:
            get_logger().info("request", **msgspec.structs.asdict(line))
            return
        at = _timestamp(time.time_ns() // 1_000_000)
        # The encoder writes an object; its opening brace gives way to the fields all lines share.
        fields = self._encode(line)[1:]
        self._sink.info(b'{"at":"' + at + self._head + fields + b"\n")


_request_log = _RequestLog()


def _timestamp(now_ms: int) -> bytes:
    """As ``isoformat`` writes it, with the part that changes once a second remembered."""
    now_s, ms = divmod(now_ms, 1000)
    return b"%b.%03d+00:00" % (_second(now_s), ms)


@lru_cache(maxsize=2)
def _second(now_s: int) -> bytes:
    return datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask values under sensitive names and anything that looks like a key, at any depth."""
    for name, value in event.items():
        if not isinstance(value, _PLAIN):
            event[name] = _MASK if _is_sensitive(name) else _scrub(value, 1)
    return event


_PLAIN = (int, float, type(None))  # cannot hold a secret: token counts, durations


@lru_cache(maxsize=1024)  # names of log fields are written in code, so there are few
def _is_sensitive(name: str) -> bool:
    lowered = name.lower().replace("-", "_")
    return "api_key" in lowered or not _SENSITIVE_WORDS.isdisjoint(lowered.split("_"))


def _scrub(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        # The cheap tests first: nearly no text holds a key, and the pattern is the dear part.
        if "sk-" in value or "://" in value or "earer " in value:
            return _SENSITIVE_VALUE.sub(_MASK, value)
        return value
    if isinstance(value, _PLAIN):
        return value
    if depth > _MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return {
            str(name): _MASK
            if _is_sensitive(str(name)) and not isinstance(item, _PLAIN)
            else _scrub(item, depth + 1)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_scrub(item, depth + 1) for item in value]
    return _scrub(str(value), depth)


def _json_processors(service: str) -> list[Processor]:
    encode = msgspec.json.Encoder().encode

    def render(_logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": method,
            "service": service,
            "event": event.pop("event", ""),
        }
        line.update(event)
        return encode(line) + b"\n"

    return [structlog.processors.format_exc_info, redact, render]


def _pretty_processors() -> list[Processor]:
    draw = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)

    def render(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        return (draw(logger, method, event) + "\n").encode()

    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        structlog.processors.format_exc_info,
        redact,
        render,
    ]


class _StdlibBridge(logging.Handler):
    """Drivers log through the stdlib; their lines get the same shape and the same redaction."""

    def emit(self, record: logging.LogRecord) -> None:
        get_logger().log(
            record.levelno,
            record.getMessage(),
            logger=record.name,
            exc_info=record.exc_info or None,
        )
