"""OpenAI: one vendor with two APIs, Chat Completions and Responses."""

from bytespike_cli.simulator.dialects.openai.chat import OPENAI_CHAT

__all__ = ["OPENAI_CHAT"]
