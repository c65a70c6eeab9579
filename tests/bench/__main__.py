"""Entry point: ``python -m tests.bench``, with ``--help`` for its options (``make bench``)."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from tests.bench import dialects, office, scenarios
from tests.bench.costs import Effort
from tests.bench.office_plans import plans_page
from tests.bench.report import Row, as_markdown, as_text, placed_in
from tests.bench.rig import Rig, running_rig

_FULL = Effort(rounds=3, requests=6000, seconds=5, idle_streams=1000)
_QUICK = Effort(rounds=1, requests=2000, seconds=3, idle_streams=300)
_Scenario = Callable[[Rig, Effort], Awaitable[list[Row]]]
#: Those that stop and start services come last.
_SCENARIOS: dict[str, _Scenario] = {
    "relay": scenarios.relay,
    "latency": scenarios.latency,
    "ttft": scenarios.ttft,
    "streams": scenarios.streams,
    "bodies": scenarios.bodies,
    "dialects": dialects.answers,
    "dialect_streams": dialects.streams,
    "idle_memory": scenarios.idle_memory,
    "settlement": scenarios.settlement,
    "office": office.office,
    "start_up": scenarios.start_up,
}


async def _measure(effort: Effort, names: list[str], rows: list[Row], *, plans: bool) -> str | None:
    """Adds to ``rows``; returns the page of query plans if it is wanted."""
    with tempfile.TemporaryDirectory(prefix="bytespike-bench-") as folder:
        _say("starting the stack, the vendor and the yardstick proxy")
        async with running_rig(Path(folder)) as rig:
            for name in names:
                began = time.monotonic()
                rows += await _SCENARIOS[name](rig, effort)
                _say(f"{name} ({time.monotonic() - began:.0f} s)")
            return await plans_page(rig) if plans else None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of everything")
    parser.add_argument("--only", action="append", choices=_SCENARIOS, help="repeatable")
    parser.add_argument("--markdown", type=Path, help="also put the table into this file")
    parser.add_argument("--plans", type=Path, help="put the office's query plans into this file")
    options = parser.parse_args()
    names = options.only or list(_SCENARIOS)
    if options.plans is not None and "office" not in names:
        parser.error("--plans needs the scenario office")
    effort = _QUICK if options.quick else _FULL
    rows: list[Row] = []
    try:
        plans = uvloop.run(_measure(effort, names, rows, plans=options.plans is not None))
    finally:
        print(as_text(rows))  # also what was measured before something failed
    if plans is not None:
        options.plans.write_text(plans)
    if options.markdown is not None:
        command = " ".join(["python -m tests.bench", *sys.argv[1:]])
        page = options.markdown.read_text() if options.markdown.exists() else ""
        options.markdown.write_text(placed_in(page, as_markdown(rows, command=command)))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
