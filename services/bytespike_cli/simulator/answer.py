"""The default answer: blocks, stop reason and usage, worked out from the request alone.

Pure and deterministic: the same body gives the same answer, ids included (they come from its hash).
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, NamedTuple

import msgspec

from bytespike_cli.simulator.faults import Faults
from bytespike_cli.simulator.prompt import BYTES_PER_TOKEN, PromptUsage, text_tokens
from bytespike_cli.simulator.requests import Block, MessagesRequest, Tool
from bytespike_contracts.money import TokenUsage

__all__ = ["Answer", "AnswerBlock", "Delta", "Identity", "compose"]

Json = dict[str, Any]

#: What the vendor documents to make a model redact its thinking.
REDACTION_TRIGGER = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING"
#: Search results are fed back to the model, so they count as input.
SEARCH_RESULT_TOKENS = 250
#: About what one delta of the vendor carries.
_PIECE_CHARS = 24
_SCHEMA_DEPTH = 6
_FILLER = "and so the river went on, past the mill and the bridge, towards the sea, "

_REFUSAL: Json = {
    "type": "refusal",
    "category": "general_harms",
    "explanation": "The simulator was told to refuse this request.",
}


class Delta(NamedTuple):
    """One ``content_block_delta``: the wire object and how many bytes of content it carries."""

    wire: Json
    weight: int


class AnswerBlock(NamedTuple):
    """A content block in both forms: whole, and as its opening plus deltas."""

    whole: Json
    opening: Json
    deltas: list[Delta]


class Answer(NamedTuple):
    """A whole answer. ``usage`` is what it costs; ``reported`` tells whether the caller is told."""

    message_id: str
    model: str
    blocks: list[AnswerBlock]
    stop_reason: str
    stop_sequence: str | None
    stop_details: Json | None
    opening_input_tokens: int
    usage: TokenUsage
    reported: bool


class Identity:
    """Ids and opaque strings that look random and depend on nothing but the request."""

    def __init__(self, body: bytes) -> None:
        self._seed = hashlib.sha256(body).digest()

    def opaque(self, label: str, size: int) -> str:
        """``size`` characters of base64."""
        stream = hashlib.shake_256(self._seed + label.encode()).digest(size)
        return base64.b64encode(stream).decode()[:size]

    def id(self, prefix: str, label: str = "") -> str:
        """An id of the vendor's look: prefix, ``01``, 22 letters and digits."""
        digest = hashlib.sha256(self._seed + prefix.encode() + label.encode()).digest()
        letters = base64.b32encode(digest).decode()[:22]
        return f"{prefix}01{letters}"


def compose(
    request: MessagesRequest, identity: Identity, prompt: PromptUsage, faults: Faults
) -> Answer:
    """The answer to ``request``."""
    if faults.refusal:
        return _finish(request, identity, prompt, faults, [], ("refusal", None))
    blocks: list[AnswerBlock] = []
    if request.thinks():
        blocks.append(_thinking(request, identity))
    calls = _tool_calls(request, identity)
    if calls:
        return _finish(request, identity, prompt, faults, [*blocks, *calls], ("tool_use", None))
    searches = _web_search(request, identity)
    text, stop = _stopped(request, _text(request, faults))
    blocks += [*searches, _text_block(text, faults, _citations(request, identity, bool(searches)))]
    if faults.refusal_late:
        stop = ("refusal", None)
    return _finish(request, identity, prompt, faults, blocks, stop)


def _finish(
    request: MessagesRequest,
    identity: Identity,
    prompt: PromptUsage,
    faults: Faults,
    blocks: list[AnswerBlock],
    stop: tuple[str, str | None],
) -> Answer:
    fresh = prompt.fresh if faults.input_tokens is None else faults.input_tokens
    weights = {block.whole["type"]: sum(delta.weight for delta in block.deltas) for block in blocks}
    thought = -(-weights.get("thinking", 0) // BYTES_PER_TOKEN)
    written = sum(delta.weight for block in blocks for delta in block.deltas)
    output = max(1, -(-written // BYTES_PER_TOKEN))
    searches = sum(block.whole["type"] == "web_search_tool_result" for block in blocks)
    usage = TokenUsage(
        input_tokens=fresh + searches * SEARCH_RESULT_TOKENS,
        cache_write_5m_tokens=prompt.write_5m,
        cache_write_1h_tokens=prompt.write_1h,
        cache_read_tokens=prompt.read,
        output_tokens=output if faults.output_tokens is None else faults.output_tokens,
        reasoning_tokens=thought,
        web_searches=searches,
    )
    return Answer(
        message_id=identity.id("msg_"),
        model=request.model,
        blocks=blocks,
        stop_reason=stop[0],
        stop_sequence=stop[1],
        stop_details=_REFUSAL if stop[0] == "refusal" else None,
        opening_input_tokens=fresh,
        usage=usage,
        reported=not faults.no_usage,
    )


def _text(request: MessagesRequest, faults: Faults) -> str:
    """What the model says: a line about the prompt, or filler of a chosen size."""
    size = faults.text_bytes
    if size is None and faults.output_tokens is not None:
        size = faults.output_tokens * BYTES_PER_TOKEN
    if size is not None:
        return (_FILLER * (size // len(_FILLER) + 1))[:size]
    said = sum(len(block.text or "") for m in request.messages for block in m.blocks())
    turns = len(request.messages)
    return (
        f"You sent {said} characters of text in {turns} message{'s' * (turns != 1)}."
        " This is the ByteSpike simulator answering: no model was asked. Voilà."
    )


def _stopped(request: MessagesRequest, text: str) -> tuple[str, tuple[str, str | None]]:
    """The text as far as the request's limits let it go, and why it ended there."""
    ends = [(at, stop) for stop in request.stop_sequences if (at := text.find(stop)) >= 0]
    if ends:
        at, stop = min(ends)
        return text[:at], ("stop_sequence", stop)
    if text_tokens(text) > request.max_tokens:
        cut = text.encode()[: request.max_tokens * BYTES_PER_TOKEN].decode(errors="ignore")
        return cut, ("max_tokens", None)
    return text, ("end_turn", None)


def _pieces(text: str, count: int | None) -> list[str]:
    size = _PIECE_CHARS if count is None else max(1, -(-len(text) // max(1, count)))
    return [text[at : at + size] for at in range(0, len(text), size)]


def _text_block(text: str, faults: Faults, citations: list[Json]) -> AnswerBlock:
    opening: Json = {"type": "text", "text": ""}
    whole: Json = {"type": "text", "text": text}
    deltas = [
        Delta({"type": "text_delta", "text": piece}, len(piece.encode()))
        for piece in _pieces(text, faults.events)
    ]
    if citations:
        opening, whole = {"citations": [], **opening}, {"citations": citations, **whole}
        deltas = [
            Delta({"type": "citations_delta", "citation": citation}, 0) for citation in citations
        ] + deltas
    return AnswerBlock(whole, opening, deltas)


def _thinking(request: MessagesRequest, identity: Identity) -> AnswerBlock:
    if any(REDACTION_TRIGGER in (b.text or "") for m in request.messages for b in m.blocks()):
        block = {"type": "redacted_thinking", "data": identity.opaque("redacted", 120)}
        return AnswerBlock(block, block, [])
    shown = request.thinking is None or request.thinking.display != "omitted"
    thought = "The user wants an answer. I shall say how much they sent." if shown else ""
    signature = identity.opaque("signature", 160)
    deltas = [
        Delta({"type": "thinking_delta", "thinking": piece}, len(piece.encode()))
        for piece in _pieces(thought, None)
    ]
    deltas.append(Delta({"type": "signature_delta", "signature": signature}, 0))
    return AnswerBlock(
        {"type": "thinking", "thinking": thought, "signature": signature},
        {"type": "thinking", "thinking": "", "signature": ""},
        deltas,
    )


def _tool_calls(request: MessagesRequest, identity: Identity) -> list[AnswerBlock]:
    """Forced calls only: ``any`` calls the first two tools side by side unless told not to."""
    choice = request.tool_choice
    if choice is None or choice.type not in {"any", "tool"}:
        return []
    tools = [tool for tool in request.tools if tool.input_schema is not None]
    if choice.type == "tool":
        tools = [tool for tool in tools if tool.name == choice.name]
    tools = tools[: 1 if choice.disable_parallel_tool_use or choice.type == "tool" else 2]
    return [_tool_call(tool, identity) for tool in tools]


def _tool_call(tool: Tool, identity: Identity) -> AnswerBlock:
    arguments = _sample(tool.input_schema or {}, 0)
    head: Json = {"type": "tool_use", "id": identity.id("toolu_", tool.name), "name": tool.name}
    caller = {"caller": {"type": "direct"}}
    return AnswerBlock(
        {**head, "input": arguments, **caller}, {**head, "input": {}, **caller}, _json(arguments)
    )


def _json(arguments: Any) -> list[Delta]:
    """Arguments as the vendor streams them: an empty piece first, nothing more for ``{}``."""
    text = msgspec.json.encode(arguments).decode() if arguments else ""
    return [
        Delta({"type": "input_json_delta", "partial_json": piece}, len(piece.encode()))
        for piece in ["", *_pieces(text, None)]
    ]


def _sample(schema: Any, depth: int) -> Any:
    """A value that fits the schema well enough for a client to take it."""
    if not isinstance(schema, dict) or depth > _SCHEMA_DEPTH:
        return {}
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties") or {}
        wanted = schema.get("required") or list(properties)
        return {name: _sample(properties.get(name, {}), depth + 1) for name in wanted}
    if kind == "array":
        return [_sample(schema.get("items", {"type": "string"}), depth + 1)]
    return {"string": "sample", "integer": 1, "number": 1.5, "boolean": True}.get(kind)


def _web_search(request: MessagesRequest, identity: Identity) -> list[AnswerBlock]:
    if not any(tool.type.startswith("web_search_") for tool in request.tools):
        return []
    query = {"query": "weather in Lisbon today"}
    head: Json = {
        "type": "server_tool_use",
        "id": identity.id("srvtoolu_"),
        "name": "web_search",
    }
    result: Json = {
        "type": "web_search_tool_result",
        "tool_use_id": head["id"],
        "content": [
            {
                "type": "web_search_result",
                "title": "Lisbon weather",
                "url": "https://example.com/lisbon",
                "encrypted_content": identity.opaque("result", 200),
                "page_age": "November 20, 2026",
            }
        ],
    }
    return [
        AnswerBlock({**head, "input": query}, {**head, "input": {}}, _json(query)),
        AnswerBlock(result, result, []),
    ]


def _citations(request: MessagesRequest, identity: Identity, searched: bool) -> list[Json]:
    if searched:
        return [
            {
                "type": "web_search_result_location",
                "cited_text": "Sunny, 21 degrees.",
                "url": "https://example.com/lisbon",
                "title": "Lisbon weather",
                "encrypted_index": identity.opaque("index", 60),
            }
        ]
    documents = [b for m in request.messages for b in m.blocks() if b.type == "document"]
    return [_citation(at, block) for at, block in enumerate(documents) if _wants_citing(block)]


def _wants_citing(block: Block) -> bool:
    return isinstance(block.citations, dict) and block.citations.get("enabled") is True


def _citation(index: int, block: Block) -> Json:
    cited = str((block.source or {}).get("data", ""))[:40]
    return {
        "type": "char_location",
        "cited_text": cited,
        "document_index": index,
        "document_title": block.title,
        "start_char_index": 0,
        "end_char_index": len(cited),
        "file_id": None,
    }
