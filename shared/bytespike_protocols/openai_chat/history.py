"""Turns of another dialect in the order this one demands.

A tool message must answer a call just before it, and every call must be answered. Results that
came late are moved up to their calls, calls that nobody answered get an empty answer, and results
of unknown calls become plain words. Each of these is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import NamedTuple, TypeGuard

from bytespike_protocols.ir import Block, Role, Text, ToolResult, ToolUse, Turn

__all__ = ["PlacedTurn", "arranged", "placed"]

_UNANSWERED = "(no result)"


class PlacedTurn(NamedTuple):
    """A turn whose blocks come with their paths, since they may stem from several turns."""

    role: Role
    blocks: list[tuple[Block, str]]
    name: str | None = None


def placed(turns: Iterable[Turn]) -> Iterator[PlacedTurn]:
    """Turns as they are."""
    for at, turn in enumerate(turns):
        blocks = [(block, f"turns[{at}].blocks[{i}]") for i, block in enumerate(turn.blocks)]
        yield PlacedTurn(turn.role, blocks, turn.name)


def arranged(turns: Iterable[Turn], report: Callable[[str, bool], None]) -> Iterator[PlacedTurn]:
    """Turns in order. ``report(path, emulated)`` hears of what was added or rewritten."""
    #: Calls that nobody has answered, and their paths.
    open_calls: dict[str, str] = {}
    for role, group in groupby(placed(turns), key=lambda turn: turn.role):
        run = list(group)
        if role != "user":
            yield from _unanswered(open_calls, report)
        if role == "assistant":
            turn = _merged(run)
            open_calls = {block.id: path for block, path in turn.blocks if _is_call(block)}
            yield turn
        elif role == "user":
            yield _with_results(run, open_calls, report)
            open_calls = {}
        else:
            yield from run
    yield from _unanswered(open_calls, report)


def _is_call(block: Block) -> TypeGuard[ToolUse]:
    return isinstance(block, ToolUse)


def _merged(run: list[PlacedTurn]) -> PlacedTurn:
    """Several turns of the model as one: calls made in a row must stand in one message."""
    return PlacedTurn("assistant", [block for turn in run for block in turn.blocks], run[0].name)


def _unanswered(
    open_calls: dict[str, str], report: Callable[[str, bool], None]
) -> Iterator[PlacedTurn]:
    results = [_no_result(*call, report) for call in open_calls.items()]
    open_calls.clear()
    if results:
        yield PlacedTurn("user", results)


def _no_result(call_id: str, path: str, report: Callable[[str, bool], None]) -> tuple[Block, str]:
    report(f"{path}.id", True)
    return ToolResult(id=call_id, content=(Text(text=_UNANSWERED),)), path


def _with_results(
    run: list[PlacedTurn], open_calls: dict[str, str], report: Callable[[str, bool], None]
) -> PlacedTurn:
    """All of a run of user turns, the answers first."""
    waiting = dict(open_calls)
    results: list[tuple[Block, str]] = []
    others: list[tuple[Block, str]] = []
    for turn in run:
        for block, path in turn.blocks:
            if not isinstance(block, ToolResult):
                others.append((block, path))
            elif waiting.pop(block.id, None) is not None:
                results.append((block, path))
            else:
                report(f"{path}.id", True)
                others += _in_words(block, path)
    results += [_no_result(*call, report) for call in waiting.items()]
    return PlacedTurn("user", [*results, *others], run[0].name)


def _in_words(result: ToolResult, path: str) -> list[tuple[Block, str]]:
    of = f" of {result.name}" if result.name else ""
    words = Text(text=f"Result{of} ({result.id}):")
    inner = [(block, f"{path}.content[{i}]") for i, block in enumerate(result.content)]
    return [(words, path), *inner]
