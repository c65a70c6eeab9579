"""The one place that knows all four dialects."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bytespike_protocols import anthropic, gemini, openai_chat, openai_responses
from bytespike_protocols.codec import Codec
from bytespike_protocols.ir import Dialect

__all__ = ["CODECS", "codec_of"]

#: By the dialect a client or a vendor speaks.
CODECS: Mapping[Dialect, Codec] = MappingProxyType(
    {
        Dialect.ANTHROPIC: anthropic.CODEC,
        Dialect.OPENAI_CHAT: openai_chat.CODEC,
        Dialect.OPENAI_RESPONSES: openai_responses.CODEC,
        Dialect.GEMINI: gemini.CODEC,
    }
)


def codec_of(dialect: Dialect, *, compatible: bool = False) -> Codec:
    """The codec for a vendor of ``dialect``. ``compatible``: it only took the dialect over from its
    inventor; requests to such hosts keep to older fields.
    """
    if compatible and dialect is Dialect.OPENAI_CHAT:
        return openai_chat.COMPATIBLE_CODEC
    return CODECS[dialect]
