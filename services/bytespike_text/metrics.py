"""All metrics of the text-router. Labels come from closed sets only: catalogue ids, enums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bytespike_contracts.money import TokenUsage
from bytespike_runtime.tally import CounterTally, HistogramTally
from bytespike_text.breaker import State

__all__ = ["Labels", "TextMetrics"]

# Requests last from a tenth of a second to the ten minutes SDKs wait at most.
_DURATION_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
_FIRST_TOKEN_BUCKETS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 25, 50)
_PER_TOKEN_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.15, 0.3, 1)
_OVERHEAD_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.05, 0.2, 1)

_TOKEN_TYPES = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write_5m": "cache_write_5m_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "reasoning": "reasoning_tokens",
}


class Labels(NamedTuple):
    """What most series are split by. ``provider`` is the dialect of the channel that answered, or
    ``none``; ``model_id`` comes from the catalogue.
    """

    protocol: str
    model_id: str
    provider: str
    stream: str


class TextMetrics:
    """The router's series in one registry. What every request feeds are tallies, the rest the
    client library's own.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._define_requests()
        self._define_plumbing()

    def _define_requests(self) -> None:
        self.duration = self._histograms(
            "gen_ai_server_request_duration_seconds",
            "From the request's arrival to the end of its answer.",
            Labels._fields,
            _DURATION_BUCKETS,
        )
        self.first_token = self._histograms(
            "gen_ai_server_time_to_first_token_seconds",
            "From the request's arrival to the first bytes of a stream.",
            Labels._fields,
            _FIRST_TOKEN_BUCKETS,
        )
        self.per_token = self._histograms(
            "gen_ai_server_time_per_output_token_seconds",
            "Time after the first bytes of a stream, per output token.",
            Labels._fields,
            _PER_TOKEN_BUCKETS,
        )
        self.overhead = self._histograms(
            "gateway_overhead_seconds",
            "Time spent here, waiting for the vendor left out.",
            ("component",),
            _OVERHEAD_BUCKETS,
        ).series("router")
        self.tokens = self._counters(
            "gen_ai_client_token_usage_total",
            "Tokens the customer was served, reported or counted.",
            ("type", "model_id", "provider"),
        )
        self.errors = self._counters(
            "gateway_errors_total", "Requests ended in an error.", ("error_type",)
        )
        self.outcomes = self._counters(
            "bytespike_text_outcomes_total",
            "Admitted requests by row of the success table.",
            ("outcome",),
        )
        self.attempts = self._counters(
            "bytespike_text_attempts_total",
            "Upstream calls by what came of them.",
            ("channel", "result"),
        )
        self.streams = self._gauge("bytespike_text_streams_in_flight", "Streams being relayed now.")
        self.pings = self._counter(
            "bytespike_text_pings_total", "Keep-alives put into silent streams."
        )

    def _define_plumbing(self) -> None:
        self.stray_tasks = self._counter(
            "bytespike_text_task_failures_total", "Requests ended by an unexpected exception."
        )
        self.catalogue_reloads = self._counters(
            "bytespike_text_catalogue_reloads_total", "Catalogue reloads by result.", ("result",)
        )
        self.finish_failures = self._counter(
            "bytespike_text_finish_failures_total", "Holds whose finish Redis did not confirm."
        )
        self.published = self._counter(
            "bytespike_text_published_events_total", "Usage events the bus took."
        )
        self.publish_failures = self._counter(
            "bytespike_text_publish_failures_total", "Messages the bus did not take."
        )
        self.spool_torn = self._counter(
            "bytespike_text_spool_torn_total", "Spool lines that were damaged."
        )
        self.spool_refusals = self._counter(
            "bytespike_text_spool_refusals_total",
            "Events the disk refused; their requests were not charged.",
        )

    def served(self, usage: TokenUsage, *, model_id: str, provider: str) -> None:
        """Count tokens by type; types with none are left alone."""
        for kind, field in _TOKEN_TYPES.items():
            count = getattr(usage, field)
            if count:
                self.tokens.add(kind, model_id, provider, by=count)

    def watch_spool(self, size_bytes: Callable[[], int], events: Callable[[], int]) -> None:
        """Read the spool's size when asked."""
        self._gauge(
            "bytespike_text_spool_bytes", "Usage events on disk, unpublished."
        ).set_function(size_bytes)
        self._gauge("bytespike_text_spool_events", "Usage events not yet published.").set_function(
            events
        )

    def watch_channels(self, states: Callable[[], Mapping[str, State]]) -> None:
        """Read the channels' states when asked."""
        self._registry.register(_ChannelCollector(states))

    def _gauge(self, name: str, words: str) -> Gauge:
        return Gauge(name, words, registry=self._registry)

    def _counter(self, name: str, words: str) -> Counter:
        return Counter(name, words, registry=self._registry)

    def _counters(self, name: str, words: str, labels: Sequence[str]) -> CounterTally:
        # The library adds the suffix when asked; here it is written out, as it is seen.
        return CounterTally(name.removesuffix("_total"), words, labels, registry=self._registry)

    def _histograms(
        self, name: str, words: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> HistogramTally:
        return HistogramTally(name, words, labels, bounds=buckets, registry=self._registry)


class _ChannelCollector(Collector):
    """One series per channel and state, 1 for the state it is in. Channels come and go with the
    catalogue, so the series are made when asked for.
    """

    def __init__(self, states: Callable[[], Mapping[str, State]]) -> None:
        self._states = states

    def collect(self) -> list[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "bytespike_text_channel_state",
            "1 for the state of a channel.",
            labels=["channel", "state"],
        )
        for channel, current in self._states().items():
            for state in State:
                family.add_metric([channel, state.value], float(state is current))
        return [family]
