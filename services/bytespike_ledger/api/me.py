"""``/api/v1/me``: the caller's own account, and what its key can call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from bytespike_contracts.catalogue import Catalogue, Model
from bytespike_contracts.protocols_offered import ALWAYS_CAPABLE, protocols_offered
from bytespike_ledger.accounts.actors import Actor, Permission
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.rates import ModelRates, model_rates
from bytespike_ledger.api.route import Route
from bytespike_ledger.api.wire import Timestamp, Usd, timestamp_of
from bytespike_ledger.books import Books
from bytespike_ledger.catalogue import CatalogueWatch
from bytespike_ledger.store import me, tenant

__all__ = ["MeApi"]


class MyUser(msgspec.Struct, frozen=True, kw_only=True):
    """Who the key belongs to; ``tier`` is ``enterprise`` for people of an organisation."""

    id: str
    username: str
    email: str
    created_at: Timestamp
    tier: Literal["individual", "enterprise"]


class MyBalance(msgspec.Struct, frozen=True, kw_only=True):
    """The wallet: what a new request could spend now, and what came and went since its first day.
    A threshold of 0 = nobody wants to be told.
    """

    available_usd: Usd
    lifetime_topup_usd: Usd
    lifetime_spent_usd: Usd
    low_balance_threshold_usd: Usd
    low_balance_flagged: bool


class AllowedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model the key may use and what it has spent on it. Models have no caps of their own:
    ``quota_cap_usd`` is null.
    """

    id: str
    quota_used_usd: Usd
    quota_cap_usd: Usd | None


class MyOrg(msgspec.Struct, frozen=True, kw_only=True):
    """The organisation and the key's role in it."""

    id: str
    name: str
    role: Literal["owner", "admin", "member", "viewer"]


class MyAccount(msgspec.Struct, frozen=True, kw_only=True):
    """``user`` is null for keys that belong to nobody in particular, ``org`` for individuals."""

    user: MyUser | None
    balance: MyBalance
    allowed_models: list[AllowedModel]
    org: MyOrg | None


class AvailableModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model at the prices of the key's group. ``rates`` is null and ``protocols_aggregate`` empty
    while it cannot be called. Protocols are named ``anthropic_messages:native`` (relayed as it is)
    or ``:translated``.
    """

    id: str
    name: str
    family: str
    vendor: str
    capabilities: list[str]
    group: str
    rates: ModelRates | None
    protocols_aggregate: list[str]


class AvailableModels(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, in the catalogue's order."""

    items: list[AvailableModel]


@dataclass(frozen=True, kw_only=True)
class MeApi:
    """The handlers."""

    books: Books
    catalogue: CatalogueWatch

    def routes(self) -> list[Route]:
        """``/api/v1/me/account`` and ``/api/v1/me/available-models``."""
        return [
            Route(
                method="GET",
                path="/api/v1/me/account",
                handler=self.account,
                summary="The caller's account: who, how much money, which models",
                tag="account",
                access=Permission.READ_SELF,
                reply=MyAccount,
            ),
            Route(
                method="GET",
                path="/api/v1/me/available-models",
                handler=self.models,
                summary="Models the asking key may use, their prices and protocols",
                tag="account",
                access=Permission.READ_SELF,
                reply=AvailableModels,
            ),
        ]

    async def account(self, call: Call) -> Reply:
        actor = call.actor
        async with tenant(self.books.pool, actor.account_id) as conn:
            user = None
            if actor.user_id is not None:
                user = await me.read_user(conn, actor.user_id, actor.member_id)
            org = await me.read_org_of(conn, actor.account_id)
            money = await me.read_money(conn, actor.account_id)
            spent = await me.spent_by(conn, actor.key_id)
        wallet = await self.books.projector.look(actor.account_id, actor.key_id)
        balance = MyBalance(
            # A request that cost more than its hold may leave less than nothing pending.
            available_usd=Usd(max(0, wallet.balance_uusd - wallet.pending_uusd)),
            lifetime_topup_usd=Usd(money.topped_up_uusd),
            lifetime_spent_usd=Usd(money.spent_uusd),
            low_balance_threshold_usd=Usd(money.low_balance_uusd),
            low_balance_flagged=money.low_balance_flagged,
        )
        return Reply(
            MyAccount(
                user=None if user is None else _user(user, actor),
                balance=balance,
                allowed_models=[
                    AllowedModel(
                        id=model.id, quota_used_usd=Usd(spent.get(model.id, 0)), quota_cap_usd=None
                    )
                    for model in _models(self.catalogue.current, actor.group)
                ],
                org=None if org is None else MyOrg(id=org.id, name=org.name, role=actor.role.value),
            )
        )

    async def models(self, call: Call) -> Reply:
        catalogue, group = self.catalogue.current, call.actor.group
        items = []
        for model in _models(catalogue, group):
            rates = catalogue.rates(group, model.id)
            items.append(
                AvailableModel(
                    id=model.id,
                    name=model.display_name or model.id,
                    family=model.family,
                    vendor=model.vendor,
                    capabilities=[*ALWAYS_CAPABLE, *model.capabilities],
                    group=group,
                    rates=None if rates is None else model_rates(rates),
                    protocols_aggregate=protocols_offered(catalogue, group, model),
                )
            )
        return Reply(AvailableModels(items=items))


def _user(user: me.UserRow, actor: Actor) -> MyUser:
    return MyUser(
        id=user.id,
        username=user.name,
        email=user.email,
        created_at=timestamp_of(user.created_at),
        tier="individual" if actor.org_id is None else "enterprise",
    )


def _models(catalogue: Catalogue, group: str) -> list[Model]:
    """None for a group that is no longer in the catalogue."""
    return [model for model in catalogue.models.values() if catalogue.in_group(group, model.id)]
