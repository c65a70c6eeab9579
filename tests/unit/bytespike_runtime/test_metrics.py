"""Metrics: a registry of the process's own, in Prometheus' text form."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from bytespike_runtime.metrics import exposition, new_registry


def test_a_new_registry_says_what_runs_and_what_it_uses() -> None:
    families = {
        family.name: family
        for family in text_string_to_metric_families(exposition(new_registry("edge")).decode())
    }
    (build,) = families["bytespike_build_info"].samples
    assert build.labels["service"] == "edge"
    assert build.value == 1
    assert families["process_resident_memory_bytes"].samples[0].value > 0


def test_registries_do_not_share_anything() -> None:
    assert b'service="text"' not in exposition(new_registry("edge"))
    assert b'service="text"' in exposition(new_registry("text"))
