"""Hosts that speak another vendor's API, known by the names of their models."""

from __future__ import annotations

__all__ = ["is_of_compatible_host"]

_PREFIXES = ("deepseek-", "doubao-", "glm-", "kimi-", "minimax-", "qwen", "sim-compatible")


def is_of_compatible_host(model: str) -> bool:
    """Whether such a host serves the model, on Messages or Chat Completions."""
    return model.lower().startswith(_PREFIXES)
