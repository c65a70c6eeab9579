"""The Anthropic Messages dialect: our native one."""

from __future__ import annotations

from bytespike_protocols.anthropic.codec import CODEC

__all__ = ["CODEC"]
