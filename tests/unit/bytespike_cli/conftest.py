"""A server that remembers what the command line asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from bytespike_cli.ports import LOOPBACK
from tests.support.admin_cli import Recorder


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    recorder = Recorder()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", recorder.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0)
    await site.start()
    recorder.url = f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    yield recorder
    await runner.cleanup()
