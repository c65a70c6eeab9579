"""What a model of OpenAI's takes and refuses, by its name: the one table of such limits, for both
of its APIs.

Only requests translated from other dialects are fitted to it; OpenAI's own clients know their
model. A name that is not OpenAI's belongs to a compatible vendor, which is taken to refuse nothing.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from bytespike_protocols.ir import Effort, Reasoning, Request

__all__ = ["SAMPLING_DEFAULTS", "Abilities", "of", "takes_sampling", "unheard_wishes"]

#: What reasoning models insist on while they reason.
SAMPLING_DEFAULTS: Final = {
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
}

_TALKING = re.compile(r"gpt-[34]|chatgpt-|gpt-\d.*-chat")
_REASONING = re.compile(r"o[134](-|$)|gpt-\d|codex-")
_UNSTOPPABLE = re.compile(r"o3|o4-mini")


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """``reasons``: may be asked for effort and for reasoning state. ``sampling``: takes other
    values than :data:`SAMPLING_DEFAULTS` while it reasons. ``stops``: takes stop sequences.
    """

    reasons: bool = True
    sampling: bool = True
    stops: bool = True


def of(model: str) -> Abilities:
    """The abilities of the model the vendor calls ``model``."""
    if _TALKING.match(model):
        return Abilities(reasons=False)
    if _REASONING.match(model):
        return Abilities(sampling=False, stops=_UNSTOPPABLE.match(model) is None)
    return Abilities()


def takes_sampling(request: Request, abilities: Abilities) -> bool:
    """Whether the knobs of :data:`SAMPLING_DEFAULTS` may be turned: where the model does not
    reason, or not this time.
    """
    return abilities.sampling or _is_off(request.reasoning)


def unheard_wishes(reasoning: Reasoning) -> list[str]:
    """Names of what was asked about reasoning that a model without any cannot heed."""
    if _is_off(reasoning):
        return []
    if reasoning.effort is not None:
        wishes = ["reasoning.effort"]
    elif reasoning.budget_tokens is not None:
        wishes = ["reasoning.budget_tokens"]
    else:
        wishes = [] if reasoning.show else ["reasoning.mode"]
    return [*wishes, "reasoning.show"] if reasoning.show else wishes


def _is_off(reasoning: Reasoning | None) -> bool:
    return reasoning is not None and (reasoning.mode == "off" or reasoning.effort is Effort.NONE)
