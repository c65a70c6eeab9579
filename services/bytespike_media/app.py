"""The media process: what it opens, what it answers, how it ends.

No media endpoint is enabled yet, so every request is answered with an honest 404 in the dialect
media routes speak; health, metrics and drain are those of every service.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from aiohttp import web
from prometheus_client import Counter

from bytespike_contracts.catalogue import Catalogue, CatalogueError, parse_catalogue
from bytespike_contracts.errors import ErrorCode
from bytespike_contracts.ids import mint_id
from bytespike_media.settings import MediaSettings
from bytespike_protocols.openai_chat.failure import encode_error
from bytespike_runtime import pg
from bytespike_runtime.bus import Bus
from bytespike_runtime.health import Health
from bytespike_runtime.logs import get_logger
from bytespike_runtime.metrics import new_registry
from bytespike_runtime.service import Handler, HttpService, StartError, serve

__all__ = ["amain"]

_log = get_logger()


async def amain(settings: MediaSettings, stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set. Raises :class:`StartError` if the catalogue cannot be used."""
    catalogue = _read_catalogue(settings.catalogue)
    _log.info("catalogue loaded", revision=catalogue.revision, models=len(catalogue.models))
    registry = new_registry("media")
    requests = Counter(
        "bytespike_media_requests", "Requests answered, by status.", ["status"], registry=registry
    )
    health = Health()
    async with AsyncExitStack() as stack:
        # No connection yet: the process starts and reports itself not ready while Postgres is away.
        pool = await pg.connect_pool(settings.postgres_url.reveal(), min_size=0)
        stack.push_async_callback(pool.close)
        bus = Bus(settings.nats_url.reveal(), name="media")
        await bus.start()
        stack.push_async_callback(bus.close)
        health.add("postgres", partial(pg.ping, pool))
        health.add("nats", bus.ping)
        await serve(
            HttpService(
                name="media",
                host=settings.host,
                port=settings.port,
                ops_port=settings.ops_port,
                handler=_handler(requests),
                health=health,
                registry=registry,
                on_bad_request=_malformed,
                drain_timeout_s=settings.drain_timeout_s,
            ),
            stop,
        )


def _read_catalogue(path: str) -> Catalogue:
    try:
        return parse_catalogue(Path(path).read_text(encoding="utf-8"), os.environ)
    except CatalogueError as error:
        raise StartError("\n".join(f"{path}: {problem}" for problem in error.problems)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"cannot read the catalogue: {error}") from error


def _handler(requests: Counter) -> Handler:
    not_found = requests.labels("404")

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        began = time.monotonic()
        request_id = _new_request_id()
        answer = _failure(
            ErrorCode.NOT_FOUND, "no media endpoint is enabled on this gateway yet", request_id
        )
        not_found.inc()
        _log.info(
            "request",
            request_id=request_id,
            method=request.method,
            status=answer.status,
            error_type=ErrorCode.NOT_FOUND.value,
            duration_ms=round((time.monotonic() - began) * 1000, 3),
        )
        return answer

    return handle


def _malformed(status: int, reason: str) -> web.Response:
    code = ErrorCode.INVALID_REQUEST if status < 500 else ErrorCode.INTERNAL_ERROR
    return _failure(code, reason, _new_request_id())


def _failure(code: ErrorCode, message: str, request_id: str) -> web.Response:
    return web.Response(
        status=code.status,
        body=encode_error(
            status=code.status, code=code.value, message=message, param=None, request_id=request_id
        ),
        content_type="application/json",
        headers={"x-request-id": request_id},
    )


def _new_request_id() -> str:
    return mint_id("req", time.time_ns() // 1_000_000, secrets.token_bytes(10))
