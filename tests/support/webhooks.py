"""A ledger whose courier is turned by hand and whose clock a test moves."""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bytespike_contracts.keys import Scope
from bytespike_contracts.principal import (
    INTERNAL_TOKEN_HEADER,
    PRINCIPAL_HEADER,
    Principal,
    encode_principal,
)
from bytespike_ledger.accounts.actors import Actor, Role
from bytespike_ledger.accounts.events import EventType, emit
from bytespike_ledger.accounts.webhooks import NewWebhook, create_webhook
from bytespike_ledger.books import Books
from bytespike_ledger.courier.courier import Courier
from bytespike_ledger.courier.guard import Guard
from bytespike_ledger.courier.sender import Sender
from bytespike_ledger.sealing import Sealer
from bytespike_ledger.store import Row
from bytespike_runtime import pg
from tests.support.ledger import Rig
from tests.support.served_ledger import INTERNAL_TOKEN

__all__ = ["DEVELOPMENT", "Clock", "Member", "Post", "post"]

#: What `bytespike up` allows: receivers on the same machine.
DEVELOPMENT = Guard.of(["127.0.0.1", "localhost"], ["127.0.0.0/8"])


class Clock:
    """Unix milliseconds that stand still unless a test moves them."""

    def __init__(self) -> None:
        self.now_ms = time.time_ns() // 1_000_000

    def advance(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)

    def __call__(self) -> int:
        return self.now_ms


@dataclass(frozen=True)
class Member:
    """Somebody of an organisation with a key that manages."""

    id: str
    user_id: str
    actor: Actor
    headers: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Post:
    """Books with a sealer and an open guard, one courier on them, and short calls."""

    rig: Rig
    books: Books
    clock: Clock
    courier: Courier

    async def customer(self) -> Member:
        """A new organisation, seen through its key of no member."""
        org = await self.rig.customer(0)
        return await self.key(org.account_id, org.org_id)

    async def individual(self) -> Member:
        """An account that is a person's own."""
        account_id, user_id = self.books.mint("acct"), self.books.mint("usr")
        await self.run(
            "insert into accounts (id, kind, tier, concurrency) values ($1, 'customer', 'pro', 5)",
            account_id,
        )
        await self.run(
            "insert into users (id, email, name, account_id) values ($1, $2, 'Ina', $3)",
            *(user_id, f"{secrets.token_hex(6)}@example.com", account_id),
        )
        return await self.key(account_id, None)

    async def member(self, of: Member, role: Role) -> Member:
        """Another person of an organisation."""
        user_id, member_id = self.books.mint("usr"), self.books.mint("mem")
        await self.run(
            "insert into users (id, email, name) values ($1, $2, 'Mo')",
            *(user_id, f"{secrets.token_hex(6)}@example.com"),
        )
        await self.run(
            """insert into members (id, account_id, org_id, user_id, role)
               values ($1, $2, $3, $4, $5)""",
            *(member_id, of.actor.account_id, of.actor.org_id, user_id, role.value),
        )
        return await self.key(
            of.actor.account_id, of.actor.org_id, member=(member_id, user_id, role)
        )

    async def key(
        self,
        account_id: str,
        org_id: str | None,
        *,
        member: tuple[str, str, Role] | None = None,
        manages: bool = True,
    ) -> Member:
        """A key of an account, of a member or of none."""
        key_id = self.books.mint("key")
        scopes = ("inference", "manage") if manages else ("inference",)
        await self.run(
            """insert into api_keys (id, account_id, org_id, member_id, name, key_hash, hint,
                   scopes, routing_group, quota_uusd, window_5h_uusd, window_1d_uusd,
                   window_7d_uusd, ip_allow, ip_deny)
               values ($1, $2, $3, $4, 'k', $5, 'h', $6, 'default', 0, 0, 0, 0, '{}', '{}')""",
            *(key_id, account_id, org_id, member and member[0], secrets.token_bytes(32), scopes),
        )
        principal = Principal(
            request_id="req_of_the_edge",
            account_id=account_id,
            key_id=key_id,
            group="default",
            scopes=tuple(Scope(scope) for scope in scopes),
            org_id=org_id,
        )
        actor = Actor(
            key_id=key_id,
            account_id=account_id,
            org_id=org_id,
            member_id=member and member[0],
            user_id=member and member[1],
            role=Role.OWNER if member is None else member[2],
            manages=manages,
            group="default",
            address="203.0.113.9",
            request_id="req_of_the_edge",
        )
        headers = {
            INTERNAL_TOKEN_HEADER: INTERNAL_TOKEN,
            PRINCIPAL_HEADER: encode_principal(principal),
        }
        return Member(member[0] if member else "", member[1] if member else "", actor, headers)

    async def webhook(
        self,
        owner: Member,
        url: str,
        *kinds: EventType,
        secret: str | None = None,
    ) -> NewWebhook:
        """Subscribe; without ``kinds`` to payments."""
        return await create_webhook(
            self.books,
            owner.actor,
            url=url,
            event_types=kinds or (EventType.PAYMENT_RECEIVED,),
            secret=secret,
        )

    async def happen(
        self,
        owner: Member,
        kind: EventType = EventType.PAYMENT_RECEIVED,
        *,
        member: Member | None = None,
        **body: object,
    ) -> str:
        """An event, as its emitter would write it; its id."""
        async with pg.connection(self.books.pool) as conn, conn.transaction():
            return await emit(
                conn,
                self.books,
                owner.actor.account_id,
                kind,
                body,
                member_id=None if member is None else member.id,
            )

    async def deliveries(self, webhook: NewWebhook) -> list[Row]:
        """The log of a webhook, oldest first."""
        return await self.rows(
            "select * from webhook_deliveries where webhook_id = $1 order by id", webhook.row.id
        )

    async def rows(self, query: str, *args: object) -> list[Row]:
        """Rows from Postgres."""
        async with pg.connection(self.books.pool) as conn:
            found: list[Row] = await conn.fetch(query, *args)
        return found

    async def run(self, query: str, *args: object) -> None:
        """A statement."""
        async with pg.connection(self.books.pool) as conn:
            await conn.execute(query, *args)


@asynccontextmanager
async def post(rig: Rig, sender: Sender | None = None) -> AsyncIterator[Post]:
    """A courier over the rig's Postgres; nothing due is left from tests before."""
    clock = Clock()
    books = dataclasses.replace(
        rig.books, now_ms=clock, sealer=Sealer({"k-1": b"k" * 32}), webhook_guard=DEVELOPMENT
    )
    async with pg.connection(books.pool) as conn:
        await conn.execute("update account_events set due = false")
        await conn.execute(
            """update webhook_deliveries set status = 'failed', next_attempt_at = null
               where status = 'pending'"""
        )
    async with sender or Sender(DEVELOPMENT) as opened:
        yield Post(
            rig=rig,
            books=books,
            clock=clock,
            courier=Courier(books, opened, jitter=lambda: 0.0),
        )
