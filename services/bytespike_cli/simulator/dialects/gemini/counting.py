"""What a Gemini prompt counts, by modality. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from bytespike_cli.simulator.prefixes import Part
from bytespike_cli.simulator.tokens import (
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    encoded_tokens,
    text_tokens,
)

__all__ = ["details", "parts_of"]

Json = dict[str, Any]

#: Fields of a prompt that the model does not read.
_UNCOUNTED = frozenset({"thoughtSignature", "thought", "id", "role", "videoMetadata"})


def parts_of(request: Json) -> list[Part]:
    """The prompt in the order the cache sees it: tools, schema, system, contents."""
    config = request.get("generationConfig") or {}
    leading = [*(request.get("tools") or ()), config.get("responseSchema")]
    leading += [config.get("responseJsonSchema"), request.get("systemInstruction")]
    parts = [Part(_bytes(value), _count(value).total()) for value in leading if value]
    for content in request["contents"]:
        parts.append(Part(_bytes(content), _count(content["parts"]).total() + MESSAGE_TOKENS))
    return parts


def details(request: Json, total: int) -> list[Json]:
    """The tokens of a prompt by modality; whatever is not media is text."""
    media: Counter[str] = Counter()
    for content in request["contents"]:
        media += _count(content["parts"])
    del media["TEXT"]
    rows = [("TEXT", total - media.total()), *sorted(media.items())]
    return [{"modality": name, "tokenCount": count} for name, count in rows]


def _bytes(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _count(value: Any) -> Counter[str]:
    if isinstance(value, str):
        return Counter(TEXT=text_tokens(value))
    if isinstance(value, list):
        return sum((_count(item) for item in value), Counter[str]())
    if not isinstance(value, dict):
        return Counter(TEXT=0 if value is None else 1)
    if "inlineData" in value:
        blob = value["inlineData"]
        return _media(blob.get("mimeType", ""), encoded_tokens(blob.get("data", "")))
    if "fileData" in value:
        return _media(value["fileData"].get("mimeType", ""), 1)
    counted = (item for name, item in value.items() if name not in _UNCOUNTED)
    return sum((_count(item) for item in counted), Counter[str]())


def _media(mime: str, tokens: int) -> Counter[str]:
    kind = mime.partition("/")[0].upper()
    if kind == "IMAGE":
        tokens = IMAGE_TOKENS
    modality = kind if kind in ("IMAGE", "AUDIO", "VIDEO", "TEXT") else "DOCUMENT"
    return Counter({modality: tokens})
