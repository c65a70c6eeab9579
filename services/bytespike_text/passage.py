"""How one request goes to one lane, and how the answer comes back: as it is, or translated.

Same dialect on both sides means the client's own bytes, the model's name aside. Whatever may be
lost in a translation is known before anything is sent, so that a strict caller is refused in time.
"""

from __future__ import annotations

import time
from typing import Protocol
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_protocols.codec import Encoded, Loss, ReplyContext
from bytespike_protocols.custody import carries_wrapped
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.ir import Dialect, Request
from bytespike_protocols.json_array import ArraySplitter
from bytespike_protocols.loss_policy.strict import require_lossless
from bytespike_protocols.openai_chat.reasoning import carries_thoughts
from bytespike_protocols.openai_chat.stream_usage import asks_for_usage, with_usage
from bytespike_protocols.renaming import restored
from bytespike_protocols.splice import replace_span, shallow
from bytespike_protocols.sse import FrameSplitter
from bytespike_text.job import Job, client_error
from bytespike_text.routing import Lane, split_betas
from bytespike_text.token_count import countable, decode_count, encode_count
from bytespike_text.upstream import Call
from bytespike_text.wording import Splitter, Translated, Verbatim, WithoutUsage, Wording

__all__ = ["Passage", "Relay", "Translation", "passage"]

#: Search results and encrypted reasoning arrive in one event; the largest seen are below 1 MiB.
_FRAME_LIMIT_BYTES = 8 * 1024 * 1024
#: What a translated request is sent with: its fields are all known to the older version.
_TRANSLATED_VERSION = "2023-06-01"
_EVENT_STREAM = "text/event-stream; charset=utf-8"
_STATEFUL = (b'"previous_response_id"', b'"conversation"', b'"background"', b'"store"')


class Passage(Protocol):
    """One lane's way there and back. ``losses``: what the vendor will not see as it was meant.
    ``body`` may be given up once it has been sent.
    """

    call: Call
    body: bytes
    losses: tuple[Loss, ...]

    def whole(self, body: bytes) -> bytes:
        """The answer in one piece, for the client. Raises ``BadUpstreamMessage``."""

    def wording(self) -> Wording:
        """For one streamed answer."""

    def splitter(self) -> Splitter:
        """What cuts the vendor's stream into frames."""

    def content_type(self, given: str | None) -> str:
        """Of the stream for the client, where the vendor's was ``given``."""


def passage(lane: Lane, job: Job) -> Passage:
    """Raises :class:`GatewayError`: 400 for what this lane cannot be told."""
    if lane.dialect is not job.dialect:
        return Counting(lane, job) if job.surface.counts else Translation(lane, job)
    if lane.dialect is Dialect.OPENAI_RESPONSES:
        _refuse_state(lane, job)
    return Relay(lane, job)


class Relay:
    """Byte for byte."""

    def __init__(self, lane: Lane, job: Job) -> None:
        self._job = job
        betas, dropped = split_betas(lane.channel, job.betas)
        self.losses = _lost_betas(dropped)
        self._hides_usage = False
        self.body = self._body_for(lane)
        headers = job.headers
        if lane.dialect is Dialect.ANTHROPIC:
            headers = (*headers, ("anthropic-version", job.version), *_beta_headers(betas))
        query = f"?{job.query}" if job.query else ""
        self.call = Call(
            path=_path(
                lane, job.reading.model, stream=job.reading.stream, counts=job.surface.counts
            )
            + query,
            headers=headers,
            stream=job.reading.stream,
        )

    def whole(self, body: bytes) -> bytes:
        """See :class:`Passage`."""
        return body

    def wording(self) -> Wording:
        """See :class:`Passage`."""
        kind = WithoutUsage if self._hides_usage else Verbatim
        return kind(self._job.codec, self._job.reading.framing)

    def splitter(self) -> Splitter:
        """See :class:`Passage`."""
        if self._job.reading.framing == "array":
            return ArraySplitter(_FRAME_LIMIT_BYTES)
        return FrameSplitter(_FRAME_LIMIT_BYTES)

    def content_type(self, given: str | None) -> str:
        """See :class:`Passage`."""
        return given or _stream_type(self._job)

    def _body_for(self, lane: Lane) -> bytes:
        """The client's bytes, but for three things: the model's name where the vendor knows it by
        another, reasoning that another vendor has done, and the usage nobody asked for.
        """
        job = self._job
        if _holds_strangers_thoughts(lane, job.body):
            encoded = _encoded(lane, job, job.request)
            self.losses += encoded.losses
            _check_strict(job, self.losses)
            body = encoded.body
        else:
            body = _with_vendors_name(lane, job)
        if lane.dialect is Dialect.OPENAI_CHAT and job.reading.stream:
            fields = shallow(body)
            if not asks_for_usage(fields):
                self._hides_usage = True
                body = with_usage(body, fields)
        return body


class Translation:
    """Through the canonical form."""

    def __init__(self, lane: Lane, job: Job) -> None:
        self._lane = lane
        self._job = job
        self._request = _with_cap(job, lane)
        encoded = _encoded(lane, job, self._request)
        self.body, self._renamed = encoded.body, encoded.renamed
        self.losses = (*encoded.losses, *_lost_betas(job.betas))
        _check_strict(job, self.losses)
        headers = [(name, value) for name, value in job.headers if name != "accept"]
        if lane.dialect is Dialect.ANTHROPIC:
            headers.append(("anthropic-version", _TRANSLATED_VERSION))
        stream = job.reading.stream
        path = _path(lane, job.reading.model, stream=stream, counts=job.surface.counts)
        if stream and lane.dialect is Dialect.GEMINI:
            path += "?alt=sse"
        self.call = Call(path=path, headers=tuple(headers), stream=stream)

    def whole(self, body: bytes) -> bytes:
        """See :class:`Passage`."""
        answer = restored(self._lane.codec.decode_response(body), self._renamed)
        return self._job.codec.encode_response(answer, self._context())

    def wording(self) -> Wording:
        """See :class:`Passage`."""
        return Translated(self._lane.codec, self._renamed, self._job.codec, self._context())

    def splitter(self) -> Splitter:
        """See :class:`Passage`."""
        return FrameSplitter(_FRAME_LIMIT_BYTES)

    def content_type(self, given: str | None) -> str:
        """See :class:`Passage`."""
        del given
        return _stream_type(self._job)

    def _context(self) -> ReplyContext:
        job = self._job
        return ReplyContext(
            request=self._request,
            request_id=job.principal.request_id,
            created_s=int(time.time()),
            model=job.called,
            framing=job.reading.framing,
        )


class Counting(Translation):
    """A count asked of a vendor of another dialect."""

    def __init__(self, lane: Lane, job: Job) -> None:
        super().__init__(lane, job)
        self.body = countable(lane.dialect, self.body, model=lane.channel.models[job.reading.model])

    def whole(self, body: bytes) -> bytes:
        """See :class:`Passage`."""
        return encode_count(self._job.dialect, decode_count(self._lane.dialect, body))


def _holds_strangers_thoughts(lane: Lane, body: bytes) -> bool:
    """Whether a body in the lane's dialect may hold reasoning that its vendor must not see, or
    would refuse the whole request for.
    """
    if carries_wrapped(body, lane.dialect):
        return True
    openai = lane.dialect is Dialect.OPENAI_CHAT and not lane.channel.compatible
    return openai and carries_thoughts(body)


def _with_vendors_name(lane: Lane, job: Job) -> bytes:
    span = job.reading.model_span
    if span is None:
        return job.body
    name = msgspec.json.encode(lane.channel.models[job.reading.model])
    return job.body if job.body[span[0] : span[1]] == name else replace_span(job.body, span, name)


def _check_strict(job: Job, losses: tuple[Loss, ...]) -> None:
    if job.principal.strict:
        try:
            require_lossless(losses)
        except BadClientMessage as error:
            raise client_error(error) from None


def _encoded(lane: Lane, job: Job, request: Request) -> Encoded:
    try:
        return lane.codec.encode_request(request, model=lane.channel.models[job.reading.model])
    except BadClientMessage as error:
        raise client_error(error) from None


def _with_cap(job: Job, lane: Lane) -> Request:
    """What was reserved is what may be generated: a request without a limit of its own gets the
    model's.
    """
    request = job.request
    if request.max_output_tokens is None:
        return replace(request, max_output_tokens=lane.output_caps[job.reading.model])
    return request


def _lost_betas(betas: tuple[str, ...]) -> tuple[Loss, ...]:
    return tuple(Loss(f"anthropic-beta.{beta}") for beta in betas)


def _refuse_state(lane: Lane, job: Job) -> None:
    """What a vendor keeps between calls is kept at one account, and we have several."""
    if lane.channel.stores or not any(name in job.body for name in _STATEFUL):
        return
    try:
        fields = shallow(job.body)
    except BadClientMessage as error:
        raise client_error(error) from None
    for name in ("previous_response_id", "conversation", "background", "store"):
        if bytes(fields.get(name, b"null")) not in (b"null", b"false"):
            raise GatewayError(
                ErrorCode.UNSUPPORTED_FEATURE,
                "answers are not stored between calls: send the whole conversation instead",
                param=name,
            )


def _path(lane: Lane, model_id: str, *, stream: bool, counts: bool = False) -> str:
    """Where the lane's dialect is spoken, below the channel's base URL."""
    match lane.dialect:
        case Dialect.ANTHROPIC:
            return "/v1/messages/count_tokens" if counts else "/v1/messages"
        case Dialect.OPENAI_CHAT:
            return "/chat/completions"
        case Dialect.OPENAI_RESPONSES:
            return "/responses"
        case Dialect.GEMINI:
            verb = "streamGenerateContent" if stream else "generateContent"
            name = quote(lane.channel.models[model_id], safe="")
            return f"/v1beta/models/{name}:{'countTokens' if counts else verb}"


def _beta_headers(betas: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return (("anthropic-beta", ",".join(betas)),) if betas else ()


def _stream_type(job: Job) -> str:
    return "application/json" if job.reading.framing == "array" else _EVENT_STREAM
