"""Tallies, as Prometheus sees them: the same text the client library would have written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from bytespike_runtime.tally import CounterTally, HistogramTally

BOUNDS = (0.1, 1, 2.5)


def lines(registry: CollectorRegistry) -> list[str]:
    """Everything but the creation times, which tallies do not keep."""
    text = generate_latest(registry).decode().splitlines()
    return [line for line in text if "_created" not in line]


@given(values=st.lists(st.sampled_from([0.05, 0.1, 0.5, 1.0, 2.0, 2.5, 3.0, 1e9])))
def test_a_histogram_equals_the_librarys(values: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = HistogramTally("h_seconds", "Doc.", ["route"], bounds=BOUNDS, registry=ours)
    library = Histogram("h_seconds", "Doc.", ["route"], buckets=BOUNDS, registry=theirs)
    series = tally.series("/a")
    library.labels("/a")
    for value in values:
        series.observe(value)
        library.labels("/a").observe(value)
    assert tally.series("/a") is series
    assert lines(ours) == lines(theirs)


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "b"]])
def test_a_counter_equals_the_librarys(labels: list[str]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = CounterTally("c", "Doc.", labels, registry=ours)
    library = Counter("c", "Doc.", labels, registry=theirs)
    for number in (1, 2, 1):
        values = [f'{name}{number}"\n' for name in labels]
        tally.add(*values)
        (library.labels(*values) if labels else library).inc()
    assert lines(ours) == lines(theirs)
