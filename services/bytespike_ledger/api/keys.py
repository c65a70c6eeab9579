"""Routes of API keys: customers' below ``/api/v1/keys``, operators' below ``/api/v1/admin``.

Both sets of paths have the same handlers; who is asking decides what they see and may do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts import keys
from bytespike_ledger.accounts.actors import Actor, Permission
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.key_wire import (
    Key,
    KeyChanges,
    KeyPage,
    KeyQuery,
    KeyRequest,
    NewKey,
    RevealedKey,
    RotationRequest,
    columns_of,
    key_fields,
    new_columns,
)
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import next_cursor
from bytespike_ledger.books import Books
from bytespike_ledger.catalogue import CatalogueWatch
from bytespike_ledger.store.keys import KeyFilter, KeyRow

__all__ = ["KeyApi"]

_ONCE_HEADER = "idempotency-key"
_MAX_ONCE_CHARS = 200
#: Answers with a secret are nobody's to keep on the way.
_NO_STORE = {"cache-control": "no-store"}


@dataclass(frozen=True, kw_only=True)
class KeyApi:
    """The handlers."""

    books: Books
    catalogue: CatalogueWatch

    def routes(self) -> list[Route]:
        """Customers' and operators' paths."""
        read, write = Permission.READ_OWN_KEYS, Permission.WRITE_OWN_KEYS
        one = "/api/v1/admin/keys/{key}"
        return [
            *self._of_many("/api/v1/keys", read, write),
            *self._of_one("/api/v1/keys/{key}", read, write),
            *self._of_many(
                "/api/v1/admin/accounts/{account}/keys", Access.OPERATOR, Access.OPERATOR
            ),
            *self._of_one(one, Access.OPERATOR, Access.OPERATOR),
            _route("POST", one + "/disable", self.disable, "Refuse a key", Access.OPERATOR),
        ]

    def _of_many(
        self, path: str, read: Access | Permission, write: Access | Permission
    ) -> list[Route]:
        return [
            _route(
                "GET", path, self.list, "Keys, oldest first", read, query=KeyQuery, reply=KeyPage
            ),
            _route(
                "POST",
                path,
                self.create,
                "Make a key; with an Idempotency-Key the same call makes no second one",
                write,
                body=KeyRequest,
                reply=NewKey,
                status=201,
                also=(200,),
                idempotent=True,
            ),
        ]

    def _of_one(
        self, path: str, read: Access | Permission, write: Access | Permission
    ) -> list[Route]:
        change = "Change a key; what is left out stays as it is"
        return [
            _route("GET", path, self.get, "One key", read),
            _route("PUT", path, self.change, change, write, body=KeyChanges),
            _route("PATCH", path, self.change, change, write, body=KeyChanges),
            _route("DELETE", path, self.delete, "Refuse a key for good", write),
            _route(
                "POST",
                path + "/rotate",
                self.rotate,
                "Give a key a new secret",
                write,
                body=RotationRequest,
                reply=NewKey,
            ),
            _route(
                "GET",
                path + "/reveal",
                self.reveal,
                "The secret of a key, where one is kept to be revealed",
                write,
                reply=RevealedKey,
            ),
        ]

    async def create(self, call: Call) -> Reply:
        asked: KeyRequest = call.body
        made = await keys.create_key(
            self.books,
            self.catalogue.current,
            _account(call),
            custom_key=asked.custom_key,
            controls=new_columns(asked, now_ms=self.books.now_ms()),
            who=call.caller,
            member_id=asked.member_id,
            once=_once(call),
        )
        return self._with_secret(made, status=200 if made.replayed else 201)

    async def list(self, call: Call) -> Reply:
        page: KeyQuery = call.query
        rows = await keys.list_keys(
            self.books,
            _account(call),
            after=page.cursor,
            limit=page.limit,
            narrowed=KeyFilter(status=page.status, group=page.group, search=page.search),
            who=call.caller,
        )
        return Reply(
            KeyPage(
                items=[self._key(row) for row in rows], next_cursor=next_cursor(rows, page.limit)
            )
        )

    async def get(self, call: Call) -> Reply:
        return Reply(self._key(await keys.find_key(self.books, call.ids["key"], who=call.caller)))

    async def change(self, call: Call) -> Reply:
        return await self._change(call, columns_of(call.body, now_ms=self.books.now_ms()))

    async def disable(self, call: Call) -> Reply:
        return await self._change(call, {"status": "disabled"})

    async def delete(self, call: Call) -> Reply:
        return await self._change(call, {"status": "deleted"})

    async def rotate(self, call: Call) -> Reply:
        asked: RotationRequest = call.body
        made = await keys.rotate_key(
            self.books, call.ids["key"], overlap_s=asked.overlap_seconds, who=call.caller
        )
        return self._with_secret(made, status=200)

    async def reveal(self, call: Call) -> Reply:
        row, secret = await keys.reveal_key(self.books, call.ids["key"], who=call.caller)
        return Reply(RevealedKey(id=row.id, key=secret), headers=_NO_STORE)

    async def _change(self, call: Call, changes: Mapping[str, object]) -> Reply:
        row = await keys.change_key(
            self.books, self.catalogue.current, call.ids["key"], changes, who=call.caller
        )
        return Reply(self._key(row))

    def _key(self, row: KeyRow) -> Key:
        return Key(**key_fields(row, now_ms=self.books.now_ms()))

    def _with_secret(self, made: keys.NewKey, *, status: int) -> Reply:
        fields = key_fields(made.row, now_ms=self.books.now_ms())
        return Reply(NewKey(key=made.secret, **fields), status=status, headers=_NO_STORE)


def _route(
    method: str,
    path: str,
    handler: Any,
    summary: str,
    access: Access | Permission,
    **more: Any,
) -> Route:
    return Route(
        method=method,
        path=path,
        handler=handler,
        summary=summary,
        tag="keys",
        access=access,
        **{"reply": Key, **more},
    )


def _account(call: Call) -> str:
    """The one the path names; a customer's own where it names none."""
    return call.actor.account_id if isinstance(call.who, Actor) else call.ids["account"]


def _once(call: Call) -> keys.Once | None:
    """The caller's name of this creation. Raises ``GatewayError`` 400 if it cannot be one."""
    name = call.headers.get(_ONCE_HEADER)
    if name is None:
        return None
    if not (0 < len(name) <= _MAX_ONCE_CHARS and name.isascii() and name.isprintable()):
        raise GatewayError(
            ErrorCode.INVALID_REQUEST,
            f"an Idempotency-Key has 1 to {_MAX_ONCE_CHARS} printable ASCII characters",
            param="Idempotency-Key",
        )
    return keys.Once.of(name, msgspec.json.encode(call.body))
