"""The whole gateway for tests: `bytespike up`'s own Stack on ports and folders of its own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bytespike_cli.gateway_api import GatewayApi
from bytespike_cli.home import Home
from bytespike_cli.stack import Stack, StackOptions

__all__ = ["DEFAULT_CATALOGUE", "admin_api", "clean_environment", "running_stack"]

_ROOT = Path(__file__).parents[2]
DEFAULT_CATALOGUE = _ROOT / "deploy" / "catalogue" / "default.toml"


def clean_environment(**more: str) -> dict[str, str]:
    """What child processes of a test inherit: nothing of the developer's gateway or vendor keys."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("BYTESPIKE_") and not name.endswith("_API_KEY")
    }
    roots = [str(_ROOT / "services"), str(_ROOT / "shared")]
    return {**kept, "PYTHONPATH": os.pathsep.join(roots), **more}


@asynccontextmanager
async def running_stack(
    folder: Path,
    *,
    catalogue: Path = DEFAULT_CATALOGUE,
    edges: int = 1,
    environment: Mapping[str, str] | None = None,
    service_environment: Mapping[str, Mapping[str, str]] | None = None,
    durable: bool = False,
) -> AsyncIterator[Stack]:
    """A ready stack below ``folder``; everything of it is gone afterwards.

    ``environment`` adds variables for all services, ``service_environment`` for single ones
    (``{"ledger": {...}}``). Inside, ``stack.parts[name].kill()`` and ``.start()`` break and mend;
    whoever kills Postgres wants it ``durable``.
    """
    options = StackOptions(
        catalogue=catalogue,
        environment=clean_environment(**(environment or {})),
        service_environment=service_environment or {},
        edges=edges,
        durable=durable,
    )
    stack = Stack(Home(folder), options)
    try:
        await stack.start()
        yield stack
    finally:
        await stack.stop()


def admin_api(stack: Stack) -> GatewayApi:
    """The management API of a stack, as its operator; use as ``async with``."""
    return GatewayApi(stack.base_url, stack.admin_token)
