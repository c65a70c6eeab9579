"""``GET /v1/balance``: the wallet now, holds apart, and the limits of the key and its owners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from bytespike_contracts.holds import WINDOWS, ScopeState, WindowState
from bytespike_contracts.keys import SpendCaps
from bytespike_ledger.accounts import keys, orgs
from bytespike_ledger.accounts.actors import Permission
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import Route
from bytespike_ledger.api.wire import Timestamp, Usd, timestamp
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import key_record

__all__ = ["BalanceApi"]


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    """Available = balance - held."""

    available_usd: Usd
    held_usd: Usd
    balance_usd: Usd


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """``limit_usd`` and ``remaining_usd`` are null where there is no limit."""

    limit_usd: Usd | None
    used_usd: Usd
    held_usd: Usd
    remaining_usd: Usd | None


class WindowLimit(Limit, frozen=True, kw_only=True):
    """A rolling window; ``resets_at`` is when the oldest spend in it leaves, null if there is
    none.
    """

    name: str
    resets_at: Timestamp | None


class OwnerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What limits all keys of an owner together; ``quota`` is for life."""

    id: str
    quota: Limit
    windows: list[WindowLimit]


class KeyLimits(OwnerLimits, frozen=True, kw_only=True):
    """The asking key."""

    name: str
    hint: str
    expires_at: Timestamp | None


class OrgName(msgspec.Struct, frozen=True, kw_only=True):
    """The organisation whose wallet it is."""

    id: str
    name: str


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """``org`` is null for individuals; ``member`` and ``organisation`` are the limits of the key's
    owners beside its own, null where they have none.
    """

    balance: Wallet
    key: KeyLimits
    member: OwnerLimits | None
    organisation: OwnerLimits | None
    org: OrgName | None


@dataclass(frozen=True, kw_only=True)
class BalanceApi:
    """The handler."""

    books: Books

    def routes(self) -> list[Route]:
        """``/v1/balance``."""
        return [
            Route(
                method="GET",
                path="/v1/balance",
                handler=self.balance,
                summary="The wallet and the limits of the asking key, now",
                tag="account",
                access=Permission.READ_SELF,
                reply=Balance,
            )
        ]

    async def balance(self, call: Call) -> Reply:
        actor = call.actor
        key = await keys.find_key(self.books, actor.key_id)
        limits = key_record(key).limits
        state = await self.books.projector.look(
            actor.account_id, key.id, *(limit.scope for limit in limits)
        )
        org = None
        if key.org_id is not None:
            found = await orgs.find_org(self.books, key.org_id)
            org = OrgName(id=found.id, name=found.name)
        wallet = Wallet(
            # A request that cost more than its hold may leave less than nothing pending.
            available_usd=Usd(max(0, state.balance_uusd - state.pending_uusd)),
            held_usd=Usd(state.pending_uusd),
            balance_usd=Usd(state.balance_uusd),
        )
        own, *theirs = state.scopes
        owners = {
            limit.owner: OwnerLimits(id=limit.scope, **_limits(limit.caps, scope))
            for limit, scope in zip(limits, theirs, strict=True)
        }
        return Reply(
            Balance(
                balance=wallet,
                key=KeyLimits(
                    id=key.id,
                    name=key.name,
                    hint=key.hint,
                    expires_at=None if key.expires_ms is None else timestamp(key.expires_ms),
                    **_limits(key.caps, own),
                ),
                member=owners.get("member"),
                organisation=owners.get("org"),
                org=org,
            )
        )


def _limits(caps: SpendCaps, scope: ScopeState) -> dict[str, Any]:
    """``quota`` and ``windows`` of whoever has these caps."""
    window_caps = (caps.window_5h_uusd, caps.window_1d_uusd, caps.window_7d_uusd)
    return {
        "quota": Limit(
            limit_usd=_cap(caps.quota_uusd),
            used_usd=Usd(scope.spent_uusd),
            held_usd=Usd(scope.pending_uusd),
            remaining_usd=_left(caps.quota_uusd, scope.spent_uusd),
        ),
        "windows": [
            WindowLimit(
                name=window.name,
                limit_usd=_cap(cap),
                used_usd=Usd(state.settled_uusd),
                held_usd=Usd(state.pending_uusd),
                remaining_usd=_left(cap, state.settled_uusd),
                resets_at=_reset(state),
            )
            for window, cap, state in zip(WINDOWS, window_caps, scope.windows, strict=True)
        ],
    }


def _cap(cap_uusd: int) -> Usd | None:
    return Usd(cap_uusd) if cap_uusd else None


def _left(cap_uusd: int, used_uusd: int) -> Usd | None:
    return Usd(max(0, cap_uusd - used_uusd)) if cap_uusd else None


def _reset(state: WindowState) -> str | None:
    return timestamp(state.reset_ms) if state.reset_ms else None
