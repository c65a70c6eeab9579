"""Turns of another dialect in the order this one demands.

A tool message must answer a call just before it, and every call must be answered. Results that
came late are moved up to their calls, calls that nobody answered get an empty answer, and results
of unknown calls become plain words. Each of these is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from bytespike_protocols.ir import Block, Content, Text, ToolResult, ToolUse, Turn

__all__ = ["arranged"]

_UNANSWERED = "(no result)"


def arranged(
    turns: Iterable[Turn], report: Callable[[str, bool], None]
) -> Iterator[tuple[str, Turn]]:
    """Turns with the path of the first one they were made of. ``report(path, emulated)`` hears of
    what was added or rewritten.
    """
    open_calls: dict[str, str] = {}
    placed = [(f"turns[{index}]", turn) for index, turn in enumerate(turns)]
    for role, group in groupby(placed, key=lambda item: item[1].role):
        run = list(group)
        path = run[0][0]
        if role != "user":
            yield from _unanswered(open_calls, path, report)
        if role == "assistant":
            turn = _merged(run)
            open_calls = {block.id: path for block in turn.blocks if isinstance(block, ToolUse)}
            yield path, turn
        elif role == "user":
            yield path, _with_results(run, open_calls, report)
            open_calls = {}
        else:
            yield from run
    yield from _unanswered(open_calls, "turns", report)


def _merged(run: list[tuple[str, Turn]]) -> Turn:
    """Several turns of the model as one: calls made in a row must stand in one message."""
    blocks: list[Block] = [block for _, turn in run for block in turn.blocks]
    return Turn(role="assistant", blocks=tuple(blocks), name=run[0][1].name)


def _unanswered(
    open_calls: dict[str, str], path: str, report: Callable[[str, bool], None]
) -> Iterator[tuple[str, Turn]]:
    results = tuple(_no_result(call_id) for call_id in open_calls)
    open_calls.clear()
    if results:
        report(path, True)
        yield path, Turn(role="user", blocks=results)


def _no_result(call_id: str) -> ToolResult:
    return ToolResult(id=call_id, content=(Text(text=_UNANSWERED),))


def _with_results(
    run: list[tuple[str, Turn]], open_calls: dict[str, str], report: Callable[[str, bool], None]
) -> Turn:
    """All of a run of user turns, the answers first."""
    waiting = dict(open_calls)
    results: list[Block] = []
    others: list[Block] = []
    for path, turn in run:
        for index, block in enumerate(turn.blocks):
            if not isinstance(block, ToolResult):
                others.append(block)
            elif waiting.pop(block.id, None) is not None:
                results.append(block)
            else:
                report(f"{path}.blocks[{index}]", True)
                others += _in_words(block)
    for call_id in waiting:
        report(run[0][0], True)
        results.append(_no_result(call_id))
    return Turn(role="user", blocks=(*results, *others), name=run[0][1].name)


def _in_words(result: ToolResult) -> list[Content]:
    of = f" of {result.name}" if result.name else ""
    return [Text(text=f"Result{of} ({result.id}):"), *result.content]
