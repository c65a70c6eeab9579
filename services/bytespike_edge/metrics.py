"""Every metric of the edge. Labels come from closed sets: routes, status classes, error words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Gauge

from bytespike_runtime.tally import CounterTally, HistogramTally

__all__ = ["UNMATCHED", "EdgeMetrics"]

#: The route label of requests whose path is not in the table.
UNMATCHED = "unmatched"

_DURATION_BOUNDS_S = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_OVERHEAD_BOUNDS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)


class EdgeMetrics:
    """The edge's numbers in one registry."""

    def __init__(self, registry: CollectorRegistry, *, held_bytes: Callable[[], int]) -> None:
        counter = partial(CounterTally, registry=registry)
        self._requests = counter(
            "gateway_requests",
            "Requests answered, by route and status class.",
            ["route", "status_class"],
        )
        self._errors = counter(
            "gateway_errors", "Requests that ended in an error, by error word.", ["error_type"]
        )
        keys = counter("gateway_key_lookups", "Key records asked for.", ["result"])
        failures = counter(
            "gateway_auth_failures",
            "Requests without a valid key: answered with 401, or put off with 429.",
            ["result"],
        )
        self._catalogue = counter("gateway_catalogue_reloads", "Catalogue files read.", ["result"])
        self._duration = HistogramTally(
            "gateway_request_duration_seconds",
            "From the request head to the end of the response.",
            ["route"],
            bounds=_DURATION_BOUNDS_S,
            registry=registry,
        )
        overhead = HistogramTally(
            "gateway_overhead_seconds",
            "Time to the response head not spent waiting for a vendor; redis = admission.",
            ["component"],
            bounds=_OVERHEAD_BOUNDS_S,
            registry=registry,
        )
        Gauge(
            "gateway_body_bytes_held", "Request bodies in memory.", registry=registry
        ).set_function(held_bytes)
        self.key_hit = partial(keys.add, "hit")
        self.key_miss = partial(keys.add, "miss")
        self.auth_refused = partial(failures.add, "refused")
        self.auth_put_off = partial(failures.add, "put_off")
        self.client_left = counter(
            "gateway_clients_left", "Clients that left before their answer ended.", []
        ).add
        self.replayed = counter(
            "gateway_replays", "Answers given from an idempotency record.", []
        ).add
        self.observe_edge_s = overhead.series("edge").observe
        self.observe_redis_s = overhead.series("redis").observe

    def answered(self, route: str, status: int, *, duration_s: float, error_type: str) -> None:
        """Count one finished request; ``error_type`` is empty for a success."""
        self._requests.add(route, f"{status // 100}xx")
        self._duration.series(route).observe(duration_s)
        if error_type:
            self._errors.add(error_type)

    def catalogue_read(self, good: bool) -> None:
        """A new catalogue file was taken over, or refused."""
        self._catalogue.add("good" if good else "refused")
