"""Extras that a translation must not treat as just another lost field.

Most of what only one dialect can say is a knob: without it the answer is a little different, and
the client is told. A few extras are more than that, since without them the vendor would answer
another question, and a few are less, since they ask for what a translation does anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.ir import Dialect, Extra

__all__ = ["is_emulated", "is_idle", "placeless", "refuse_essential"]

_INDEX: Final = re.compile(r"\[\d+\]")

_STORED = "what a vendor has stored is not known to the model's vendor"
_MEDIA = "this model answers in text only"
_STATE = "conversations are not kept by the gateway: send the whole of it"

#: Path -> why the request makes no sense without it.
_ESSENTIAL: Final[dict[Dialect, dict[str, str]]] = {
    Dialect.ANTHROPIC: {
        "compaction": "the model's vendor does not summarise conversations",
        "mcp_servers": "the model's vendor does not call these servers",
        "thread": _STATE,
    },
    Dialect.OPENAI_CHAT: {
        "audio": _MEDIA,
        "messages[].audio": _STORED,
        "modalities": _MEDIA,
    },
    Dialect.OPENAI_RESPONSES: {
        "background": "the answer would not be kept until it is fetched",
        "conversation": _STATE,
        "previous_response_id": _STATE,
        "prompt": _STORED,
        "store": "answers are not kept by the gateway, so none can be fetched or continued later",
    },
    Dialect.GEMINI: {
        "cachedContent": _STORED,
        "continuationToken": _STATE,
        "generationConfig.responseMimeType": "answers are text or application/json",
        "generationConfig.responseModalities": _MEDIA,
    },
}

#: Path -> values that ask for nothing a translation would not do without being asked.
_IDLE: Final[dict[Dialect, dict[str, tuple[object, ...]]]] = {
    Dialect.ANTHROPIC: {"speed": ("standard",)},
    Dialect.OPENAI_CHAT: {
        "modalities": (["text"],),
        "store": (False,),
        "stream_options.include_obfuscation": (False,),
    },
    Dialect.OPENAI_RESPONSES: {"stream_options": ({"include_obfuscation": False},)},
    Dialect.GEMINI: {
        "contents[].parts[].thought": (False,),
        "generationConfig.responseMimeType": ("text/plain",),
        "generationConfig.responseModalities": (["TEXT"],),
        "generationConfig.thinkingConfig.thinkingBudget": (-1,),
        "store": (False,),
        "systemInstruction.parts[].thought": (False,),
        "systemInstruction.role": ("user", "system", "model"),
    },
}


def is_emulated(dialect: Dialect, extra: Extra) -> bool:
    """Whether the extra only marks what was already said by other means: a free-form tool of
    Responses reaches others as the function of one text.
    """
    marks = dialect is Dialect.OPENAI_RESPONSES and extra.path.endswith("].type")
    return marks and extra.value == '"custom"'


def is_idle(dialect: Dialect, extra: Extra) -> bool:
    """Whether losing the extra loses nothing."""
    idle = _IDLE[dialect].get(placeless(extra.path), ())
    return bool(idle) and msgspec.json.decode(extra.value) in idle


def refuse_essential(dialect: Dialect, extras: Iterable[Extra]) -> None:
    """Raises ``Unrepresentable`` if another dialect would answer another question."""
    essential = _ESSENTIAL[dialect]
    for extra in extras:
        reason = essential.get(placeless(extra.path))
        if reason is not None and not is_idle(dialect, extra):
            raise Unrepresentable(extra.path, reason)


def placeless(path: str) -> str:
    """The path without places in arrays: ``messages[3].role`` becomes ``messages[].role``."""
    return _INDEX.sub("[]", path)
