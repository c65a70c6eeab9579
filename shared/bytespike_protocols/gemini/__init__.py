"""The Gemini (Google) dialect."""
