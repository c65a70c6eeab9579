"""Where answers come from on this machine: real vendors where there are keys, else the simulator.

The catalogue alone decides, so a new vendor needs no line here. As soon as one vendor has its keys
the others are what they would be in production: left out. Only when no vendor has any does the
simulator stand in, and then for all of them, so that every model answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from bytespike_contracts.catalogue import Catalogue, Channel, Dialect, parse_catalogue

__all__ = ["Vendors", "choose_vendors"]

#: Any non-empty key will do for the simulator; this one says in logs and records what it is.
_SIMULATED_KEY = "sk-sim-local"
#: What an SDK's base URL ends with: the simulator serves the paths of the vendors themselves.
_SDK_PATH: Mapping[Dialect, str] = {
    "anthropic": "",
    "openai_chat": "/v1",
    "openai_responses": "/v1",
    "gemini": "",
}
#: Google's own tools read either name.
_SYNONYMS = {"GEMINI_API_KEY": "GOOGLE_API_KEY"}


class Vendors(msgspec.Struct, frozen=True, kw_only=True):
    """``environment`` is what services need beside the user's own variables. ``real`` and
    ``simulated`` are the ids of channels that will answer, ``absent`` those without a key; at most
    one of ``real`` and ``simulated`` is filled. ``model`` is the first one that can be called, None
    if none can.
    """

    environment: Mapping[str, str]
    real: tuple[str, ...]
    simulated: tuple[str, ...]
    absent: tuple[str, ...]
    model: str | None


def choose_vendors(catalogue: Path, env: Mapping[str, str], *, simulator_url: str) -> Vendors:
    """Judge every enabled channel of the file by the keys and addresses in ``env``.

    Raises ``CatalogueError`` for an unusable catalogue and ``OSError`` for an unreadable one.
    """
    added = {
        name: env[synonym]
        for name, synonym in _SYNONYMS.items()
        if env.get(synonym) and not env.get(name)
    }
    env = {**env, **added}
    parsed = parse_catalogue(catalogue.read_text(), env)
    channels = [channel for channel in parsed.channels.values() if channel.enabled]
    keyless = [channel for channel in channels if not _has_key(channel, env)]
    # Channels with one address are one vendor; a vendor that lacks a key is not real.
    lacking = {channel.base_url_env for channel in keyless} - {""}
    real = [c for c in channels if c not in keyless and c.base_url_env not in lacking]
    simulated = [] if real else [c for c in keyless if _can_be_redirected(c, env)]
    for channel in simulated:
        added[channel.base_url_env] = simulator_url + _SDK_PATH[channel.dialect]
        added[channel.credential.removeprefix("env:")] = _SIMULATED_KEY
    return Vendors(
        environment=added,
        real=_ids(real),
        simulated=_ids(simulated),
        absent=_ids([channel for channel in keyless if channel not in simulated]),
        model=_first_model(parsed, real or simulated),
    )


def _has_key(channel: Channel, env: Mapping[str, str]) -> bool:
    scheme, _, variable = channel.credential.partition(":")
    return scheme == "file" or bool(env.get(variable))


def _can_be_redirected(channel: Channel, env: Mapping[str, str]) -> bool:
    """An address the user chose is left alone."""
    return channel.base_url_env != "" and not env.get(channel.base_url_env)


def _first_model(catalogue: Catalogue, channels: list[Channel]) -> str | None:
    served = {model_id for channel in channels for model_id in channel.models}
    for model in catalogue.models.values():
        if model.price is not None and model.id in served:
            return model.id
    return None


def _ids(channels: list[Channel]) -> tuple[str, ...]:
    return tuple(channel.id for channel in channels)
