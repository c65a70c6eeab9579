"""OpenAI: one vendor with two APIs, Chat Completions and Responses."""

from bytespike_cli.simulator.dialects.openai.chat import OPENAI_CHAT
from bytespike_cli.simulator.dialects.openai.responses import OPENAI_RESPONSES

__all__ = ["OPENAI_CHAT", "OPENAI_RESPONSES"]
