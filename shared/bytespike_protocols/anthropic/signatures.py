"""Opaque state in the hands of an Anthropic client: always the signature of a thinking block.

Anthropic signs thoughts only. Google signs calls and texts; such a signature travels as a thinking
block without words, before its call or after its text, that names what it belongs to. When the
client hands the block back, the signature returns to its place and the block is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec.structs import replace

from bytespike_protocols import custody
from bytespike_protocols.ir import Block, Dialect, Opaque, Text, Thinking, ToolUse

__all__ = ["of_call", "of_text", "of_thought", "read", "rebind"]

_OWNED = re.compile(r"for-(call|text)\.([^.]*)\.(.*)", re.DOTALL)


def of_thought(opaque: Opaque) -> str:
    """For a thinking block that is one."""
    return custody.wrap(opaque, carrier=Dialect.ANTHROPIC)


def of_call(opaque: Opaque, call_id: str) -> str:
    """For the wordless thinking block before the call ``call_id`` (as the client sees it)."""
    return of_thought(replace(opaque, payload=f"for-call.{call_id}.{opaque.payload}"))


def of_text(opaque: Opaque) -> str:
    """For the wordless thinking block after a text that more content follows.

    At the end of a message there is none: Google asks for a text's signature but does not insist,
    and clients take the last block for the answer (Claude Code prints nothing if it is a thought).
    """
    return of_thought(replace(opaque, payload=f"for-text..{opaque.payload}"))


def read(signature: str) -> Opaque | None:
    """What a thinking block carries, redacted or not; None if it is unsigned."""
    return custody.unwrap(signature, carrier=Dialect.ANTHROPIC) if signature else None


def rebind(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """Blocks of an assistant's turn with carried signatures back where they belong. One whose call
    or text the client has lost goes with it.
    """
    kept: list[Block] = []
    of_calls: dict[str, Opaque] = {}
    for block in blocks:
        owned = _owned(block)
        if owned is None:
            kept.append(_sign(block, of_calls))
            continue
        call_id, opaque = owned
        if call_id:
            of_calls[call_id] = opaque
            kept = [_sign(earlier, of_calls) for earlier in kept]
        elif kept and isinstance(kept[-1], Text):
            kept[-1] = replace(kept[-1], opaque=opaque)
        else:
            kept.append(Text(text="", opaque=opaque))
    return tuple(kept)


def _owned(block: Block) -> tuple[str, Opaque] | None:
    if not isinstance(block, Thinking) or block.opaque is None:
        return None
    if block.opaque.issuer is Dialect.ANTHROPIC:
        return None
    match = _OWNED.fullmatch(block.opaque.payload)
    return None if match is None else (match[2], replace(block.opaque, payload=match[3]))


def _sign(block: Block, of_calls: dict[str, Opaque]) -> Block:
    if isinstance(block, ToolUse) and block.id in of_calls:
        return replace(block, opaque=of_calls.pop(block.id))
    return block
