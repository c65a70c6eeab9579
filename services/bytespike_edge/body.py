"""Reading a request body: bounded in size, in time, and in what all of them hold together.

Three bounds, because each alone can be walked around: a cap per request (413), a pace (408: a
client that sends a byte a second holds memory for hours), and a budget for all bodies of the
process (503), taken by the declared length before a single byte is read.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping

from aiohttp import StreamReader, web
from multidict import istr

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_runtime.media_type import may_be_json

__all__ = ["Body", "BodyReader", "ByteBudget", "require_json"]

_CONTENT_TYPE = istr("content-type")
_CONTENT_LENGTH = istr("content-length")
_CONTENT_ENCODING = istr("content-encoding")
_EXPECT = istr("expect")

#: A client may be slow to begin with (TLS, a cold uplink); after this its pace counts.
PACE_GRACE_S = 10.0
#: zlib detects a gzip or a zlib header by itself with this window size.
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32
_DECODED = frozenset({"gzip", "x-gzip", "deflate"})


class ByteBudget:
    """Request bytes held by the whole process."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.held_bytes = 0

    def take(self, size: int) -> None:
        """Raises :class:`GatewayError` (503) if ``size`` more bytes do not fit."""
        if self.held_bytes + size > self._limit_bytes:
            raise GatewayError(
                ErrorCode.UNAVAILABLE,
                "too many request bodies are in flight; try again shortly",
                headers={"Retry-After": "1"},
            )
        self.held_bytes += size

    def give_back(self, size: int) -> None:
        """What was taken and is no longer held."""
        self.held_bytes -= size


class Body:
    """The bytes of one request and their share of the budget, until :meth:`release`."""

    __slots__ = ("_budget", "_held_bytes", "data")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._held_bytes = 0
        self.data = b""

    def hold(self, size: int) -> None:
        """Make sure that at least ``size`` bytes are accounted for."""
        if size > self._held_bytes:
            self._budget.take(size - self._held_bytes)
            self._held_bytes = size

    def fill(self, data: bytes) -> None:
        """Keep ``data`` and nothing beyond it."""
        self.hold(len(data))
        self._budget.give_back(self._held_bytes - len(data))
        self._held_bytes = len(data)
        self.data = data

    def release(self) -> None:
        """Forget the bytes. Harmless twice."""
        self._budget.give_back(self._held_bytes)
        self._held_bytes = 0
        self.data = b""


class BodyReader:
    """Reads bodies within the bounds of its settings."""

    def __init__(self, budget: ByteBudget, *, timeout_s: float, min_bytes_per_s: int) -> None:
        self._budget = budget
        self._timeout_s = timeout_s
        self._min_bytes_per_s = min_bytes_per_s

    async def read(self, request: web.BaseRequest, *, cap_bytes: int) -> Body:
        """The decoded body, to be released by the caller.

        Raises :class:`GatewayError`: 413 over the cap (before or after decompression), 408 too
        slow, 415 unknown encoding, 400 broken framing, compression or an unknown expectation, 503
        over budget; ``ConnectionError`` if the client left.
        """
        headers = request.headers
        declared_bytes = int(headers.get(_CONTENT_LENGTH, "0"))  # the parser let digits pass only
        if declared_bytes > cap_bytes:
            raise _too_large(cap_bytes)
        encoding = headers.get(_CONTENT_ENCODING)
        body = Body(self._budget)
        try:
            body.hold(declared_bytes)
            if _EXPECT in headers:
                await _continue(request)
            body.fill(await self._receive(request, body, cap_bytes))
            if encoding is not None:
                await _decode(body, encoding.strip().lower(), cap_bytes)
        except BaseException:
            body.release()
            raise
        return body

    async def _receive(self, request: web.BaseRequest, body: Body, cap_bytes: int) -> bytes:
        content = request.content
        if content.is_eof() and content.exception() is None:  # came with the head, as small ones do
            data = content.read_nowait()
            _check_size(len(data), cap_bytes)
            return data
        pieces: list[bytes] = []
        size = 0
        started = asyncio.get_running_loop().time()
        while not content.at_eof():
            paced = PACE_GRACE_S + size / self._min_bytes_per_s
            piece = await _next_piece(content, started + min(self._timeout_s, paced))
            size += len(piece)
            _check_size(size, cap_bytes)
            body.hold(size)
            pieces.append(piece)
        return b"".join(pieces)


def require_json(headers: Mapping[str, str]) -> None:
    """Raises :class:`GatewayError` (415) unless the body is declared as JSON or not at all."""
    if not may_be_json(headers.get(_CONTENT_TYPE)):
        raise GatewayError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE, "content-type must be application/json"
        )


async def _next_piece(content: StreamReader, deadline: float) -> bytes:
    try:
        async with asyncio.timeout_at(deadline):
            return await content.readany()
    except TimeoutError:
        raise GatewayError(
            ErrorCode.REQUEST_TIMEOUT,
            "the request body came too slowly",
            headers={"Connection": "close"},
        ) from None
    except web.RequestPayloadError:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST,
            "the request body is not framed as its headers say",
            headers={"Connection": "close"},
        ) from None


async def _continue(request: web.BaseRequest) -> None:
    """Large uploads of some clients (curl) wait for a word before they send the body."""
    if request.headers[_EXPECT].strip().lower() != "100-continue":
        raise GatewayError(ErrorCode.INVALID_REQUEST, "the only expectation met is 100-continue")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # The interim answer is not part of the response: nothing of that has been sent yet.
    request.writer.output_size = 0


async def _decode(body: Body, encoding: str, cap_bytes: int) -> None:
    if encoding == "identity":
        return
    if encoding not in _DECODED:
        raise GatewayError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            "content-encoding must be gzip, deflate or identity",
            headers={"Accept-Encoding": "gzip, deflate"},
        )
    # A few KiB can unpack to the whole cap, so the budget is asked for that much first and the
    # work leaves the event loop (zlib lets go of the interpreter).
    compressed_bytes = len(body.data)
    body.hold(compressed_bytes + min(cap_bytes, compressed_bytes * 1032 + 64))  # deflate's best
    body.fill(await asyncio.to_thread(_inflate, body.data, cap_bytes))


def _inflate(data: bytes, cap_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(_ZLIB_OR_GZIP)
    try:
        plain = unpacker.decompress(data, cap_bytes + 1)
    except zlib.error:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST, "the request body is not what content-encoding says"
        ) from None
    _check_size(len(plain), cap_bytes)
    if not unpacker.eof or unpacker.unused_data:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST, "the compressed request body is cut short or has a tail"
        )
    return plain


def _check_size(size: int, cap_bytes: int) -> None:
    if size > cap_bytes:
        raise _too_large(cap_bytes)


def _too_large(cap_bytes: int) -> GatewayError:
    limit = f"{cap_bytes // 1_048_576} MiB" if cap_bytes else "0 bytes (this call takes no body)"
    return GatewayError(
        ErrorCode.REQUEST_TOO_LARGE, f"the request body is larger than the limit of {limit}"
    )
