"""Notifications: what members, or keys of no member, are told in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from bytespike_ledger.store import Connection

__all__ = [
    "NewNotification",
    "NotificationRow",
    "Reader",
    "account_readers",
    "count_unread",
    "forget_notifications",
    "insert_notifications",
    "list_notifications",
    "mark_all_read",
    "mark_read",
]

#: One reader's own rows; `is not distinct from` because no member is a reader, too.
_OWN = "account_id = $1 and member_id is not distinct from $2"


class Reader(msgspec.Struct, frozen=True):
    """A member of an account, or with None whoever holds a key of no member."""

    account_id: str
    member_id: str | None


class NewNotification(msgspec.Struct, frozen=True, kw_only=True):
    """A text for one reader about one event."""

    id: str
    account_id: str
    member_id: str | None
    event_id: str
    type: str
    title: str
    body: str
    link: str | None


class NotificationRow(NewNotification, frozen=True, kw_only=True):
    """One as stored; ``read_at`` None = unread."""

    read_at: datetime | None
    created_at: datetime


async def account_readers(conn: Connection, account_ids: Sequence[str]) -> list[Reader]:
    """The members who are told of the accounts' events: active owners and admins."""
    rows = await conn.fetch(
        """select account_id, id as member_id from members
           where account_id = any($1) and role in ('owner', 'admin') and status = 'active'""",
        account_ids,
    )
    return [Reader(row["account_id"], row["member_id"]) for row in rows]


async def insert_notifications(
    conn: Connection, notifications: Sequence[NewNotification], *, now: datetime
) -> None:
    """Write them, unread."""
    await conn.executemany(
        """insert into notifications
               (id, account_id, member_id, event_id, type, title, body, link, created_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        [(*msgspec.structs.astuple(notification), now) for notification in notifications],
    )


async def list_notifications(
    conn: Connection,
    reader: Reader,
    *,
    unread: bool | None,
    kind: str | None,
    offset: int,
    limit: int,
) -> tuple[list[NotificationRow], int]:
    """A page of a reader's, newest first, and how many there are. None = no filter."""
    where = f"""where {_OWN} and ($3::boolean is null or (read_at is null) = $3)
                  and ($4::text is null or type = $4)"""
    rows = await conn.fetch(
        f"select * from notifications {where} order by event_id desc offset $5 limit $6",  # noqa: S608
        *(reader.account_id, reader.member_id, unread, kind, offset, limit),
    )
    total: int = await conn.fetchval(
        f"select count(*) from notifications {where}",  # noqa: S608 - constants
        *(reader.account_id, reader.member_id, unread, kind),
    )
    names = NotificationRow.__struct_fields__
    return [NotificationRow(**{name: row[name] for name in names}) for row in rows], total


async def count_unread(conn: Connection, reader: Reader) -> int:
    """How many the reader has not read."""
    count: int = await conn.fetchval(
        f"select count(*) from notifications where {_OWN} and read_at is null",  # noqa: S608
        reader.account_id,
        reader.member_id,
    )
    return count


async def mark_read(
    conn: Connection, reader: Reader, notification_id: str, *, now: datetime
) -> tuple[str, datetime] | None:
    """Type and time of reading, which is that of the first time; None if there is no such."""
    row = await conn.fetchrow(
        f"""update notifications set read_at = coalesce(read_at, $4)
            where {_OWN} and id = $3 returning type, read_at""",  # noqa: S608
        reader.account_id,
        reader.member_id,
        notification_id,
        now,
    )
    return None if row is None else (row["type"], row["read_at"])


async def mark_all_read(conn: Connection, reader: Reader, *, now: datetime) -> int:
    """Mark what is unread; how many that was."""
    status = await conn.execute(
        f"update notifications set read_at = $3 where {_OWN} and read_at is null",  # noqa: S608
        reader.account_id,
        reader.member_id,
        now,
    )
    return int(status.removeprefix("UPDATE "))


async def forget_notifications(conn: Connection, *, before: datetime, limit: int) -> int:
    """Delete up to ``limit`` made before; returns how many."""
    status = await conn.execute(
        """delete from notifications where ctid = any(array(
               select ctid from notifications where created_at < $1
               order by created_at limit $2))""",
        before,
        limit,
    )
    return int(status.removeprefix("DELETE "))
