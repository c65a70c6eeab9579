"""Counters and histograms that cost next to nothing to feed.

The client library takes a lock for every increment; a process with one event loop needs none. These
keep plain numbers and hand them to the library when Prometheus asks. Feed them from the event
loop's thread only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["CounterTally", "HistogramTally", "Series"]


class CounterTally(Collector):
    """A counter split by labels, which must come from closed sets."""

    def __init__(
        self, name: str, doc: str, labels: Sequence[str], *, registry: CollectorRegistry
    ) -> None:
        self._family = name, doc, labels
        self._counts: dict[tuple[str, ...], int] = {}
        registry.register(self)

    def add(self, *labels: str, by: int = 1) -> None:
        """That many more with these labels."""
        self._counts[labels] = self._counts.get(labels, 0) + by

    def collect(self) -> Iterator[Metric]:
        """What the registry asks for at a scrape."""
        name, doc, labels = self._family
        family = CounterMetricFamily(name, doc, labels=labels)
        for values, count in self._counts.items():
            family.add_metric(values, count)
        yield family


class Series:
    """One histogram: how many values fell into each bucket, and their sum."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count ``value`` in the first bucket whose upper bound is not below it."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class HistogramTally(Collector):
    """Histograms split by labels, which must come from closed sets."""

    def __init__(
        self,
        name: str,
        doc: str,
        labels: Sequence[str],
        *,
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._family = name, doc, labels
        self._bounds = tuple(bounds)
        self._series: dict[tuple[str, ...], Series] = {}
        registry.register(self)

    def series(self, *values: str) -> Series:
        """The histogram of these label values."""
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = Series(self._bounds)
        return series

    def collect(self) -> Iterator[Metric]:
        """What the registry asks for at a scrape."""
        name, doc, labels = self._family
        family = HistogramMetricFamily(name, doc, labels=labels)
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        for values, series in self._series.items():
            running, buckets = 0, []
            for bound, count in zip(names, series.counts, strict=True):
                running += count
                buckets.append((bound, running))
            family.add_metric(values, buckets=buckets, sum_value=series.total)
        yield family
