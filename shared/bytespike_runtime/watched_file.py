"""A file that may change under a running process: the last good content stays in force.

New content is parsed as a whole before it replaces the old in one assignment; what cannot be read
or parsed is refused, logged and counted, and not tried again until the file changes once more.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from bytespike_runtime.logs import get_logger

__all__ = ["WatchedFile"]

#: A changed file is in force within this time; after a SIGHUP at once.
_POLL_S = 2.0

_log = get_logger()

T = TypeVar("T")


class WatchedFile(Generic[T]):
    """``current`` is always what ``parse`` made of the last good content.

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
        self._seen = self._stamp()
        self.current: T = parse(self._path.read_text("utf-8"))

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
        """Take over the file if it is another one than last seen."""
        if self._stamp() != self._seen:
            self.reload()

    def reload(self) -> None:
        """Take over the file, changed or not. Parsing takes milliseconds, so the loop can wait."""
        self._seen = self._stamp()
        try:
            self.current = self._parse(self._path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            _log.error("refused; the last good one stays", file=self._name, reason=str(error))
            self._on_result(False)
            return
        _log.info("taken over", file=self._name)
        self._on_result(True)

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
