"""The yardstick: a plain aiohttp pass-through proxy, server and client of the shelf, nothing else.

Run as a process of its own: ``python -m tests.bench.proxy PORT UPSTREAM_URL``.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import ClientSession, TCPConnector, web

__all__ = ["main"]

_HOP_BY_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})
_MAX_BODY_BYTES = 32 * 1024 * 1024


async def _serve(port: int, upstream: str) -> None:
    connector = TCPConnector(limit=0)
    async with ClientSession(upstream, connector=connector, auto_decompress=False) as session:

        async def forward(request: web.BaseRequest) -> web.StreamResponse:
            headers = [(k, v) for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP]
            body = await request.content.read()
            async with session.request(
                request.method, request.path_qs, headers=headers, data=body
            ) as answer:
                passed = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP}
                if answer.content_length is not None:
                    return web.Response(
                        body=await answer.read(), status=answer.status, headers=passed
                    )
                response = web.StreamResponse(status=answer.status, headers=passed)
                await response.prepare(request)
                async for piece in answer.content.iter_any():
                    await response.write(piece)
                return response

        runner = web.ServerRunner(web.Server(forward))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
        await asyncio.Event().wait()


def main() -> None:
    uvloop.run(_serve(int(sys.argv[1]), sys.argv[2]))


if __name__ == "__main__":
    main()
