"""Which of the vendor's models reason, by name: only those may be asked for reasoning state."""

from __future__ import annotations

import re

__all__ = ["may_reason"]

#: OpenAI's models that only talk. A name that is not OpenAI's belongs to a compatible vendor, whose
#: models may reason.
_TALKING = re.compile(r"gpt-[34]|chatgpt-|gpt-\d.*-chat")


def may_reason(model: str) -> bool:
    """Whether the model the vendor calls ``model`` may have reasoning to give."""
    return _TALKING.match(model) is None
