"""Metrics: one registry per process, so that nothing is shared by accident and tests start clean.

Labels come from closed sets only (never an id, an address, a raw path or a raw model name): a label
a caller can choose is memory a caller can take.
"""

from __future__ import annotations

import platform
from importlib import metadata

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest

__all__ = ["CONTENT_TYPE", "exposition", "new_registry"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def new_registry(service: str) -> CollectorRegistry:
    """A registry with ``bytespike_build_info`` and the process metrics (CPU, RSS, fds) in it."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    Gauge(
        "bytespike_build_info",
        "Which build runs here; the value is always 1.",
        ["service", "version", "python"],
        registry=registry,
    ).labels(service, _version(), platform.python_version()).set(1)
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """The registry as Prometheus text, to be sent as :data:`CONTENT_TYPE`."""
    return generate_latest(registry)


def _version() -> str:
    try:
        return metadata.version("bytespike")
    except metadata.PackageNotFoundError:  # run from a source tree that was never installed
        return "source"
