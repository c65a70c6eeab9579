"""The OpenAI dialect: Chat Completions, spoken by OpenAI and most other vendors."""

from __future__ import annotations

from bytespike_protocols.openai_chat.codec import CODEC, COMPATIBLE_CODEC

__all__ = ["CODEC", "COMPATIBLE_CODEC"]
