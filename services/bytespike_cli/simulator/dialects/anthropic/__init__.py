"""Anthropic Messages, as the vendor speaks it."""

from bytespike_cli.simulator.dialects.anthropic.dialect import ANTHROPIC

__all__ = ["ANTHROPIC"]
