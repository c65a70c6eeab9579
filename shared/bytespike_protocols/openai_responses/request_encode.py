"""The canonical request, from whichever client, to a ``POST /v1/responses`` body."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from bytespike_protocols.client_paths import in_the_clients_words
from bytespike_protocols.codec import Encoded
from bytespike_protocols.end_user import sendable_user
from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.ir import Dialect, Extra, Request, Text
from bytespike_protocols.openai_json import JSON_ONLY, lacks_the_word, wants_any_json
from bytespike_protocols.openai_models import (
    SAMPLING_DEFAULTS,
    Abilities,
    of,
    takes_sampling,
    unheard_wishes,
)
from bytespike_protocols.openai_responses.content_encode import Losses
from bytespike_protocols.openai_responses.free_form import free_form_names
from bytespike_protocols.openai_responses.input_encode import ItemWriter
from bytespike_protocols.openai_responses.knobs_encode import (
    encode_output,
    encode_reasoning,
    encode_tool_choice,
    encode_tools,
)
from bytespike_protocols.openai_responses.names import NAMES
from bytespike_protocols.openai_responses.request_decode import ENCRYPTED_STATE, LOGPROBS
from bytespike_protocols.renaming import rename_tools

__all__ = ["encode_request"]

_OWN: Final = Dialect.OPENAI_RESPONSES
#: The vendor refuses smaller limits.
_LEAST_OUTPUT_TOKENS = 16
_TIERS: Final = ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")
#: Others' words for no priority.
_TIER_NAMES: Final = {"standard": "default", "standard_only": "default"}
#: Knobs without a field here, and the values of them that change nothing.
_UNSAID_SAMPLING: Final[dict[str, tuple[Any, ...]]] = {
    "top_k": (None,),
    "seed": (None,),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, "{}"),
}

#: What this vendor's other API calls the same things, and their paths here.
_CHAT_KNOBS: Final = {
    "moderation": "moderation",
    "prompt_cache_key": "prompt_cache_key",
    "prompt_cache_options": "prompt_cache_options",
    "prompt_cache_retention": "prompt_cache_retention",
    "verbosity": "text.verbosity",
}

#: Where an extra belongs: an item, a part of it, a nested settings object, or else the body.
_PLACE = re.compile(
    r"input\[(?P<item>\d+)\](?:\.(?P<parts>content|output)\[(?P<part>\d+)\])?\.(?P<name>.+)"
    r"|(?P<object>text\.format|text|reasoning)\.(?P<field>.+)",
    re.DOTALL,
)

_encoder = msgspec.json.Encoder()


@in_the_clients_words(Dialect.OPENAI_RESPONSES)
def encode_request(request: Request, *, model: str) -> Encoded:
    """Raises ``Unrepresentable`` on content the vendor cannot take."""
    request, renamed = rename_tools(request, NAMES)
    losses = Losses()
    own = request.dialect is _OWN
    if (request.candidates or 1) > 1:
        raise Unrepresentable("candidates", "the model's vendor gives one answer at a time")
    body: dict[str, Any] = {"model": model}
    apart = _apart(request)
    body |= _encode_input(request, apart, losses)
    abilities = of(model)
    body |= _encode_knobs(request, abilities, losses)
    # Never to store is this gateway's side of a translation, so state must travel with the answer.
    body["store"] = False
    include = [ENCRYPTED_STATE] if abilities.reasons else []
    if request.sampling.logprobs and own:
        include.append(LOGPROBS)
    if include:
        body["include"] = include
    if request.stream:
        body["stream"] = True
    for extra in request.extras:
        shared = request.dialect is Dialect.OPENAI_CHAT and extra.path in _CHAT_KNOBS
        known = msgspec.structs.replace(extra, path=_CHAT_KNOBS[extra.path]) if shared else extra
        if not (own or shared) or not _place(body, known, _shift(request, apart)):
            losses.dropped(extra.path)
    return Encoded(_encoder.encode(body), losses.all(), renamed)


def _apart(request: Request) -> int:
    """How many instructions stand in ``instructions``. Alone they would be refused: where nothing
    else is said, they are the input. So they are where nobody else says "json" and the vendor looks
    for the word in the input.
    """
    says_it_alone = (
        wants_any_json(request)
        and lacks_the_word(request, request.system[1:])
        and not lacks_the_word(request, request.system[:1])
    )
    return 1 if request.turns and request.system and not says_it_alone else 0


def _encode_input(request: Request, apart: int, losses: Losses) -> dict[str, Any]:
    own = request.dialect is _OWN
    writer = ItemWriter(
        request.dialect,
        losses,
        custom=free_form_names(request.tools),
        listed=_listed(request.extras, _shift(request, apart)) if own else (),
    )
    for index, text in enumerate(request.system[apart:], apart):
        writer.instruct(f"system[{index}]", text)
    if not own and wants_any_json(request) and lacks_the_word(request, request.system):
        writer.instruct("system", Text(text=JSON_ONLY))
    for index, turn in enumerate(request.turns):
        writer.turn(f"turns[{index}]", turn)
    for index, text in enumerate(request.system):
        if text.cache is not None:
            losses.emulated(f"system[{index}].cache")
    said = {"instructions": request.system[0].text} if request.system[:apart] else {}
    return {**said, "input": writer.items()}


def _listed(extras: Iterable[Extra], shift: int) -> set[int]:
    matches = (_PLACE.fullmatch(extra.path) for extra in extras)
    return {int(match["item"]) + shift for match in matches if match and match["part"]}


def _shift(request: Request, apart: int) -> int:
    """By how many items the turns come later than extras, which reckon with ``instructions``."""
    return min(1, len(request.system)) - apart if request.turns else 0


def _encode_knobs(request: Request, abilities: Abilities, losses: Losses) -> dict[str, Any]:
    sampling = request.sampling
    own = request.dialect is _OWN
    samples = own or takes_sampling(request, abilities)
    for name in () if samples else ("temperature", "top_p"):
        if getattr(sampling, name) not in (None, SAMPLING_DEFAULTS[name]):
            losses.dropped(f"sampling.{name}")
    knobs: dict[str, Any] = {
        "tools": encode_tools(request, losses) or None,
        "tool_choice": encode_tool_choice(request),
        "parallel_tool_calls": request.parallel_tools,
        "max_output_tokens": _limit(request, losses),
        "temperature": sampling.temperature if samples else None,
        "top_p": sampling.top_p if samples else None,
        "top_logprobs": sampling.top_logprobs if own else None,
        "text": encode_output(request.output),
        "reasoning": _reasoning(request, abilities, losses),
        "safety_identifier": _user(request, losses),
        "metadata": dict(request.metadata) or None,
        "service_tier": _tier(request, losses),
    }
    for name, harmless in _UNSAID_SAMPLING.items():
        if getattr(sampling, name) not in harmless:
            losses.dropped(f"sampling.{name}")
    for name in ("logprobs", "top_logprobs"):
        if getattr(sampling, name) and request.dialect is not _OWN:
            # The answer's probabilities could not be carried back to another dialect.
            losses.dropped(f"sampling.{name}")
    if request.stop_sequences:
        losses.dropped("stop_sequences")
    if request.cache is not None:
        losses.emulated("cache")
    return {name: value for name, value in knobs.items() if value is not None}


def _reasoning(request: Request, abilities: Abilities, losses: Losses) -> dict[str, Any] | None:
    reasoning = request.reasoning
    if reasoning is None or abilities.reasons or request.dialect is _OWN:
        return encode_reasoning(reasoning, losses)
    for wish in unheard_wishes(reasoning):
        losses.dropped(wish)
    return None


def _limit(request: Request, losses: Losses) -> int | None:
    limit = request.max_output_tokens
    if limit is None or request.dialect is _OWN or limit >= _LEAST_OUTPUT_TOKENS:
        return limit
    losses.emulated("max_output_tokens")
    return _LEAST_OUTPUT_TOKENS


def _user(request: Request, losses: Losses) -> str | None:
    user = request.user
    if user is None or request.dialect is _OWN:
        return user
    if sendable_user(user) != user:
        losses.emulated("user")
    return sendable_user(user)


def _tier(request: Request, losses: Losses) -> str | None:
    tier = request.service_tier
    if tier is None or request.dialect is _OWN:
        return tier
    tier = _TIER_NAMES.get(tier, tier)
    if tier in _TIERS:
        return tier
    losses.dropped("service_tier")
    return None


def _place(body: dict[str, Any], extra: Extra, shift: int) -> bool:
    """Write an extra back; False if what it belonged to is not there any more."""
    match = _PLACE.fullmatch(extra.path)
    if match is None and extra.path == "include":
        body["include"] = body.get("include", []) + msgspec.json.decode(extra.value)
        return True
    target = body if match is None else _target(body, match, shift)
    if target is None:
        return False
    name = extra.path if match is None else match["field"] or match["name"]
    target[name] = msgspec.Raw(extra.value.encode())
    return True


def _target(body: dict[str, Any], match: re.Match[str], shift: int) -> dict[str, Any] | None:
    target: Any = body
    if match["object"]:
        for name in match["object"].split("."):
            target = target.setdefault(name, {})
    else:
        target = _element(body["input"], int(match["item"]) + shift)
        if match["part"] and isinstance(target, dict):
            target = _element(target.get(match["parts"]), int(match["part"]))
    return target if isinstance(target, dict) else None


def _element(array: Any, index: int) -> Any:
    return array[index] if isinstance(array, list) and index < len(array) else None
