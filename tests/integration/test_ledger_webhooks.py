"""Webhooks and notifications as customers and operators call them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest
import structlog

from bytespike_cli.servers import PostgresServer
from bytespike_ledger.accounts.actors import Role
from bytespike_ledger.accounts.events import EventType
from bytespike_ledger.api.notifications import NotificationApi
from bytespike_ledger.api.webhooks import WebhookApi
from bytespike_ledger.books import Books
from bytespike_ledger.sealing import Sealer
from tests.support.ledger import Rig, ledger
from tests.support.receiver import receiver
from tests.support.served_ledger import ADMIN_TOKEN, served_routes
from tests.support.webhooks import Member, Post, post

OPERATOR = {"authorization": f"Bearer {ADMIN_TOKEN}"}
HOOKS = "/api/v1/me/webhooks"
NOTES = "/api/v1/me/notifications"
PAYMENT = {"url": "https://example.com/hook", "event_types": ["system.payment.received"]}


@dataclass(frozen=True)
class Api:
    """Calls the routes under test over HTTP."""

    session: aiohttp.ClientSession
    base: str

    async def call(
        self, who: Member | None, method: str, path: str, body: object = None
    ) -> tuple[int, Any]:
        """As a member, or with None as an operator; status and decoded body."""
        headers: Mapping[str, str] = OPERATOR if who is None else who.headers
        data = b"" if body is None else msgspec.json.encode(body)
        async with self.session.request(
            method, self.base + path, data=data, headers=headers
        ) as response:
            content = await response.read()
            return response.status, msgspec.json.decode(content) if content else None

    async def made(self, who: Member, **changes: object) -> Any:
        """A webhook that is expected to be made."""
        status, body = await self.call(who, "POST", HOOKS, {**PAYMENT, **changes})
        assert status == 201, body
        return body


@pytest.fixture(scope="module")
async def rig(postgres_server: PostgresServer, redis_url: str, nats_url: str) -> AsyncIterator[Rig]:
    database = postgres_server.create_database("ledger_webhooks")
    async with ledger(database, redis_url, nats_url) as rig:
        yield rig


@pytest.fixture
async def office(rig: Rig) -> AsyncIterator[Post]:
    async with post(rig) as opened:
        yield opened


async def serve(books: Books) -> AsyncIterator[Api]:
    routes = [*WebhookApi(books=books).routes(), *NotificationApi(books=books).routes()]
    async with served_routes(books, routes) as (session, base):
        yield Api(session, base)


@pytest.fixture
async def api(office: Post) -> AsyncIterator[Api]:
    async for served in serve(office.books):
        yield served


def error(answer: tuple[int, Any]) -> tuple[int, str, str | None]:
    status, body = answer
    return status, body["error"]["code"], body["error"]["param"]


async def test_a_webhook_from_first_to_last(api: Api, office: Post) -> None:
    owner = await office.customer()
    with structlog.testing.capture_logs() as lines:
        made = await api.made(owner)
        path = f"{HOOKS}/{made['id']}"
        secret = made.pop("secret")
        assert secret.startswith("whsec_")
        assert (made["status"], made["fail_count"]) == ("active", 0)
        assert await api.call(owner, "GET", HOOKS) == (200, {"items": [made], "total": 1})
        assert await api.call(owner, "GET", path) == (200, made)

        status, changed = await api.call(
            owner, "PUT", path, {"url": "https://example.com/other", "status": "disabled"}
        )
        assert (status, changed["url"]) == (200, "https://example.com/other")
        assert changed["status"] == "disabled"
        assert changed["event_types"] == made["event_types"]
        assert await api.call(owner, "PUT", path, {"status": "disabled"}) == (200, changed)
        assert error(await api.call(owner, "PUT", path, {"secret": "x" * 32}))[0] == 400
        assert await api.call(owner, "DELETE", path) == (204, None)
        assert error(await api.call(owner, "GET", path)) == (404, "not_found", None)
        assert await api.call(owner, "GET", HOOKS) == (200, {"items": [], "total": 0})
    everything = str(lines) + str(changed) + str(await dump(office))
    assert secret not in everything
    assert secret.removeprefix("whsec_") not in everything
    actions = await office.rows(
        "select action, actor, address from audit_log where target = $1 order by id", made["id"]
    )
    done = [row["action"] for row in actions]
    assert done == ["webhook.create", "webhook.update", "webhook.delete"]
    assert {(row["actor"], row["address"]) for row in actions} == {
        (owner.actor.key_id, "127.0.0.1")
    }
    assert await office.rows("select 1 from sealed_secrets where owner_id = $1", made["id"]) == []


async def dump(office: Post) -> list[Any]:
    """Whatever the area's tables hold."""
    return [
        await office.rows(f"select * from {table}")
        for table in ("webhooks", "account_events", "audit_log", "sealed_secrets")
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"url": "http://example.com/"}, (400, "invalid_request", "url")),
        ({"url": "https://10.0.0.1/"}, (400, "invalid_request", "url")),
        ({"url": "https://user:pw@example.com/"}, (400, "invalid_request", "url")),
        ({"event_types": []}, (400, "invalid_request", "event_types")),
        ({"event_types": ["no.such"]}, (400, "invalid_request", "event_types[0]")),
        ({"event_types": ["webhook.test"]}, (400, "invalid_request", "event_types[0]")),
        ({"secret": "short"}, (400, "invalid_request", "secret")),
        ({"secret": "whsec_!!!"}, (400, "invalid_request", "secret")),
    ],
)
async def test_what_cannot_be_made(
    api: Api, office: Post, changes: dict[str, object], expected: tuple[int, str, str]
) -> None:
    owner = await office.customer()
    assert error(await api.call(owner, "POST", HOOKS, {**PAYMENT, **changes})) == expected


async def test_a_url_is_subscribed_once_and_free_again_when_deleted(api: Api, office: Post) -> None:
    owner, other = await office.customer(), await office.customer()
    made = await api.made(owner)
    again = {**PAYMENT, "url": "HTTPS://EXAMPLE.com:443/hook"}
    assert error(await api.call(owner, "POST", HOOKS, again)) == (409, "conflict", "url")
    second = await api.made(owner, url="https://example.com/second")
    taken = await api.call(owner, "PUT", f"{HOOKS}/{second['id']}", {"url": PAYMENT["url"]})
    assert error(taken) == (409, "conflict", "url")
    await api.made(other)
    await api.call(owner, "DELETE", f"{HOOKS}/{made['id']}")
    await api.made(owner)


async def test_an_account_has_at_most_twenty_however_they_are_made(api: Api, office: Post) -> None:
    owner = await office.customer()
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(
                api.call(owner, "POST", HOOKS, {**PAYMENT, "url": f"https://example.com/{number}"})
            )
            for number in range(23)
        ]
    statuses = sorted(call.result()[0] for call in calls)
    assert statuses == [201] * 20 + [409] * 3
    listed = (await api.call(owner, "GET", HOOKS))[1]
    assert listed["total"] == len(listed["items"]) == 20
    await api.call(owner, "DELETE", f"{HOOKS}/{listed['items'][0]['id']}")
    await api.made(owner, url="https://example.com/after")


async def test_without_encryption_keys_there_are_no_webhooks(rig: Rig, office: Post) -> None:
    owner = await office.customer()
    async for api in serve(dataclasses.replace(office.books, sealer=Sealer({}))):
        status, body = await api.call(owner, "POST", HOOKS, PAYMENT)
        assert (status, body["error"]["code"]) == (409, "conflict")
        assert "encryption key" in body["error"]["message"]


async def test_members_subscribe_to_what_concerns_themselves(api: Api, office: Post) -> None:
    owner = await office.customer()
    member, viewer = (
        await office.member(owner, Role.MEMBER),
        await office.member(owner, Role.VIEWER),
    )
    status, body = await api.call(member, "POST", HOOKS, PAYMENT)
    assert error((status, body)) == (403, "permission_denied", "event_types[0]")
    assert "system.payment.received" in body["error"]["message"]
    made = await api.made(member, event_types=["org.api_key.revoke"])
    assert made["owner_user_id"] == member.user_id
    wider = await api.call(
        member, "PUT", f"{HOOKS}/{made['id']}", {"event_types": PAYMENT["event_types"]}
    )
    assert wider[0] == 403
    assert (await api.call(viewer, "POST", HOOKS, PAYMENT))[0] == 403
    of_owner = await api.made(owner, url="https://example.com/owner")

    async def seen(who: Member) -> set[str]:
        return {item["id"] for item in (await api.call(who, "GET", HOOKS))[1]["items"]}

    assert await seen(member) == {made["id"]}
    assert await seen(owner) == await seen(viewer) == {made["id"], of_owner["id"]}
    assert (await api.call(owner, "DELETE", f"{HOOKS}/{made['id']}"))[0] == 204


async def test_every_route_is_closed_to_other_accounts_and_other_members(
    api: Api, office: Post
) -> None:
    owner = await office.customer()
    made = await api.made(owner)
    status, sent = await api.call(owner, "POST", f"{HOOKS}/{made['id']}/test")
    assert status == 202
    own = f"{HOOKS}/{made['id']}"
    strangers = [
        await office.customer(),
        await office.individual(),
        await office.member(owner, Role.MEMBER),
        await office.member(await office.customer(), Role.ADMIN),
    ]
    for stranger in strangers:
        for method, path, body in (
            ("GET", own, None),
            ("PUT", own, {"status": "disabled"}),
            ("DELETE", own, None),
            ("GET", f"{own}/deliveries", None),
            ("POST", f"{own}/deliveries/{sent['id']}/redeliver", None),
            ("POST", f"{own}/test", None),
        ):
            answer = await api.call(stranger, method, path, body)
            assert error(answer) == (404, "not_found", None), (method, path)
            missing = await api.call(stranger, method, path.replace(made["id"], "wh_none"), body)
            assert (
                missing[1]["error"]["message"].replace("wh_none", made["id"])
                == (answer[1]["error"]["message"])
            )
    # One's own webhook does not open another's delivery.
    mine = await api.made(strangers[0])
    crossed = f"{HOOKS}/{mine['id']}/deliveries/{sent['id']}/redeliver"
    assert error(await api.call(strangers[0], "POST", crossed))[0] == 404
    reading = await office.key(owner.actor.account_id, owner.actor.org_id, manages=False)
    assert (await api.call(reading, "GET", HOOKS))[0] == 403


async def test_a_test_event_its_log_and_its_redelivery(api: Api, office: Post) -> None:
    owner = await office.individual()
    async with receiver() as server:
        made = await api.made(owner, url=server.url)
        path = f"{HOOKS}/{made['id']}"
        status, sent = await api.call(owner, "POST", f"{path}/test")
        assert (status, sent["status"], sent["event_type"]) == (202, "pending", "webhook.test")
        await office.courier.step()
        office.clock.advance(1)
        status, again = await api.call(owner, "POST", f"{path}/deliveries/{sent['id']}/redeliver")
        assert (status, again["event_id"]) == (202, sent["event_id"])
        assert again["payload"] == sent["payload"]
        await office.courier.step()
        assert server.ids == [sent["event_id"]] * 2

    first = (await api.call(owner, "GET", f"{path}/deliveries?page=1&page_size=1"))[1]
    second = (await api.call(owner, "GET", f"{path}/deliveries?page=2&page_size=1"))[1]
    assert [first["items"][0]["id"], second["items"][0]["id"]] == [again["id"], sent["id"]]
    assert (first["total"], first["page"], second["page"], first["page_size"]) == (2, 1, 2, 1)
    line = second["items"][0]
    assert (line["status"], line["attempt"], line["response_status"]) == ("delivered", 1, 200)
    assert (await api.call(owner, "GET", f"{path}/deliveries?page=0"))[0] == 400
    assert (await api.call(owner, "GET", f"{path}/deliveries?page_size=201"))[0] == 400

    await api.call(owner, "PUT", path, {"status": "disabled"})
    assert (await api.call(owner, "POST", f"{path}/test"))[0] == 409
    redelivery = f"{path}/deliveries/{sent['id']}/redeliver"
    assert (await api.call(owner, "POST", redelivery))[0] == 409


async def test_operators_see_redeliver_and_disable(api: Api, office: Post) -> None:
    owner = await office.customer()
    async with receiver() as server:
        made = await api.made(owner, url=server.url)
        of_account = f"/api/v1/admin/accounts/{owner.actor.account_id}/webhooks"
        listed = (await api.call(None, "GET", of_account))[1]
        assert [item["id"] for item in listed["items"]] == [made["id"]]
        assert (await api.call(None, "GET", "/api/v1/admin/accounts/acct_none/webhooks"))[0] == 404
        await office.happen(owner, amount_usd="5")
        await office.courier.step()
        one = f"/api/v1/admin/webhooks/{made['id']}"
        (line,) = (await api.call(None, "GET", f"{one}/deliveries"))[1]["items"]
        again = await api.call(None, "POST", f"{one}/deliveries/{line['id']}/redeliver")
        assert again[0] == 202
        await office.courier.step()
        assert len(server.calls) == 2
        status, disabled = await api.call(None, "POST", f"{one}/disable")
        assert (status, disabled["status"]) == (200, "disabled")
        await office.happen(owner)
        await office.courier.step()
        assert len(server.calls) == 2
        newest = (await api.call(owner, "GET", f"{NOTES}?type=user.webhook.update"))[1]["items"]
        assert [item["body"].partition("because ")[2][:11] for item in newest] == ["an operator"]
    for path in (of_account, f"{one}/deliveries"):
        assert (await api.call(owner, "GET", path))[0] == 401


async def test_notifications_are_addressed(api: Api, office: Post) -> None:
    owner = await office.customer()
    admin, member = await office.member(owner, Role.ADMIN), await office.member(owner, Role.MEMBER)
    stranger = await office.customer()
    await office.happen(owner, amount_usd="20.00", balance_usd="25.00")
    await office.happen(owner, EventType.ORG_KEY_REVOKE, member=member, name="ci", hint="...abcd")
    await office.happen(owner, EventType.ORG_UPDATE)
    await office.courier.step()

    async def titles(who: Member, query: str = "") -> list[str]:
        status, page = await api.call(who, "GET", NOTES + query)
        assert status == 200
        assert page["total"] == len(page["items"])
        return [item["title"] for item in page["items"]]

    assert await titles(owner) == await titles(admin) == ["Payment received"]
    assert await titles(member) == ["A key was revoked"]
    assert await titles(stranger) == []
    (item,) = (await api.call(member, "GET", NOTES))[1]["items"]
    assert "ci (...abcd)" in item["body"]
    reading = await office.key(owner.actor.account_id, owner.actor.org_id, manages=False)
    assert await titles(reading) == ["Payment received"]
    assert (await api.call(reading, "POST", f"{NOTES}/mark-all-read"))[0] == 403
    # Not one of the owner's, so not there.
    assert (await api.call(owner, "POST", f"{NOTES}/{item['id']}/mark-read"))[0] == 404
    assert (await api.call(stranger, "POST", f"{NOTES}/{item['id']}/mark-read"))[0] == 404


async def test_notifications_are_read(api: Api, office: Post) -> None:
    owner = await office.individual()
    for kind in (EventType.PAYMENT_RECEIVED, EventType.BALANCE_LOW, EventType.PAYMENT_RECEIVED):
        await office.happen(owner, kind)
        office.clock.advance(1)
    await office.courier.step()

    async def count(query: str) -> int:
        return int((await api.call(owner, "GET", NOTES + query))[1]["total"])

    assert await api.call(owner, "GET", f"{NOTES}/unread-count") == (200, {"count": 3})
    newest = (await api.call(owner, "GET", f"{NOTES}?page_size=1"))[1]["items"][0]
    assert (newest["type"], newest["read_at"]) == ("system.payment.received", None)
    path = f"{NOTES}/{newest['id']}/mark-read"
    status, marked = await api.call(owner, "POST", path)
    assert (status, marked["type"]) == (200, newest["type"])
    office.clock.advance(60)
    assert await api.call(owner, "POST", path) == (200, marked), "the first time counts"
    queries = ("?unread", "?unread=true", "?read", "?unread=false")
    assert [await count(query) for query in queries] == [2, 2, 1, 3]
    assert await count("?type=system.balance.notify.dispatched") == 1
    assert await count("?unread&type=system.payment.received") == 1
    assert await api.call(owner, "POST", f"{NOTES}/mark-all-read") == (200, {"marked_read": 2})
    assert await api.call(owner, "POST", f"{NOTES}/mark-all-read") == (200, {"marked_read": 0})
    assert await api.call(owner, "GET", f"{NOTES}/unread-count") == (200, {"count": 0})

    for query, param in (
        ("?unread&read", "read"),
        ("?type=no.such", "type"),
        ("?type=org.settings.update", "type"),
        ("?unread=maybe", "unread"),
        ("?page=0", "page"),
        ("?page_size=500", "page_size"),
    ):
        assert error(await api.call(owner, "GET", NOTES + query)) == (400, "invalid_request", param)
