"""Every metric of the edge. Labels come from closed sets: routes, status classes, error words.

Children are looked up once and kept: a label look-up per request costs more than the increment.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["UNMATCHED", "EdgeMetrics"]

#: The route label of requests whose path is not in the table.
UNMATCHED = "unmatched"

_DURATION_BUCKETS_S = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_OVERHEAD_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)


class EdgeMetrics:
    """The edge's counters in one registry."""

    def __init__(self, registry: CollectorRegistry, *, held_bytes: Callable[[], int]) -> None:
        self._requests = Counter(
            "gateway_requests",
            "Requests answered, by route and status class.",
            ["route", "status_class"],
            registry=registry,
        )
        self._errors = Counter(
            "gateway_errors",
            "Requests that ended in an error, by error word.",
            ["error_type"],
            registry=registry,
        )
        self._duration = Histogram(
            "gateway_request_duration_seconds",
            "From the request head to the end of the response.",
            ["route"],
            buckets=_DURATION_BUCKETS_S,
            registry=registry,
        )
        self._overhead = Histogram(
            "gateway_overhead_seconds",
            "Time to the response head not spent waiting for a vendor; redis = admission.",
            ["component"],
            buckets=_OVERHEAD_BUCKETS_S,
            registry=registry,
        )
        keys = Counter(
            "gateway_key_lookups", "Key records asked for.", ["result"], registry=registry
        )
        self._left = Counter(
            "gateway_clients_left",
            "Clients that left before their answer ended.",
            registry=registry,
        )
        self._replays = Counter(
            "gateway_replays", "Answers given from an idempotency record.", registry=registry
        )
        self._catalogue = Counter(
            "gateway_catalogue_reloads", "Catalogue files read.", ["result"], registry=registry
        )
        Gauge(
            "gateway_body_bytes_held", "Request bodies in memory.", registry=registry
        ).set_function(held_bytes)
        self.key_hit = keys.labels("hit").inc
        self.key_miss = keys.labels("miss").inc
        self.client_left = self._left.inc
        self.replayed = self._replays.inc
        self.observe_edge_s = self._overhead.labels("edge").observe
        self.observe_redis_s = self._overhead.labels("redis").observe
        # Bounded by the label sets: routes x five classes, and the error words.
        self._request_child = cache(self._requests.labels)
        self._duration_child = cache(self._duration.labels)
        self._error_child = cache(self._errors.labels)

    def answered(self, route: str, status: int, *, duration_s: float, error_type: str) -> None:
        """Count one finished request; ``error_type`` is empty for a success."""
        self._request_child(route, f"{status // 100}xx").inc()
        self._duration_child(route).observe(duration_s)
        if error_type:
            self._error_child(error_type).inc()

    def catalogue_read(self, good: bool) -> None:
        """A new catalogue file was taken over, or refused."""
        self._catalogue.labels("good" if good else "refused").inc()
