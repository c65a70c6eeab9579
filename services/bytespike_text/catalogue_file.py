"""The catalogue in force: read at start, read again when the file changes, last good one kept."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from bytespike_contracts.catalogue import Catalogue, CatalogueError, Channel, parse_catalogue
from bytespike_contracts.money import Rates
from bytespike_runtime.http_client import Origin
from bytespike_runtime.logs import get_logger
from bytespike_text.routing import Lane
from bytespike_text.upstream_auth import CredentialMissing, auth_headers, resolve_credential

__all__ = ["CatalogueFile", "RoutingTable"]

#: A changed file is in force within this time, a SIGHUP at once.
_POLL_S = 2.0

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


class CatalogueFile:
    """Watches one file. ``on_change`` gets every new table; ``on_result`` counts the attempts."""

    def __init__(
        self,
        path: str,
        env: Mapping[str, str],
        *,
        on_change: Callable[[RoutingTable], None],
        on_result: Callable[[str], None],
    ) -> None:
        self._path = Path(path)
        self._env = env
        self._on_change = on_change
        self._on_result = on_result
        self._seen: tuple[int, int] | None = None
        self._reload_now = asyncio.Event()

    def load(self) -> None:
        """Read the file and put it in force. Raises ``OSError`` or ``CatalogueError``."""
        self._seen = self._stamp()
        text = self._path.read_text(encoding="utf-8")
        self._on_change(RoutingTable(parse_catalogue(text, self._env), self._env))

    async def run(self) -> None:
        """Reload on SIGHUP and when the file changes. Runs until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._reload_now.set)
        try:
            while True:
                forced = await self._wait()
                if forced or self._stamp() != self._seen:
                    self._reload()
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    async def _wait(self) -> bool:
        try:
            async with asyncio.timeout(_POLL_S):
                await self._reload_now.wait()
        except TimeoutError:
            return False
        self._reload_now.clear()
        return True

    def _reload(self) -> None:
        try:
            self.load()
        except CatalogueError as error:
            self._on_result("refused")
            _log.error("catalogue refused; the last good one stays", problems=error.problems)
        except (OSError, UnicodeDecodeError) as error:
            self._on_result("refused")
            _log.error("catalogue unreadable; the last good one stays", reason=str(error))
        else:
            self._on_result("loaded")
            _log.info("catalogue loaded")

    def _stamp(self) -> tuple[int, int] | None:
        try:
            stat = os.stat(self._path)
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size


def _lane(catalogue: Catalogue, channel: Channel, env: Mapping[str, str]) -> Lane:
    origin, base_path = Origin.parse(channel.base_url)
    costs: dict[str, Rates] = {}
    for model_id in channel.models:
        rates = catalogue.cost_rates(channel, model_id)
        if rates is not None:
            costs[model_id] = rates
    return Lane(
        id=channel.id,
        channel=channel,
        origin=origin,
        base_path=base_path,
        auth=auth_headers(channel.dialect, resolve_credential(channel.credential, env)),
        cost_rates=costs,
    )
