"""The route of the first set-up."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from bytespike_ledger.accounts.bootstrap import bootstrap
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.members import Email, Member, member_view, read_email
from bytespike_ledger.api.orgs import Org, org_view
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import Name, Request
from bytespike_ledger.books import Books
from bytespike_ledger.catalogue import CatalogueWatch

__all__ = ["BootstrapApi"]


class BootstrapRequest(Request, frozen=True, kw_only=True):
    """The organisation to have, and who owns it if it has no owner yet."""

    org_name: Name
    owner_email: Email
    owner_name: Name


class Bootstrap(msgspec.Struct, frozen=True, kw_only=True):
    """What there is now. ``key`` is the secret of the owner's ``manage`` key, shown when it is
    made and null ever after.
    """

    org: Org
    owner: Member
    key_id: str
    hint: str
    key: str | None


@dataclass(frozen=True, kw_only=True)
class BootstrapApi:
    """The handler."""

    books: Books
    catalogue: CatalogueWatch

    def routes(self) -> list[Route]:
        """``/api/v1/admin/bootstrap``."""
        return [
            Route(
                method="POST",
                path="/api/v1/admin/bootstrap",
                handler=self.bootstrap,
                summary="An organisation, its owner and their manage key, made where missing",
                tag="organisations",
                access=Access.OPERATOR,
                body=BootstrapRequest,
                reply=Bootstrap,
            )
        ]

    async def bootstrap(self, call: Call) -> Reply:
        asked: BootstrapRequest = call.body
        done = await bootstrap(
            self.books,
            self.catalogue.current,
            call.operator,
            org_name=asked.org_name,
            email=read_email(asked.owner_email),
            name=asked.owner_name,
        )
        return Reply(
            Bootstrap(
                org=org_view(done.org),
                owner=member_view(done.owner),
                key_id=done.key.id,
                hint=done.key.hint,
                key=done.secret,
            )
        )
