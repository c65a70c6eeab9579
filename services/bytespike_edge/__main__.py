"""``python -m bytespike_edge``."""

from __future__ import annotations

from bytespike_edge.app import amain
from bytespike_edge.settings import EdgeSettings
from bytespike_runtime.service import main

if __name__ == "__main__":
    main("edge", EdgeSettings, amain)
