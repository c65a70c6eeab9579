"""A request while it is written: what its own dialect left beside it, and what gets lost."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from bytespike_protocols.anthropic import models
from bytespike_protocols.anthropic.fields import join_path, split_path
from bytespike_protocols.anthropic.identity import Identities
from bytespike_protocols.codec import Loss
from bytespike_protocols.ir import CacheControl, Dialect, Extra, Json, Request, Tool

__all__ = ["Draft", "Wire", "raw"]

#: A JSON object of the body.
Wire = dict[str, Any]


def raw(text: Json) -> msgspec.Raw:
    """JSON text to be written as it is."""
    return msgspec.Raw(text.encode())


class Draft:
    """``own``: the client speaks Anthropic, so its extras go back in their places and its shapes
    are not second-guessed. Otherwise extras are losses and ``abilities`` are heeded.
    """

    __slots__ = ("_breakpoints", "_extras", "abilities", "identities", "losses", "own")

    def __init__(self, request: Request, model: str) -> None:
        self.own = request.dialect is Dialect.ANTHROPIC
        self.abilities = models.of(model)
        self.identities = Identities()
        self.losses: list[Loss] = []
        self._extras: dict[str, dict[str, msgspec.Raw]] = {}
        self._breakpoints: list[tuple[Wire, str]] = []
        extras = list(request.extras)
        for tool in request.tools:
            extras += tool.extras if isinstance(tool, Tool) else ()
        for extra in extras:
            self._take(extra)

    def _take(self, extra: Extra) -> None:
        if not self.own:
            self.lose(extra.path)
            return
        owner, name = split_path(extra.path)
        self._extras.setdefault(owner, {})[name] = raw(extra.value)

    def lose(self, path: str, verdict: Literal["dropped", "emulated"] = "dropped") -> None:
        """Note what the vendor will not see as it was meant."""
        self.losses.append(Loss(path, verdict))

    def block_path(self, turn: int, block: int) -> str:
        """Where a block stands: in the client's body if it speaks Anthropic, else in the IR."""
        if self.own:
            return f"messages[{turn}].content[{block}]"
        return f"turns[{turn}].blocks[{block}]"

    def finish(self, path: str, wire: Wire) -> Wire:
        """The object at ``path`` with its extras."""
        return wire | self._extras.get(path, {})

    def breakpoint(self, wire: Wire, cache: CacheControl | None, path: str) -> None:
        """Put a cache breakpoint on an object that is certain to be sent."""
        if cache is None:
            return
        where = join_path(path, "cache_control")
        control = {"type": "ephemeral"} | ({"ttl": cache.ttl} if cache.ttl else {})
        wire["cache_control"] = self.finish(where, control)
        self._breakpoints.append((wire, where))

    def limit_breakpoints(self) -> None:
        """Keep the last ones, which cover the longest prefixes."""
        for wire, path in self._breakpoints[: -models.MAX_CACHE_BREAKPOINTS]:
            del wire["cache_control"]
            self.lose(path)
