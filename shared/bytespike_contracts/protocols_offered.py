"""By which protocols a model can be called: what model lists and the account's matrix both show."""

from __future__ import annotations

from collections.abc import Mapping

from bytespike_contracts.catalogue import Catalogue, Dialect, Model

__all__ = ["ALWAYS_CAPABLE", "protocols_offered"]

#: What every text model can do; the catalogue does not repeat it.
ALWAYS_CAPABLE = ("text", "streaming")
_PROTOCOLS: Mapping[Dialect, str] = {
    "anthropic": "anthropic_messages",
    "openai_chat": "openai_chat_completions",
    "openai_responses": "openai_responses",
    "gemini": "gemini_generate_content",
}


def protocols_offered(catalogue: Catalogue, group_id: str, model: Model) -> list[str]:
    """``protocol:native`` or ``protocol:translated`` for keys of the group; empty = the model
    cannot be called. The group must exist.
    """
    channels = catalogue.channels_for(group_id, model.id)
    if model.price is None or not channels:
        return []
    native = {channel.dialect for channel in channels}
    return [
        f"{word}:{'native' if dialect in native else 'translated'}"
        for dialect, word in _PROTOCOLS.items()
    ]
