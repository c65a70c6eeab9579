"""The OpenAI Responses dialect: flat items in, named and numbered events out."""

from __future__ import annotations

from bytespike_protocols.openai_responses.codec import CODEC

__all__ = ["CODEC"]
