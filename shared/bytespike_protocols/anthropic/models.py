"""What a Claude model takes and refuses, by its name: the one table of such limits.

Only requests translated from other dialects are fitted to it; Anthropic's own clients know their
model. A name that is not Claude's belongs to a compatible vendor: those follow the older rules.
"""

from __future__ import annotations

import re

import msgspec

from bytespike_protocols.ir import Effort

__all__ = ["MAX_CACHE_BREAKPOINTS", "MAX_STRICT_TOOLS", "MIN_THINKING_TOKENS", "Abilities", "of"]

#: Over tools, system and messages together; the vendor refuses a fifth.
MAX_CACHE_BREAKPOINTS = 4
#: Strict tools a request may define; the vendor refuses more.
MAX_STRICT_TOOLS = 20
#: The smallest manual thinking budget.
MIN_THINKING_TOKENS = 1024

_CLASSIC_LEVELS = frozenset({Effort.LOW, Effort.MEDIUM, Effort.HIGH})

# claude-opus-4-8, claude-sonnet-5, claude-opus-4-20250514; and claude-3-5-sonnet-20241022.
_FAMILY_FIRST = re.compile(r"claude-[a-z]+-(\d{1,2})(?!\d)(?:-(\d{1,2})(?!\d))?")
_VERSION_FIRST = re.compile(r"claude-(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?")
_NEWEST = (99, 0)


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """``budget``: manual thinking by tokens. ``adaptive``: thinking left to the model and steered
    by an effort of ``levels``. ``sampling``: temperature and its like. ``system_turns``: system
    messages in mid-conversation. ``prefill``: the last message may be the assistant's.
    """

    budget: bool = True
    adaptive: bool = False
    levels: frozenset[Effort] = frozenset()
    sampling: bool = True
    system_turns: bool = False
    prefill: bool = True


def of(model: str) -> Abilities:
    """The abilities of the model the vendor calls ``model``."""
    if "claude" not in model:
        return Abilities()
    version = _version(model)
    adaptive = version >= (4, 6)
    levels = _CLASSIC_LEVELS | {Effort.MAX} if adaptive else frozenset[Effort]()
    if version >= (4, 7):
        levels |= {Effort.XHIGH}
    return Abilities(
        budget=(3, 7) <= version < (4, 6),
        adaptive=adaptive,
        levels=levels,
        sampling=version < (4, 7),
        system_turns=version >= (4, 8),
        prefill=version < (4, 6),
    )


def _version(model: str) -> tuple[int, int]:
    match = _FAMILY_FIRST.search(model) or _VERSION_FIRST.search(model)
    if match is None:
        return _NEWEST
    return int(match[1]), int(match[2] or 0)
