"""The demo organisation: a funded wallet and two keys, made once and found again by later runs.

It goes through the management API like any operator would. Keys are shown by the API only once, so
they are kept below the home, readable by its owner alone.
"""

from __future__ import annotations

import msgspec

from bytespike_cli.gateway_api import ApiError, GatewayApi, decode
from bytespike_cli.home import Home, write_private

__all__ = ["Demo", "ensure_demo"]

_ORG_NAME = "demo"
_FUNDS_USD = "100.00"
_ORGS = "/api/v1/admin/orgs"


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """Who can do what in the demo: an inference key and a manage key of one organisation."""

    org_id: str
    api_key: str
    manage_key: str


async def ensure_demo(api: GatewayApi, home: Home) -> Demo:
    """The demo of an earlier run if its keys still work here, else a new one."""
    path = home.root / "secrets" / "demo.json"
    if path.exists():
        demo = msgspec.json.decode(path.read_bytes(), type=Demo)
        if await _still_works(api.base_url, demo):
            return demo
    org_id, account_id = await _org(api)
    account = f"/api/v1/admin/accounts/{account_id}"
    # The same idempotency key each time: a run that was interrupted cannot fund it twice.
    top_up = {"usd": _FUNDS_USD, "idempotency_key": f"demo-{org_id}"}
    await api.call("POST", f"{account}/top-ups", top_up)
    demo = Demo(
        org_id=org_id,
        api_key=await _key(api, account, "demo", "inference"),
        manage_key=await _key(api, account, "demo-manage", "manage"),
    )
    write_private(path, msgspec.json.encode(demo).decode())
    return demo


async def _still_works(base_url: str, demo: Demo) -> bool:
    async with GatewayApi(base_url, demo.api_key) as customer:
        try:
            await customer.call("GET", "/v1/balance")
        except ApiError as error:
            if error.status == 401:
                return False  # another database than the one it was made in
            raise
    return True


async def _org(api: GatewayApi) -> tuple[str, str]:
    """The ids of the organisation and of its account."""
    for org in decode(await api.every(_ORGS))["items"]:
        if org["name"] == _ORG_NAME:
            return str(org["id"]), str(org["account_id"])
    org = decode(await api.call("POST", _ORGS, {"name": _ORG_NAME}))
    return str(org["id"]), str(org["account_id"])


async def _key(api: GatewayApi, account: str, name: str, scope: str) -> str:
    body = {"name": name, "scopes": [scope]}
    return str(decode(await api.call("POST", f"{account}/keys", body))["key"])
