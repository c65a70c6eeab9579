"""The Gemini (Google) dialect."""

from __future__ import annotations

from bytespike_protocols.gemini.codec import CODEC

__all__ = ["CODEC"]
