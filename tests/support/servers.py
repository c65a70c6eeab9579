"""Servers for tests: the same real ones as `bytespike up`, in a folder of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from bytespike_cli.servers import LocalServer

__all__ = ["running"]

S = TypeVar("S", bound=LocalServer)


@asynccontextmanager
async def running(server: S) -> AsyncIterator[S]:
    """Start ``server``, hand it out ready, stop it. Inside it may be killed and started again."""
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
