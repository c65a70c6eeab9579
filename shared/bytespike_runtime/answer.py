"""A whole answer in one write, without the framework's work on headers.

``web.Response`` copies headers into a multi-dict, looks for the ones it may add, serialises them
and joins head and body: about two thirds of what answering costs. Our answers are complete when
they are made, so the head is put together once, here. What a header may not contain is still
checked.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from aiohttp import HttpVersion10, web
from aiohttp.abc import AbstractStreamWriter

__all__ = ["WholeAnswer"]

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class WholeAnswer(web.StreamResponse):
    """Status, headers and body of one answer. ``Content-Length``, ``Date`` and ``Connection`` are
    added; the caller names everything else, its ``Content-Type`` included. ``body`` is not sent in
    answer to a HEAD.
    """

    def __init__(self, *, status: int = 200, headers: Mapping[str, str], body: bytes) -> None:
        """Raises ``ValueError`` for a header that would break out of its line."""
        super().__init__(status=status)
        self.fields = headers
        self.body = body
        named = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        # One line end for each header and no other: nothing was smuggled in by a value.
        ends = len(headers)
        if named.count("\n") != ends or named.count("\r") != ends or "\0" in named:
            raise ValueError("a response header contains a line end")
        self._named = named

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Send all of it (called by the server). Raises ``ConnectionError`` if the client left."""
        writer = self._payload_writer
        if writer is not None:
            return writer
        self._req, self._payload_writer = request, request.writer
        if self._keep_alive is None:
            self._keep_alive = request.keep_alive
        body = b"" if request.method == "HEAD" else self.body
        await request.writer.write(self._head(request) + body)
        self._eof_sent = True
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to send."""

    def _head(self, request: web.BaseRequest) -> bytes:
        connection = ""
        if not self._keep_alive:
            connection = "Connection: close\r\n"
        elif request.version == HttpVersion10:
            connection = "Connection: keep-alive\r\n"
        head = (
            f"HTTP/1.1 {self.status} {_REASONS.get(self.status, '')}\r\n{self._named}"
            f"Content-Length: {len(self.body)}\r\nDate: {_date(int(time.time()))}\r\n"
            f"{connection}\r\n"
        )
        return head.encode("utf-8", "surrogateescape")


@lru_cache(maxsize=2)  # the date changes once a second
def _date(now_s: int) -> str:
    return formatdate(now_s, usegmt=True)
