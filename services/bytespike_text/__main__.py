"""``python -m bytespike_text``: the text-router as a process."""

from __future__ import annotations

from bytespike_runtime.service import main
from bytespike_text.app import amain
from bytespike_text.settings import TextSettings

if __name__ == "__main__":
    main("text", TextSettings, amain)
