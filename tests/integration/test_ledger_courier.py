"""The courier against real receivers: what arrives, when again, and what never happens."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator

import pytest
import structlog
from standardwebhooks import Webhook, WebhookVerificationError

from bytespike_cli.ports import free_port
from bytespike_cli.servers import PostgresServer
from bytespike_ledger.accounts.actors import Role
from bytespike_ledger.accounts.events import EventType
from bytespike_ledger.accounts.webhooks import redeliver
from bytespike_ledger.courier.courier import DISABLE_AT, Courier
from bytespike_ledger.courier.fan_out import fan_out_some
from bytespike_ledger.courier.sender import Sender
from tests.support.eventually import eventually
from tests.support.ledger import Rig, ledger
from tests.support.receiver import Receiver, receiver
from tests.support.webhooks import DEVELOPMENT, Post, post


@pytest.fixture(scope="module")
async def rig(postgres_server: PostgresServer, redis_url: str, nats_url: str) -> AsyncIterator[Rig]:
    database = postgres_server.create_database("ledger_courier")
    async with ledger(database, redis_url, nats_url) as rig:
        yield rig


@pytest.fixture
async def office(rig: Rig) -> AsyncIterator[Post]:
    async with post(rig) as opened:
        yield opened


@pytest.fixture
async def server() -> AsyncIterator[Receiver]:
    async with receiver() as running:
        yield running


async def test_an_event_arrives_signed_both_ways(office: Post, server: Receiver) -> None:
    owner = await office.customer()
    made = await office.webhook(owner, server.url + "?team=1", EventType.BALANCE_LOW)
    event_id = await office.happen(owner, EventType.BALANCE_LOW, balance_usd="7.8", note="ü")
    assert await office.courier.step() == 1

    (call,) = server.calls
    assert call.path == "/hook?team=1"
    assert Webhook(made.secret).verify(call.body, dict(call.headers))["id"] == event_id
    digest = hmac.new(made.secret.encode(), call.body, hashlib.sha256).hexdigest()
    assert call.headers["x-bytespike-signature"] == digest
    assert call.headers["webhook-id"] == event_id
    assert call.headers["content-type"] == "application/json"
    assert call.headers["user-agent"].startswith("ByteSpike")
    assert b'"balance_usd":7.80' in call.body
    assert json.loads(call.body)["event"] == "system.balance.notify.dispatched"

    (row,) = await office.deliveries(made)
    assert (row["status"], row["attempt"], row["response_status"]) == ("delivered", 1, 200)
    assert row["payload"].encode() == call.body
    assert await office.courier.step() == 0, "once is enough"


async def test_a_failure_is_repeated_after_30_s_with_the_same_bytes(
    office: Post, server: Receiver
) -> None:
    owner = await office.customer()
    made = await office.webhook(owner, server.url)
    server.answers = [503]
    await office.happen(owner)
    assert await office.courier.step() == 1
    office.clock.advance(29.9)
    assert await office.courier.step() == 0
    office.clock.advance(0.1)
    assert await office.courier.step() == 1

    first, second = server.calls
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    stamps = [int(call.headers["webhook-timestamp"]) for call in server.calls]
    assert stamps[1] - stamps[0] == 30
    Webhook(made.secret).verify(second.body, dict(second.headers))
    (row,) = await office.deliveries(made)
    assert (row["status"], row["attempt"], row["error"]) == ("delivered", 2, None)


@pytest.mark.parametrize("status", [500, 503, 429, 302])
async def test_three_attempts_and_then_it_has_failed(
    office: Post, server: Receiver, status: int
) -> None:
    owner = await office.customer()
    made = await office.webhook(owner, server.url)
    server.otherwise = status
    await office.happen(owner)
    for pause_s in (0, 30, 300):
        office.clock.advance(pause_s)
        assert await office.courier.step() == 1
    office.clock.advance(86_400)
    assert await office.courier.step() == 0
    (row,) = await office.deliveries(made)
    assert (row["status"], row["attempt"], row["response_status"]) == ("failed", 3, status)
    (webhook,) = await office.rows("select * from webhooks where id = $1", made.row.id)
    assert (webhook["fail_count"], webhook["status"]) == (1, "active")

    server.otherwise = 204
    await office.happen(owner)
    assert await office.courier.step() == 1
    (webhook,) = await office.rows("select * from webhooks where id = $1", made.row.id)
    assert webhook["fail_count"] == 0, "a success ends the count"


@pytest.mark.parametrize("status", [400, 401, 404, 410])
async def test_what_the_receiver_refuses_is_not_repeated(
    office: Post, server: Receiver, status: int
) -> None:
    owner = await office.customer()
    made = await office.webhook(owner, server.url)
    server.otherwise = status
    await office.happen(owner)
    await office.courier.step()
    (row,) = await office.deliveries(made)
    assert (row["status"], row["attempt"], row["next_attempt_at"]) == ("failed", 1, None)


async def test_redirects_are_not_followed(office: Post, server: Receiver) -> None:
    owner = await office.customer()
    made = await office.webhook(owner, server.url)
    async with receiver() as trap:
        server.otherwise, server.location = 307, trap.url
        await office.happen(owner)
        await office.courier.step()
        assert (len(server.calls), len(trap.calls)) == (1, 0)
    (row,) = await office.deliveries(made)
    assert (row["response_status"], row["status"]) == (307, "pending")
    assert "redirect" in row["error"]


async def test_a_receiver_that_is_not_there(office: Post) -> None:
    owner = await office.customer()
    made = await office.webhook(owner, f"http://127.0.0.1:{free_port()}/")
    await office.happen(owner)
    await office.courier.step()
    (row,) = await office.deliveries(made)
    assert (row["status"], row["response_status"]) == ("pending", 0)
    assert row["error"] == "the connection was refused"


async def test_a_receiver_that_never_answers(rig: Rig, server: Receiver) -> None:
    server.hanging = True
    async with post(rig, Sender(DEVELOPMENT, timeout_s=0.1)) as office:
        owner = await office.customer()
        made = await office.webhook(owner, server.url)
        await office.happen(owner)
        await office.courier.step()
        (row,) = await office.deliveries(made)
        assert (row["status"], row["response_status"]) == ("pending", 0)
        assert row["error"] == "no answer in time"
        assert row["duration_ms"] >= 100


async def test_fifty_failures_in_a_row_disable_a_webhook(office: Post, server: Receiver) -> None:
    owner = await office.customer()
    made = await office.webhook(owner, server.url)
    server.otherwise = 400
    for _ in range(DISABLE_AT + 3):
        await office.happen(owner)
    while await office.courier.step():
        pass
    (webhook,) = await office.rows("select * from webhooks where id = $1", made.row.id)
    assert (webhook["status"], webhook["fail_count"]) == ("disabled", DISABLE_AT)
    rows = await office.deliveries(made)
    assert {row["status"] for row in rows} == {"failed"}
    cancelled = [row for row in rows if row["error"] == "the webhook is disabled"]
    # What was under way beside the fiftieth was sent; nothing after it.
    assert len(server.calls) + len(cancelled) == DISABLE_AT + 3
    assert cancelled
    (notice,) = await office.rows(
        "select * from notifications where account_id = $1 and type = 'user.webhook.update'",
        owner.actor.account_id,
    )
    assert "127.0.0.1" in notice["body"]
    assert "50 deliveries in a row failed" in notice["body"]
    (entry,) = await office.rows(
        "select * from audit_log where target = $1 and actor = 'courier'", made.row.id
    )
    assert '"disabled"' in entry["after"]


async def test_two_couriers_side_by_side_deliver_everything_once(
    office: Post, server: Receiver
) -> None:
    owner = await office.customer()
    for path in ("/a", "/b", "/c"):
        await office.webhook(owner, server.url + path)
    events = {await office.happen(owner) for _ in range(20)}
    async with Sender(DEVELOPMENT) as sender:
        couriers = (office.courier, Courier(office.books, sender))
        while any(await asyncio.gather(*(courier.step() for courier in couriers))):
            pass
    told = [(call.path, call.headers["webhook-id"]) for call in server.calls]
    assert len(told) == len(set(told)) == 60
    assert {event_id for _, event_id in told} == events


async def test_a_courier_that_dies_after_the_fan_out_loses_nothing(
    office: Post, server: Receiver
) -> None:
    owner = await office.customer()
    await office.webhook(owner, server.url)
    event_id = await office.happen(owner)
    assert await fan_out_some(office.books) == 3, "its webhook and its key are events, too"
    async with Sender(DEVELOPMENT) as sender:
        await Courier(office.books, sender).step()
    assert server.ids == [event_id]


async def test_an_event_that_cannot_be_told_does_not_hold_up_the_others(
    office: Post, server: Receiver
) -> None:
    owner = await office.customer()
    await office.webhook(owner, server.url)
    bad = await office.happen(owner)
    # No emitter of ours writes a body that is not an object.
    await office.run("update account_events set body = '[]' where id = $1", bad)
    good = await office.happen(owner)
    with structlog.testing.capture_logs() as lines:
        await office.courier.step()
    assert server.ids == [good]
    assert [line["event_id"] for line in lines if line["log_level"] == "error"] == [bad]
    left = await office.rows("select id from account_events where due")
    assert left == []


async def test_a_courier_that_dies_while_posting_is_followed_by_another(
    office: Post, server: Receiver
) -> None:
    owner = await office.customer()
    made = await office.webhook(owner, server.url)
    event_id = await office.happen(owner)
    server.hanging = True
    dying = asyncio.create_task(office.courier.step())
    await eventually(lambda: server.calls)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    server.hanging = False

    async with Sender(DEVELOPMENT) as sender:
        successor = Courier(office.books, sender)
        office.clock.advance(59)
        assert await successor.step() == 0, "the lease may still be in use"
        office.clock.advance(1)
        assert await successor.step() == 1
    assert server.ids == [event_id, event_id], "receivers can tell that it is the same"
    (row,) = await office.deliveries(made)
    assert row["status"] == "delivered"


async def test_a_slow_receiver_holds_up_nobody_else(office: Post, server: Receiver) -> None:
    owner, other = await office.customer(), await office.customer()
    async with receiver() as slow:
        slow.hanging = True
        await office.webhook(owner, slow.url)
        await office.webhook(other, server.url)
        for _ in range(30):
            await office.happen(owner)
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                await office.courier.turn(group)
            await eventually(lambda: slow.calls)
            assert len(slow.calls) <= 4, "a webhook has its share"
            for number in range(1, 4):
                await office.happen(other)
                await office.courier.turn(group)
                await eventually(lambda wanted=number: len(server.calls) == wanted)  # type: ignore[misc]
            slow.released.set()


async def test_an_account_has_its_share_over_all_its_webhooks(
    office: Post, server: Receiver
) -> None:
    owner, other = await office.customer(), await office.customer()
    async with receiver() as slow:
        slow.hanging = True
        for number in range(20):
            await office.webhook(owner, f"{slow.url}/{number}")
        await office.webhook(other, server.url)
        for _ in range(5):
            await office.happen(owner)
        await office.happen(other)
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                await office.courier.turn(group)
            await eventually(lambda: len(slow.calls) >= 12 and server.calls)
            assert len(slow.calls) == 12
            slow.hanging = False
            slow.released.set()
        while await office.courier.step():
            pass
        assert len(slow.calls) == 100, "it waits, and is not forgotten"


async def test_a_long_queue_of_one_holds_up_nobody_else(office: Post, server: Receiver) -> None:
    flooded, other = await office.customer(), await office.customer()
    made = await office.webhook(flooded, server.url + "/flood")
    await office.webhook(other, server.url + "/other")
    event_id = await office.happen(flooded)
    await office.run(
        """insert into webhook_deliveries (id, account_id, webhook_id, event_id, event_type,
               payload, next_attempt_at)
           select 'dlv_' || number, $1, $2, $3, 'x', '{}', now() - interval '1 hour'
           from generate_series(1, 10000) as number""",
        *(flooded.actor.account_id, made.row.id, event_id),
    )
    await office.happen(other)
    await office.courier.step()
    assert sorted({call.path for call in server.calls}) == ["/hook/flood", "/hook/other"]


async def test_a_redelivery_is_the_same_event_and_an_old_call_is_refused(
    office: Post, server: Receiver
) -> None:
    owner = await office.customer()
    made = await office.webhook(owner, server.url)
    await office.happen(owner)
    await office.courier.step()
    (row,) = await office.deliveries(made)
    again = await redeliver(office.books, owner.actor, made.row.id, row["id"])
    assert again.id != row["id"]
    await office.courier.step()
    first, second = server.calls
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    replayed = {**first.headers, "webhook-timestamp": str(office.clock() // 1000 - 600)}
    with pytest.raises(WebhookVerificationError):
        Webhook(made.secret).verify(first.body, replayed)


async def test_who_is_told_follows_the_role_of_today(office: Post, server: Receiver) -> None:
    owner = await office.customer()
    admin = await office.member(owner, Role.ADMIN)
    member = await office.member(owner, Role.MEMBER)
    both = (EventType.PAYMENT_RECEIVED, EventType.KEY_REVOKE)
    await office.webhook(admin, server.url + "/admin", *both)
    await office.webhook(member, server.url + "/member", EventType.KEY_REVOKE)

    async def told(*expected: str) -> None:
        while await office.courier.step():
            pass
        assert sorted(call.path for call in server.calls) == sorted(expected)
        server.calls.clear()

    await office.happen(owner, EventType.KEY_REVOKE, member=member)
    await told("/hook/admin", "/hook/member")
    await office.happen(owner, EventType.KEY_REVOKE, member=admin)
    await told("/hook/admin")
    await office.happen(owner)
    await told("/hook/admin")
    await office.run("update members set role = 'member' where id = $1", admin.id)
    await office.happen(owner)
    await told()
    await office.run("update members set status = 'removed' where id = $1", member.id)
    await office.happen(owner, EventType.KEY_REVOKE, member=member)
    await told()


async def test_the_log_is_kept_for_thirty_days(office: Post, server: Receiver) -> None:
    owner = await office.customer()
    made = await office.webhook(owner, server.url)
    await office.happen(owner)
    await office.courier.step()
    office.clock.advance(29 * 86_400)
    await office.courier.forget()
    assert len(await office.deliveries(made)) == 1
    office.clock.advance(2 * 86_400)
    await office.courier.forget()
    assert await office.deliveries(made) == []
    of_account = "select type from account_events where account_id = $1"
    left = await office.rows(of_account, owner.actor.account_id)
    assert [row["type"] for row in left] == ["system.payment.received"], "a notification is left"
    office.clock.advance(400 * 86_400)
    await office.courier.forget()
    assert await office.rows(of_account, owner.actor.account_id) == []


async def test_neither_secrets_nor_urls_are_logged(office: Post, server: Receiver) -> None:
    owner = await office.customer()
    with structlog.testing.capture_logs() as lines:
        made = await office.webhook(owner, server.url + "/path-token?query=token")
        server.otherwise = 500
        await office.happen(owner)
        await office.courier.step()
    text = str(lines)
    assert "webhook attempt" in text
    for hidden in (made.secret, made.secret.removeprefix("whsec_"), "token"):
        assert hidden not in text
