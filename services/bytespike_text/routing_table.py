"""The catalogue as the router uses it: every channel made ready for calls."""

from __future__ import annotations

from collections.abc import Mapping

from bytespike_contracts.catalogue import Catalogue, Channel
from bytespike_contracts.money import Rates
from bytespike_protocols.dialects import codec_of
from bytespike_protocols.ir import Dialect
from bytespike_runtime.http_client import Origin
from bytespike_runtime.logs import get_logger
from bytespike_text.routing import Lane
from bytespike_text.upstream_auth import CredentialMissing, auth_headers, resolve_credential

__all__ = ["RoutingTable"]

_log = get_logger()


class RoutingTable:
    """One catalogue with every channel made ready for calls; immutable, swapped as a whole.

    Channels whose credential is missing or whose address is unusable are left out and reported.
    """

    def __init__(self, catalogue: Catalogue, env: Mapping[str, str]) -> None:
        self.catalogue = catalogue
        self._lanes: dict[str, Lane] = {}
        for channel in catalogue.channels.values():
            if not channel.enabled:
                continue
            try:
                self._lanes[channel.id] = _lane(catalogue, channel, env)
            except (CredentialMissing, ValueError) as error:
                _log.warning("channel left out", channel=channel.id, reason=str(error))
        # At most groups x models entries, and only those that were asked for.
        self._candidates: dict[tuple[str, str], tuple[Lane, ...]] = {}

    @property
    def channel_ids(self) -> list[str]:
        """Channels that can be called."""
        return list(self._lanes)

    def candidates(self, group_id: str, model_id: str) -> tuple[Lane, ...]:
        """Lanes of the group that serve the model, best priority first; none if either is unknown
        here (the edge may have read a newer file).
        """
        known = self._candidates.get((group_id, model_id))
        if known is not None:
            return known
        if group_id not in self.catalogue.groups or model_id not in self.catalogue.models:
            return ()
        lanes = tuple(
            self._lanes[channel.id]
            for channel in self.catalogue.channels_for(group_id, model_id)
            if channel.id in self._lanes
        )
        self._candidates[group_id, model_id] = lanes
        return lanes


def _lane(catalogue: Catalogue, channel: Channel, env: Mapping[str, str]) -> Lane:
    origin, base_path = Origin.parse(channel.base_url)
    dialect = Dialect(channel.dialect)
    costs: dict[str, Rates] = {}
    for model_id in channel.models:
        rates = catalogue.cost_rates(channel, model_id)
        if rates is not None:
            costs[model_id] = rates
    return Lane(
        id=channel.id,
        channel=channel,
        dialect=dialect,
        codec=codec_of(dialect, compatible=channel.compatible),
        origin=origin,
        base_path=base_path,
        auth=auth_headers(channel.auth_scheme, resolve_credential(channel.credential, env)),
        cost_rates=costs,
        output_caps={name: catalogue.models[name].max_output_tokens for name in channel.models},
    )
