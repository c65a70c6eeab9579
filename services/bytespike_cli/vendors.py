"""Which vendors the simulator stands in for: those of the catalogue that nobody gave a key for.

The catalogue alone decides, so a new vendor needs no line here: a channel whose credential is an
unset variable, and which can be pointed elsewhere by ``base_url_env``, is redirected.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bytespike_contracts.catalogue import Channel, parse_catalogue

__all__ = ["simulated_vendors"]

#: Any non-empty key will do for the simulator; this one says in logs and records what it is.
_SIMULATED_KEY = "sk-sim-local"


def simulated_vendors(
    catalogue: Path, env: Mapping[str, str], *, simulator_url: str
) -> dict[str, str]:
    """Variables that send keyless channels to the simulator; empty = every vendor is real.

    Raises ``CatalogueError`` for an unusable catalogue and ``OSError`` for an unreadable one.
    """
    redirected: dict[str, str] = {}
    for channel in parse_catalogue(catalogue.read_text(), env).channels.values():
        if _has_no_vendor(channel, env):
            redirected[channel.base_url_env] = simulator_url
            redirected[channel.credential.removeprefix("env:")] = _SIMULATED_KEY
    return redirected


def _has_no_vendor(channel: Channel, env: Mapping[str, str]) -> bool:
    scheme, _, variable = channel.credential.partition(":")
    return (
        channel.enabled
        and channel.base_url_env != ""
        and not env.get(channel.base_url_env)
        and scheme == "env"
        and not env.get(variable)
    )
