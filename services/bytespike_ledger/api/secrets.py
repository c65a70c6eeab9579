"""The route that brings sealed secrets under the current encryption key."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import msgspec

from bytespike_ledger.accounts.rewrap import rewrap_secrets
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import PageQuery
from bytespike_ledger.books import Books

__all__ = ["SecretApi"]


class SecretsRewrapped(msgspec.Struct, frozen=True, kw_only=True):
    """One batch. ``remaining`` counts all secrets not yet under ``kek_id``, the ``failed`` ones
    (whose encryption key is not configured any more, or damaged) among them. Go on with
    ``next_cursor`` until it is null.
    """

    kek_id: str
    rewrapped: int
    failed: int
    remaining: int
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class SecretApi:
    """The handler."""

    books: Books

    def routes(self) -> list[Route]:
        """``/api/v1/admin/secrets/rewrap``."""
        return [
            Route(
                method="POST",
                path="/api/v1/admin/secrets/rewrap",
                handler=self.rewrap,
                summary="Bring some sealed secrets under the current encryption key",
                tag="office",
                access=Access.OPERATOR,
                query=PageQuery,
                reply=SecretsRewrapped,
            )
        ]

    async def rewrap(self, call: Call) -> Reply:
        page: PageQuery = call.query
        done = await rewrap_secrets(self.books, call.operator, after=page.cursor, limit=page.limit)
        return Reply(SecretsRewrapped(**asdict(done)))
