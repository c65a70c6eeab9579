"""A file that may change under a running process: the last good content stays in force.

New content is parsed as a whole before it replaces the old in one assignment; what cannot be read
or parsed is refused, logged and counted, and not tried again until the file changes once more.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from bytespike_runtime.logs import get_logger

__all__ = ["WatchedFile"]

#: A changed file is promised to be in force within a second, on a busy machine too; after a SIGHUP
#: at once. One look is a ``stat`` of some microseconds.
_POLL_S = 0.25
#: File systems tell time in ticks: two writes within one look the same. A file this young when it
#: was read is read once more at the next look.
_YOUNG_NS = 50_000_000

_log = get_logger()

T = TypeVar("T")
#: Time of the last change in nanoseconds, size, inode.
_Stamp: TypeAlias = tuple[int, int, int]


class WatchedFile(Generic[T]):
    """``current`` is always what ``parse`` made of the last good content.

    The path may be rewritten, replaced by a rename, or lead through a symbolic link that is turned
    to another folder, as Kubernetes does with its volumes.

    ``parse`` raises ``ValueError`` for content it refuses; the text of that error is logged, so it
    must hold no secret. ``on_result`` hears after each reload whether the content was good, and
    finds it in force. Construction raises what ``parse`` raises, or ``OSError``: a process without
    its first good content has nothing to serve.
    """

    def __init__(
        self,
        path: str,
        parse: Callable[[str], T],
        *,
        name: str,
        on_result: Callable[[bool], None],
    ) -> None:
        self._path = Path(path)
        self._parse = parse
        self._name = name
        self._on_result = on_result
        self._seen: _Stamp | None = None
        self._digest = b""
        self.current: T = parse(self._read())

    async def run(self) -> None:
        """Reload when the file changes and on SIGHUP. Runs until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        try:
            while True:
                await asyncio.sleep(_POLL_S)
                self.reload_if_changed()
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    def reload_if_changed(self) -> None:
        """Take over the file if it says something else than when last read."""
        if self._seen is None or self._stamp() != self._seen:
            self._take_over(even_if_same=False)

    def reload(self) -> None:
        """Take over the file, changed or not. Parsing takes milliseconds, so the loop can wait."""
        self._take_over(even_if_same=True)

    def _take_over(self, *, even_if_same: bool) -> None:
        before = self._digest
        try:
            text = self._read()
            if self._digest == before and not even_if_same:
                return
            self.current = self._parse(text)
        except (OSError, ValueError) as error:
            if self._digest != before or even_if_same:
                _log.error("refused; the last good one stays", file=self._name, reason=str(error))
                self._on_result(False)
            return
        _log.info("taken over", file=self._name)
        self._on_result(True)

    def _read(self) -> str:
        """The content. Sets what is known of it, also if there is none or it is no text."""
        self._digest = b"nothing to read"
        self._seen = self._stamp()
        content = self._path.read_bytes()
        self._digest = hashlib.blake2b(content, digest_size=16).digest()
        # Written meanwhile or just before: what was read may be half of it, so look again.
        young = self._seen is not None and time.time_ns() - self._seen[0] < _YOUNG_NS
        if young or self._stamp() != self._seen:
            self._seen = None
        return content.decode("utf-8")

    def _stamp(self) -> _Stamp | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
