"""Operators' routes of channels: what they are doing, and switching them at run time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from bytespike_contracts.channel_states import RouterHealth
from bytespike_ledger.accounts import channels
from bytespike_ledger.accounts.channels import ChannelView
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import Request, Timestamp, timestamp, timestamp_of
from bytespike_ledger.books import Books
from bytespike_ledger.catalogue import CatalogueWatch
from bytespike_ledger.store.channels import SwitchState

__all__ = ["ChannelApi"]


class ChannelSwitchRequest(Request, frozen=True, kw_only=True):
    """``reason`` is for the colleagues: it stands beside the channel and in the audit log."""

    state: SwitchState
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class ChannelSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's last word; ``carried`` = it is in Redis, where routers take it from."""

    state: SwitchState
    reason: str
    by: str
    at: Timestamp
    version: int
    carried: bool


class RouterChannel(msgspec.Struct, frozen=True, kw_only=True):
    """The channel as one router sees it: its breaker's word (closed, open, half_open, benched),
    calls in flight, and the kind of the last failed call, null if none failed.
    """

    router: str
    reported_at: Timestamp
    state: str
    in_flight: int
    last_error: str | None
    last_error_at: Timestamp | None


class RunningChannel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel of the catalogue. ``effective`` is what catalogue and operators together decide;
    ``switch`` is null if no operator ever touched it. Of ``routers``, those that could not call it
    at all (no credential) are left out.
    """

    id: str
    dialect: str
    models: list[str]
    priority: int
    in_catalogue: SwitchState
    effective: SwitchState
    switch: ChannelSwitch | None
    routers: list[RouterChannel]


class RunningChannels(msgspec.Struct, frozen=True, kw_only=True):
    """``health_known`` is false while Redis, where routers report, cannot be asked."""

    items: list[RunningChannel]
    health_known: bool


@dataclass(frozen=True, kw_only=True)
class ChannelApi:
    """The handlers."""

    books: Books
    catalogue: CatalogueWatch

    def routes(self) -> list[Route]:
        """``/api/v1/admin/channels``."""
        return [
            Route(
                method="GET",
                path="/api/v1/admin/channels",
                handler=self.list,
                summary="Channels, what operators decided about them and how they fare",
                tag="channels",
                access=Access.OPERATOR,
                reply=RunningChannels,
            ),
            Route(
                method="PUT",
                path="/api/v1/admin/channels/{channel}",
                handler=self.switch,
                summary="Switch a channel on or off on every router; running calls go on",
                tag="channels",
                access=Access.OPERATOR,
                body=ChannelSwitchRequest,
                reply=RunningChannel,
            ),
        ]

    async def list(self, _call: Call) -> Reply:
        views = await channels.view_channels(self.books, self.catalogue.current)
        reports = await channels.router_reports(self.books)
        items = [_channel(view, reports or {}) for view in views]
        return Reply(RunningChannels(items=items, health_known=reports is not None))

    async def switch(self, call: Call) -> Reply:
        asked: ChannelSwitchRequest = call.body
        view = await channels.switch_channel(
            self.books,
            self.catalogue.current,
            call.operator,
            call.ids["channel"],
            state=asked.state,
            reason=asked.reason,
        )
        return Reply(_channel(view, await channels.router_reports(self.books) or {}))


def _channel(view: ChannelView, reports: Mapping[str, RouterHealth]) -> RunningChannel:
    channel = view.channel
    return RunningChannel(
        id=channel.id,
        dialect=channel.dialect,
        models=list(channel.models),
        priority=channel.priority,
        in_catalogue=_word(channel.enabled),
        effective=_word(view.enabled),
        switch=_switch(view),
        routers=[
            RouterChannel(
                router=router,
                reported_at=timestamp(report.at_ms),
                state=health.state,
                in_flight=health.in_flight,
                last_error=health.last_error or None,
                last_error_at=timestamp(health.last_error_ms) if health.last_error_ms else None,
            )
            for router, report in sorted(reports.items())
            if (health := report.channels.get(channel.id)) is not None
        ],
    )


def _switch(view: ChannelView) -> ChannelSwitch | None:
    row = view.row
    if row is None:
        return None
    return ChannelSwitch(
        state=row.state,
        reason=row.reason,
        by=row.actor,
        at=timestamp_of(row.changed_at),
        version=row.version,
        carried=row.projected_version >= row.version,
    )


def _word(enabled: bool) -> SwitchState:
    return "enabled" if enabled else "disabled"
