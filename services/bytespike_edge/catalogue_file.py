"""The catalogue as a file that may change under a running process.

A new file is validated as a whole before it replaces the old catalogue in one assignment; a bad one
is refused, counted and logged, and the last good one stays in force.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from bytespike_contracts.catalogue import Catalogue, CatalogueError, parse_catalogue
from bytespike_runtime.logs import get_logger

__all__ = ["CatalogueFile"]

_log = get_logger()


class CatalogueFile:
    """``current`` is always a valid catalogue. Construction raises ``CatalogueError`` or
    ``OSError``: a process without a catalogue has nothing to serve.
    """

    def __init__(
        self, path: str, env: Mapping[str, str], *, on_read: Callable[[bool], None]
    ) -> None:
        self._path = Path(path)
        self._env = env
        self._on_read = on_read
        self._seen = self._stamp()
        self.current: Catalogue = parse_catalogue(self._path.read_text("utf-8"), env)

    async def poll(self) -> None:
        """A turn of the reload loop; parsing takes milliseconds, so the event loop can wait."""
        self.reload_if_changed()

    def reload_if_changed(self) -> None:
        """Take over the file if it is another one than last seen."""
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return
            self._seen = stamp
            catalogue = parse_catalogue(self._path.read_text("utf-8"), self._env)
        except (OSError, UnicodeDecodeError, CatalogueError) as error:
            problems = getattr(error, "problems", [str(error)])
            _log.error("catalogue refused; the last good one stays", problems=problems[:20])
            self._on_read(False)
            return
        self.current = catalogue
        _log.info("catalogue taken over", revision=catalogue.revision)
        self._on_read(True)

    def _stamp(self) -> tuple[int, int, int]:
        status = os.stat(self._path)
        return status.st_mtime_ns, status.st_size, status.st_ino
