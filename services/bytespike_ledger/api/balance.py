"""``GET /v1/balance``: the wallet now, holds apart, and the key's own limits."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from bytespike_contracts.holds import WINDOWS, ScopeState, WindowState
from bytespike_ledger.accounts import keys, orgs
from bytespike_ledger.accounts.actors import Permission
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import Route
from bytespike_ledger.api.wire import Timestamp, Usd, timestamp
from bytespike_ledger.books import Books
from bytespike_ledger.store.keys import KeyRow

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


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The asking key."""

    id: str
    name: str
    hint: str
    quota: Limit
    windows: list[WindowLimit]
    expires_at: Timestamp | None


class OrgName(msgspec.Struct, frozen=True, kw_only=True):
    """The organisation whose wallet it is."""

    id: str
    name: str


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """``org`` is null for individuals."""

    balance: Wallet
    key: KeyLimits
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
        state = await self.books.projector.look(actor.account_id, actor.key_id)
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
        return Reply(Balance(balance=wallet, key=_key_limits(key, state.scopes[0]), org=org))


def _key_limits(key: KeyRow, scope: ScopeState) -> KeyLimits:
    caps = (key.caps.window_5h_uusd, key.caps.window_1d_uusd, key.caps.window_7d_uusd)
    quota = key.caps.quota_uusd
    return KeyLimits(
        id=key.id,
        name=key.name,
        hint=key.hint,
        quota=Limit(
            limit_usd=_cap(quota),
            used_usd=Usd(scope.spent_uusd),
            held_usd=Usd(scope.pending_uusd),
            remaining_usd=_left(quota, scope.spent_uusd),
        ),
        windows=[
            WindowLimit(
                name=window.name,
                limit_usd=_cap(cap),
                used_usd=Usd(state.settled_uusd),
                held_usd=Usd(state.pending_uusd),
                remaining_usd=_left(cap, state.settled_uusd),
                resets_at=_reset(state),
            )
            for window, cap, state in zip(WINDOWS, caps, scope.windows, strict=True)
        ],
        expires_at=None if key.expires_ms is None else timestamp(key.expires_ms),
    )


def _cap(cap_uusd: int) -> Usd | None:
    return Usd(cap_uusd) if cap_uusd else None


def _left(cap_uusd: int, used_uusd: int) -> Usd | None:
    return Usd(max(0, cap_uusd - used_uusd)) if cap_uusd else None


def _reset(state: WindowState) -> str | None:
    return timestamp(state.reset_ms) if state.reset_ms else None
