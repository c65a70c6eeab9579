"""Routes of groups: which a customer may use, and which operators let them use."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from bytespike_contracts.catalogue import Catalogue, Group
from bytespike_ledger.accounts import groups
from bytespike_ledger.accounts.actors import Permission
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import Timestamp, timestamp_of
from bytespike_ledger.books import Books
from bytespike_ledger.catalogue import CatalogueWatch
from bytespike_ledger.store import connection, tenant
from bytespike_ledger.store.groups import GrantRow, total_counts

__all__ = ["GroupApi"]


class AvailableGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group that keys may be bound to. ``multiplier`` is a decimal on every price; not ``public``
    = granted to this account in particular. ``current`` = the asking key is bound to it.
    """

    id: str
    public: bool
    multiplier: str
    models: list[str]
    families: list[str]
    vendors: list[str]
    current: bool


class AvailableGroups(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, in the catalogue's order."""

    items: list[AvailableGroup]


class CatalogueGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group of the catalogue; ``keys`` are the active ones of all accounts."""

    id: str
    public: bool
    multiplier: str
    models: list[str]
    families: list[str]
    vendors: list[str]
    channels: list[str]
    keys: int
    grants: int


class CatalogueGroups(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, in the catalogue's order."""

    items: list[CatalogueGroup]


class AccountGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group as it concerns one account. ``known`` = the catalogue still has it; ``usable`` = keys
    may be bound to it; ``granted_*`` are null without a grant; ``keys`` are the account's active
    ones.
    """

    id: str
    known: bool
    usable: bool
    public: bool
    granted_by: str | None
    granted_at: Timestamp | None
    keys: int


class AccountGroups(msgspec.Struct, frozen=True, kw_only=True):
    """Groups the account may use, was granted, or has keys in."""

    items: list[AccountGroup]


class GroupGrant(msgspec.Struct, frozen=True, kw_only=True):
    """An account may use a group."""

    account_id: str
    group: str
    granted_by: str
    granted_at: Timestamp


class GroupRevocation(msgspec.Struct, frozen=True, kw_only=True):
    """A grant that was taken away, and how many of the account's active keys went with it."""

    account_id: str
    group: str
    keys_disabled: int


@dataclass(frozen=True, kw_only=True)
class GroupApi:
    """The handlers."""

    books: Books
    catalogue: CatalogueWatch

    def routes(self) -> list[Route]:
        """Groups of customers, of the catalogue, of one account."""
        of_account = "/api/v1/admin/accounts/{account}/groups"
        return [
            Route(
                method="GET",
                path="/api/v1/groups/available",
                handler=self.available,
                summary="Groups that keys of this account may be bound to",
                tag="groups",
                access=Permission.READ_SELF,
                reply=AvailableGroups,
            ),
            Route(
                method="GET",
                path="/api/v1/admin/groups",
                handler=self.list,
                summary="Groups of the catalogue",
                tag="groups",
                access=Access.OPERATOR,
                reply=CatalogueGroups,
            ),
            Route(
                method="GET",
                path=of_account,
                handler=self.of_account,
                summary="Groups of an account",
                tag="groups",
                access=Access.OPERATOR,
                reply=AccountGroups,
            ),
            Route(
                method="PUT",
                path=of_account + "/{group}",
                handler=self.grant,
                summary="Let an account use a group; again is no change",
                tag="groups",
                access=Access.OPERATOR,
                reply=GroupGrant,
            ),
            Route(
                method="DELETE",
                path=of_account + "/{group}",
                handler=self.revoke,
                summary="Take a group from an account; its active keys of the group are disabled",
                tag="groups",
                access=Access.OPERATOR,
                reply=GroupRevocation,
            ),
        ]

    async def available(self, call: Call) -> Reply:
        actor, catalogue = call.actor, self.catalogue.current
        async with tenant(self.books.pool, actor.account_id) as conn:
            usable = await groups.usable_groups(conn, catalogue, actor.account_id)
        items = [
            AvailableGroup(
                id=group.id,
                public=group.public,
                multiplier=group.multiplier,
                models=_models(catalogue, group),
                families=_words(catalogue, group, "family"),
                vendors=_words(catalogue, group, "vendor"),
                current=group.id == actor.group,
            )
            for group in usable
        ]
        return Reply(AvailableGroups(items=items))

    async def list(self, _call: Call) -> Reply:
        catalogue = self.catalogue.current
        async with connection(self.books.pool) as conn:
            counts = await total_counts(conn)
        items = []
        for group in catalogue.groups.values():
            keys, grants = counts.get(group.id, (0, 0))
            items.append(
                CatalogueGroup(
                    id=group.id,
                    public=group.public,
                    multiplier=group.multiplier,
                    models=_models(catalogue, group),
                    families=_words(catalogue, group, "family"),
                    vendors=_words(catalogue, group, "vendor"),
                    channels=[c for c in catalogue.channels if _has_channel(group, c)],
                    keys=keys,
                    grants=grants,
                )
            )
        return Reply(CatalogueGroups(items=items))

    async def of_account(self, call: Call) -> Reply:
        catalogue = self.catalogue.current
        grants, counts = await groups.account_groups(self.books, call.ids["account"])
        public = [group.id for group in catalogue.groups.values() if group.public]
        names = dict.fromkeys([*public, *grants, *counts])
        items = [
            _account_group(name, catalogue.groups.get(name), grants.get(name), counts.get(name, 0))
            for name in names
        ]
        return Reply(AccountGroups(items=items))

    async def grant(self, call: Call) -> Reply:
        account, group = call.ids["account"], call.ids["group"]
        row = await groups.grant_group(
            self.books, self.catalogue.current, call.operator, account, group
        )
        return Reply(
            GroupGrant(
                account_id=account,
                group=row.routing_group,
                granted_by=row.granted_by,
                granted_at=timestamp_of(row.created_at),
            )
        )

    async def revoke(self, call: Call) -> Reply:
        account, group = call.ids["account"], call.ids["group"]
        disabled = await groups.revoke_group(
            self.books, self.catalogue.current, call.operator, account, group
        )
        return Reply(GroupRevocation(account_id=account, group=group, keys_disabled=disabled))


def _account_group(
    name: str, group: Group | None, grant: GrantRow | None, keys: int
) -> AccountGroup:
    public = group is not None and group.public
    return AccountGroup(
        id=name,
        known=group is not None,
        usable=public or (group is not None and grant is not None),
        public=public,
        granted_by=None if grant is None else grant.granted_by,
        granted_at=None if grant is None else timestamp_of(grant.created_at),
        keys=keys,
    )


def _models(catalogue: Catalogue, group: Group) -> list[str]:
    return [model_id for model_id in catalogue.models if catalogue.in_group(group.id, model_id)]


def _words(catalogue: Catalogue, group: Group, field: str) -> list[str]:
    """The families or vendors of the group's models, each once."""
    words = (getattr(catalogue.models[name], field) for name in _models(catalogue, group))
    return list(dict.fromkeys(words))


def _has_channel(group: Group, channel_id: str) -> bool:
    return "*" in group.channels or channel_id in group.channels
