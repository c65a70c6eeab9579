"""The default answer: blocks, stop reason and usage, worked out from the request alone.

Pure and deterministic: the same body gives the same answer, ids included (they come from its hash).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from bytespike_cli.simulator.dialects.anthropic.prompt import PromptUsage
from bytespike_cli.simulator.dialects.anthropic.requests import Block, MessagesRequest
from bytespike_cli.simulator.faults import Faults
from bytespike_cli.simulator.identity import Identity
from bytespike_cli.simulator.question import (
    Call,
    Decision,
    Offer,
    Question,
    Stop,
    compact,
    decide,
    pieces,
)
from bytespike_cli.simulator.tokens import bytes_tokens
from bytespike_contracts.money import TokenUsage

__all__ = ["Answer", "AnswerBlock", "Delta", "compose"]

Json = dict[str, Any]

#: What the vendor documents to make a model redact its thinking.
REDACTION_TRIGGER = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING"
#: Search results are fed back to the model, so they count as input.
SEARCH_RESULT_TOKENS = 250

_STOPS: dict[Stop, str] = {
    "end": "end_turn",
    "stop_sequence": "stop_sequence",
    "max_tokens": "max_tokens",
    "calls": "tool_use",
    "refusal": "refusal",
}
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


def compose(
    request: MessagesRequest, identity: Identity, prompt: PromptUsage, faults: Faults
) -> Answer:
    """The answer to ``request``."""
    decision = decide(_question(request), faults)
    blocks: list[AnswerBlock] = []
    if decision.thought:
        blocks.append(_thinking(request, identity, decision.thought))
    if decision.calls:
        blocks += [_tool_call(call, identity) for call in decision.calls]
    elif not faults.refusal:
        searches = _web_search(request, identity)
        citations = _citations(request, identity, bool(searches))
        blocks += [*searches, _text_block(decision.text, faults, citations)]
    return _finish(request, identity, prompt, faults, blocks, decision)


def _question(request: MessagesRequest) -> Question:
    """What was asked. Only a forced choice makes the model call: ``any`` the first two tools side
    by side unless told not to.
    """
    choice, forced = request.tool_choice, None
    if choice is not None and choice.type in {"any", "tool"}:
        forced = [
            Offer(tool.name, tool.input_schema)
            for tool in request.tools
            if tool.input_schema is not None and choice.name in (None, tool.name)
        ]
    return Question(
        said=sum(len(block.text or "") for m in request.messages for block in m.blocks()),
        turns=len(request.messages),
        max_tokens=request.max_tokens,
        stops=request.stop_sequences,
        forced=forced,
        parallel=choice is None or (choice.type == "any" and not choice.disable_parallel_tool_use),
        thinks=request.thinks(),
        schema=_schema(request),
    )


def _schema(request: MessagesRequest) -> Json | None:
    """What ``output_config.format`` wants the text to be."""
    config = request.output_config
    format_ = config.get("format") if isinstance(config, dict) else None
    schema = format_.get("schema") if isinstance(format_, dict) else None
    return schema if isinstance(schema, dict) else None


def _finish(
    request: MessagesRequest,
    identity: Identity,
    prompt: PromptUsage,
    faults: Faults,
    blocks: list[AnswerBlock],
    decision: Decision,
) -> Answer:
    fresh = prompt.fresh if faults.input_tokens is None else faults.input_tokens
    weights = {block.whole["type"]: sum(delta.weight for delta in block.deltas) for block in blocks}
    thought = bytes_tokens(weights.get("thinking", 0))
    written = sum(delta.weight for block in blocks for delta in block.deltas)
    output = max(1, bytes_tokens(written))
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
        stop_reason=_STOPS[decision.stop],
        stop_sequence=decision.stop_sequence,
        stop_details=_REFUSAL if decision.stop == "refusal" else None,
        opening_input_tokens=fresh,
        usage=usage,
        reported=not faults.no_usage,
    )


def _text_block(text: str, faults: Faults, citations: list[Json]) -> AnswerBlock:
    opening: Json = {"type": "text", "text": ""}
    whole: Json = {"type": "text", "text": text}
    deltas = [
        Delta({"type": "text_delta", "text": piece}, len(piece.encode()))
        for piece in pieces(text, faults.events)
    ]
    if citations:
        opening, whole = {"citations": [], **opening}, {"citations": citations, **whole}
        deltas = [
            Delta({"type": "citations_delta", "citation": citation}, 0) for citation in citations
        ] + deltas
    return AnswerBlock(whole, opening, deltas)


def _thinking(request: MessagesRequest, identity: Identity, thought: str) -> AnswerBlock:
    if any(REDACTION_TRIGGER in (b.text or "") for m in request.messages for b in m.blocks()):
        block = {"type": "redacted_thinking", "data": identity.opaque("redacted", 120)}
        return AnswerBlock(block, block, [])
    shown = request.thinking is None or request.thinking.display != "omitted"
    thought = thought if shown else ""
    signature = identity.opaque("signature", 160)
    deltas = [
        Delta({"type": "thinking_delta", "thinking": piece}, len(piece.encode()))
        for piece in pieces(thought)
    ]
    deltas.append(Delta({"type": "signature_delta", "signature": signature}, 0))
    return AnswerBlock(
        {"type": "thinking", "thinking": thought, "signature": signature},
        {"type": "thinking", "thinking": "", "signature": ""},
        deltas,
    )


def _tool_call(call: Call, identity: Identity) -> AnswerBlock:
    arguments = call.arguments
    head: Json = {"type": "tool_use", "id": identity.id("toolu_", call.name), "name": call.name}
    caller = {"caller": {"type": "direct"}}
    return AnswerBlock(
        {**head, "input": arguments, **caller}, {**head, "input": {}, **caller}, _json(arguments)
    )


def _json(arguments: Any) -> list[Delta]:
    """Arguments as the vendor streams them: an empty piece first, nothing more for ``{}``."""
    text = compact(arguments).decode() if arguments else ""
    return [
        Delta({"type": "input_json_delta", "partial_json": piece}, len(piece.encode()))
        for piece in ["", *pieces(text)]
    ]


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
