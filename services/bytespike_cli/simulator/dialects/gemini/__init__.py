"""Gemini, as Google's API for developers speaks it."""

from bytespike_cli.simulator.dialects.gemini.dialect import GEMINI_ROUTE, gemini_for

__all__ = ["GEMINI_ROUTE", "gemini_for"]
