"""One request while it is served: what is known so far, for its headers, log line, metrics.

Filled in as the request passes its stages, so that wherever it ends, what was known by then is
reported. It holds no request body and no credential.
"""

from __future__ import annotations

import os
import random
import time

from aiohttp import web

from bytespike_contracts.ids import mint_id
from bytespike_contracts.money import format_usd
from bytespike_edge.admission import Look
from bytespike_edge.key_cache import KnownKey
from bytespike_edge.limit_headers import limit_headers
from bytespike_edge.metrics import UNMATCHED, EdgeMetrics
from bytespike_edge.routes import Route
from bytespike_protocols.ir import Dialect
from bytespike_runtime.logs import RequestLine, log_request

__all__ = ["Call", "mint_request_id"]

#: Ids must not collide; they need not be secret. A generator with a seed of its own saves a system
#: call on every request.
_entropy = random.Random(os.urandom(32))  # noqa: S311


def mint_request_id(now_ms: int | None = None) -> str:
    """A new id for a request; also the id of its hold and of its only charge."""
    return mint_id("req", now_ms or time.time_ns() // 1_000_000, _entropy.randbytes(10))


class _Line(RequestLine):
    """The edge's canonical line."""

    request_id: str
    route: str
    status: int
    error_type: str
    key_id: str | None
    account_id: str | None
    model: str
    stream: bool
    estimate_uusd: int | None
    cost_uusd: int | None
    duration_ms: float
    overhead_ms: float
    bytes_in: int
    bytes_out: int
    client_left: bool
    replayed: bool


class Call:
    """The running account of one request. ``None`` and 0 mean "not known (yet)"."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "client_left",
        "cost_uusd",
        "dialect",
        "error_type",
        "estimate_uusd",
        "key",
        "look",
        "model",
        "overhead_s",
        "replayed",
        "request_id",
        "route",
        "started",
        "started_ms",
        "stream",
        "upstream_headers",
        "upstream_s",
    )

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.started_ms = time.time_ns() // 1_000_000
        self.request_id = mint_request_id(self.started_ms)
        self.dialect = Dialect.OPENAI_CHAT
        self.route: Route | None = None
        self.key: KnownKey | None = None
        self.look: Look | None = None
        self.model = ""
        self.stream = False
        self.replayed = False
        self.estimate_uusd: int | None = None
        self.cost_uusd: int | None = None
        #: Time the services behind spent waiting for a vendor, as they report it.
        self.upstream_s = 0.0
        #: The rest of the time until the response head; set when :meth:`headers` is asked for.
        self.overhead_s = 0.0
        self.upstream_headers: dict[str, str] = {}
        self.bytes_in = 0
        self.bytes_out = 0
        self.error_type = ""
        self.client_left = False

    def headers(self) -> dict[str, str]:
        """The gateway's own response headers, as far as they are known now."""
        self.overhead_s = max(0.0, time.perf_counter() - self.started - self.upstream_s)
        headers = {
            "X-Request-Id": self.request_id,
            "request-id": self.request_id,
            "Server": "ByteSpike",
            "X-ByteSpike-Overhead-Ms": f"{self.overhead_s * 1000:.2f}",
            **self.upstream_headers,
        }
        if self.estimate_uusd is not None:
            headers["X-Estimated-Credits"] = format_usd(self.estimate_uusd)
        if self.cost_uusd is not None:
            headers["X-Credits-Used"] = format_usd(self.cost_uusd)
        if self.key is not None and self.look is not None:
            headers |= limit_headers(
                self.key.record,
                self.key.limits,
                self.look.state,
                now_ms=self.look.now_ms,
                own_cost_uusd=self.cost_uusd or 0,
            )
        return headers

    def finish(self, response: web.StreamResponse, metrics: EdgeMetrics) -> None:
        """Write the one log line and count."""
        duration_s = time.perf_counter() - self.started
        route = UNMATCHED if self.route is None else self.route.template
        metrics.answered(route, response.status, duration_s=duration_s, error_type=self.error_type)
        metrics.observe_edge_s(self.overhead_s)
        if self.client_left:
            metrics.client_left()
        record = None if self.key is None else self.key.record
        log_request(
            _Line(
                request_id=self.request_id,
                route=route,
                status=response.status,
                error_type=self.error_type,
                key_id=None if record is None else record.key_id,
                account_id=None if record is None else record.account_id,
                model=self.model,
                stream=self.stream,
                estimate_uusd=self.estimate_uusd,
                cost_uusd=self.cost_uusd,
                duration_ms=round(duration_s * 1000, 2),
                overhead_ms=round(self.overhead_s * 1000, 2),
                bytes_in=self.bytes_in,
                bytes_out=self.bytes_out,
                client_left=self.client_left,
                replayed=self.replayed,
            )
        )
