"""Idempotency keys: the second of two equal paid calls gets the first one's answer, unpaid.

One record per key id and header value, kept a day: first a claim (running, renewed while its owner
lives), then the answer. A failed attempt leaves no record, so that the retry runs. Answers are the
customer's own words: they are stored for that customer alone and never logged.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping

import msgspec

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.keys import KeyRecord
from bytespike_runtime.kv import KvUnavailable, ScriptPipe
from bytespike_runtime.logs import get_logger

__all__ = ["MAX_STORED_BYTES", "RENEW_EVERY_S", "Claim", "Recorder", "Replays", "Reply"]

#: A megabyte of answer is a quarter of a million tokens, beyond what models write in one go.
MAX_STORED_BYTES = 1_048_576
_KEEP_MS = 24 * 3_600_000
#: An owner that died stops blocking its retry after this; a living one renews thrice as often.
_CLAIM_MS = 30_000
RENEW_EVERY_S = 10.0
_MAX_HEADER_CHARS = 255
#: What a replay repeats of the first answer's head.
_KEPT = ("Content-Type", "X-Estimated-Credits", "X-Credits-Used")

_BEGIN = """
local found = redis.call('GET', KEYS[1])
if found then return found end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
"""
#: Written unless another attempt has taken the name over meanwhile.
_FINISH = """
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
_CLEAR = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

_log = get_logger()


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record: ``status`` 0 is a claim; ``body`` None is an answer too large to keep."""

    fingerprint: bytes
    request_id: str
    status: int = 0
    headers: dict[str, str] = {}
    body: bytes | None = b""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Reply).decode


class Claim:
    """The right to run one request under an idempotency key, until completed or cleared."""

    __slots__ = ("name", "record", "running")

    def __init__(self, name: str, record: Reply) -> None:
        self.name = name
        self.record = record
        self.running = _encode(record)


class Recorder:
    """A copy of an answer on its way to the client, given up once it is too large."""

    __slots__ = ("_pieces", "_size", "reply_head")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        #: Status and headers of a complete answer; None until :meth:`seal`.
        self.reply_head: tuple[int, dict[str, str]] | None = None

    def add(self, piece: bytes) -> None:
        """The next bytes as the client got them."""
        self._size += len(piece)
        if self._size > MAX_STORED_BYTES:
            self._pieces.clear()
        else:
            self._pieces.append(piece)

    def seal(self, status: int, headers: Mapping[str, str]) -> None:
        """The answer came whole; without this it is not kept."""
        self.reply_head = (status, {name: headers[name] for name in _KEPT if name in headers})

    def body(self) -> bytes | None:
        """All of it, or None if it was too large."""
        return b"".join(self._pieces) if self._size <= MAX_STORED_BYTES else None


class Replays:
    """The records, and the claims this process holds."""

    def __init__(self, pipe: ScriptPipe) -> None:
        self._pipe = pipe
        # One per request in flight that carries the header.
        self._held: dict[str, Claim] = {}

    async def begin(
        self, header: str, *, key: KeyRecord, route: str, body: bytes, request_id: str
    ) -> Claim | Reply:
        """A claim to run the request, or the stored answer of its twin.

        Raises :class:`GatewayError`: 400 for an unusable header, 409 for another body under the
        same key, a twin still running or an answer too large to keep, 503 if Redis cannot answer
        (running without the record would break the promise).
        """
        if not 1 <= len(header) <= _MAX_HEADER_CHARS:
            raise GatewayError(
                ErrorCode.INVALID_REQUEST,
                f"Idempotency-Key must have 1 to {_MAX_HEADER_CHARS} characters",
            )
        name = _record_name(key, header)
        fingerprint = hashlib.sha256(route.encode() + b"\0" + body).digest()
        claim = Claim(name, Reply(fingerprint=fingerprint, request_id=request_id))
        try:
            found = await self._pipe.command("EVAL", _BEGIN, 1, name, claim.running, _CLAIM_MS)
        except KvUnavailable:
            raise GatewayError(
                ErrorCode.UNAVAILABLE,
                "idempotency records cannot be read right now; try again shortly",
                headers={"Retry-After": "1"},
            ) from None
        if found is None:
            self._held[name] = claim
            return claim
        return _usable(_decode(found), fingerprint)

    async def end(self, claim: Claim, recorder: Recorder) -> None:
        """Keep a complete successful answer for a day; clear the way for the next attempt after
        anything else. Best effort: the answer itself is not held up by Redis.
        """
        self._held.pop(claim.name, None)
        head = recorder.reply_head
        try:
            if head is not None and 200 <= head[0] < 300:
                reply = msgspec.structs.replace(
                    claim.record, status=head[0], headers=head[1], body=recorder.body()
                )
                await self._eval(_FINISH, claim, _encode(reply), _KEEP_MS)
            else:
                await self._eval(_CLEAR, claim)
        except KvUnavailable:  # the claim runs out by itself
            _log.warning("idempotency record not written", request_id=claim.record.request_id)

    async def renew_held(self) -> None:
        """Keep the claims of running requests alive; called every ``RENEW_EVERY_S``."""
        async with asyncio.TaskGroup() as group:
            for claim in list(self._held.values()):
                group.create_task(self._renew(claim))

    async def _renew(self, claim: Claim) -> None:
        try:
            await self._eval(_RENEW, claim, _CLAIM_MS)
        except KvUnavailable:
            return  # the next turn may have more luck

    async def _eval(self, script: str, claim: Claim, *args: int | bytes) -> None:
        await self._pipe.command("EVAL", script, 1, claim.name, claim.running, *args)


def _record_name(key: KeyRecord, header: str) -> str:
    digest = hashlib.sha256(header.encode("utf-8", "surrogateescape")).hexdigest()
    return f"bs:{{{key.account_id}}}:idem:{key.key_id}:{digest}"


def _usable(reply: Reply, fingerprint: bytes) -> Reply:
    if reply.fingerprint != fingerprint:
        raise GatewayError(
            ErrorCode.IDEMPOTENCY_CONFLICT,
            "this Idempotency-Key was used with another request",
        )
    if reply.status == 0:
        raise GatewayError(
            ErrorCode.REQUEST_IN_PROGRESS,
            "a request with this Idempotency-Key is still running",
            headers={"Retry-After": "1"},
        )
    if reply.body is None:
        raise GatewayError(
            ErrorCode.CONFLICT,
            "the request with this Idempotency-Key succeeded as "
            f"{reply.request_id}; its answer was too large to be kept for a replay",
        )
    return reply
