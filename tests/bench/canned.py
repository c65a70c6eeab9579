"""What the bench's vendor says: one answer for each dialect, whole and in events, with usage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bytespike_protocols.ir import Dialect

__all__ = ["CANNED", "INPUT_TOKENS", "OUTPUT_TOKENS", "Canned"]

INPUT_TOKENS, OUTPUT_TOKENS = 512, 214
_DELTA = b" and keeps on running"
_TEXT = b"The quick brown fox jumps over the lazy dog and keeps on running. " * 14


@dataclass(frozen=True, kw_only=True)
class Canned:
    """A whole answer, and the events of a stream: ``opening``, any number of ``delta``,
    ``closing``.
    """

    whole: bytes
    opening: tuple[bytes, ...]
    delta: bytes
    closing: tuple[bytes, ...]

    @property
    def frame_events(self) -> int:
        """The events of a stream that are not deltas."""
        return len(self.opening) + len(self.closing)


def _named(name: bytes, fields: bytes) -> bytes:
    """An event with its name outside and inside: Anthropic's and Responses'."""
    return b'event: %b\ndata: {"type":"%b"%b}\n\n' % (name, name, fields)


def _unnamed(data: bytes) -> bytes:
    return b"data: %b\n\n" % data


def _anthropic() -> Canned:
    def message(content: bytes, stop: bytes, output_tokens: int) -> bytes:
        return (
            b'{"id":"msg_01BenchBenchBenchBenchBen","type":"message","role":"assistant",'
            b'"model":"claude-sonnet-4-5-20250929","content":[%b],"stop_reason":%b,'
            b'"stop_sequence":null,"usage":{"input_tokens":%d,"cache_creation_input_tokens":0,'
            b'"cache_read_input_tokens":0,"output_tokens":%d}}'
        ) % (content, stop, INPUT_TOKENS, output_tokens)

    return Canned(
        whole=message(b'{"type":"text","text":"%b"}' % _TEXT, b'"end_turn"', OUTPUT_TOKENS),
        opening=(
            _named(b"message_start", b',"message":' + message(b"", b"null", 1)),
            _named(b"content_block_start", b',"index":0,"content_block":{"type":"text","text":""}'),
        ),
        delta=_named(
            b"content_block_delta",
            b',"index":0,"delta":{"type":"text_delta","text":"%b"}' % _DELTA,
        ),
        closing=(
            _named(b"content_block_stop", b',"index":0'),
            _named(
                b"message_delta",
                b',"delta":{"stop_reason":"end_turn","stop_sequence":null},'
                b'"usage":{"output_tokens":%d}' % OUTPUT_TOKENS,
            ),
            _named(b"message_stop", b""),
        ),
    )


def _chat() -> Canned:
    usage = (
        b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
        b'"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},'
        b'"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
        b'"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}'
    ) % (INPUT_TOKENS, OUTPUT_TOKENS, INPUT_TOKENS + OUTPUT_TOKENS)

    def completion(kind: bytes, choices: bytes, usage: bytes) -> bytes:
        return (
            b'{"id":"chatcmpl-BenchBenchBenchBenchBenchBench","object":"%b",'
            b'"created":1760000000,"model":"gpt-4o-mini-2024-07-18","service_tier":"default",'
            b'"system_fingerprint":"fp_bench","choices":%b,"usage":%b}'
        ) % (kind, choices, usage)

    def chunk(delta: bytes, finish: bytes = b"null") -> bytes:
        choices = b'[{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}]' % (delta, finish)
        return _unnamed(completion(b"chat.completion.chunk", choices, b"null"))

    message = b'{"role":"assistant","content":"%b","refusal":null,"annotations":[]}' % _TEXT
    return Canned(
        whole=completion(
            b"chat.completion",
            b'[{"index":0,"message":%b,"logprobs":null,"finish_reason":"stop"}]' % message,
            usage,
        ),
        opening=(chunk(b'{"role":"assistant","content":"","refusal":null}'),),
        delta=chunk(b'{"content":"%b"}' % _DELTA),
        closing=(
            chunk(b"{}", b'"stop"'),
            _unnamed(completion(b"chat.completion.chunk", b"[]", usage)),
            _unnamed(b"[DONE]"),
        ),
    )


_ITEM_ID = b"msg_benchbenchbenchbenchbenchbench"


def _part(text: bytes) -> bytes:
    return b'{"type":"output_text","annotations":[],"logprobs":[],"text":"%b"}' % text


def _item(status: bytes, content: bytes) -> bytes:
    return (b'{"id":"%b","type":"message","status":"%b","content":[%b],"role":"assistant"}') % (
        _ITEM_ID,
        status,
        content,
    )


def _response(status: bytes, output: bytes, usage: bytes) -> bytes:
    return (
        b'{"id":"resp_benchbenchbenchbenchbenchbench","object":"response",'
        b'"created_at":1760000000,"status":"%b","background":false,"error":null,'
        b'"incomplete_details":null,"instructions":null,"max_output_tokens":256,'
        b'"model":"gpt-5-mini-2025-08-07","output":[%b],"parallel_tool_calls":true,'
        b'"previous_response_id":null,"reasoning":{"effort":"medium","summary":null},'
        b'"store":false,"temperature":1.0,"text":{"format":{"type":"text"}},'
        b'"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled","usage":%b,'
        b'"user":null,"metadata":{}}'
    ) % (status, output, usage)


def _numbered(name: bytes, number: int, fields: bytes) -> bytes:
    return _named(name, b',"sequence_number":%d%b' % (number, fields))


def _responses() -> Canned:
    place = b',"item_id":"%b","output_index":0,"content_index":0' % _ITEM_ID

    usage = (
        b'{"input_tokens":%d,"input_tokens_details":{"cached_tokens":0},"output_tokens":%d,'
        b'"output_tokens_details":{"reasoning_tokens":0},"total_tokens":%d}'
    ) % (INPUT_TOKENS, OUTPUT_TOKENS, INPUT_TOKENS + OUTPUT_TOKENS)
    begun = b',"response":' + _response(b"in_progress", b"", b"null")
    done = _item(b"completed", _part(_TEXT))
    return Canned(
        whole=_response(b"completed", done, usage),
        opening=(
            _numbered(b"response.created", 0, begun),
            _numbered(b"response.in_progress", 1, begun),
            _numbered(
                b"response.output_item.added",
                2,
                b',"output_index":0,"item":' + _item(b"in_progress", b""),
            ),
            _numbered(b"response.content_part.added", 3, place + b',"part":' + _part(b"")),
        ),
        # Every delta has the same number: what is canned cannot count, and nobody here minds.
        delta=_numbered(
            b"response.output_text.delta",
            4,
            place + b',"delta":"%b","logprobs":[],"obfuscation":"bench"' % _DELTA,
        ),
        closing=(
            _numbered(
                b"response.output_text.done", 5, place + b',"text":"%b","logprobs":[]' % _TEXT
            ),
            _numbered(b"response.content_part.done", 6, place + b',"part":' + _part(_TEXT)),
            _numbered(b"response.output_item.done", 7, b',"output_index":0,"item":' + done),
            _numbered(
                b"response.completed", 8, b',"response":' + _response(b"completed", done, usage)
            ),
        ),
    )


def _gemini() -> Canned:
    def answer(text: bytes, finish: bytes, output_tokens: int) -> bytes:
        return (
            b'{"candidates":[{"content":{"parts":[{"text":"%b"}],"role":"model"}%b,"index":0}],'
            b'"usageMetadata":{"promptTokenCount":%d,"candidatesTokenCount":%d,'
            b'"totalTokenCount":%d,"promptTokensDetails":[{"modality":"TEXT","tokenCount":%d}]},'
            b'"modelVersion":"gemini-2.5-flash","responseId":"benchbenchbenchbench"}'
        ) % (text, finish, INPUT_TOKENS, output_tokens, INPUT_TOKENS + output_tokens, INPUT_TOKENS)

    stop = b',"finishReason":"STOP"'
    return Canned(
        whole=answer(_TEXT, stop, OUTPUT_TOKENS),
        opening=(_unnamed(answer(b"The", b"", 1)),),
        delta=_unnamed(answer(_DELTA, b"", 100)),
        closing=(_unnamed(answer(b".", stop, OUTPUT_TOKENS)),),
    )


CANNED: Mapping[Dialect, Canned] = {
    Dialect.ANTHROPIC: _anthropic(),
    Dialect.OPENAI_CHAT: _chat(),
    Dialect.OPENAI_RESPONSES: _responses(),
    Dialect.GEMINI: _gemini(),
}
