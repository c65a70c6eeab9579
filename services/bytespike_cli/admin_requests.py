"""What each `bytespike admin` command asks of the management API.

One function per command, from parsed options to the answer's bytes. Rules about money and keys are
the ledger's alone; nothing is checked or computed here.
"""

from __future__ import annotations

import argparse
from urllib.parse import quote

from bytespike_cli.gateway_api import GatewayApi, decode

_ADMIN = "/api/v1/admin"
#: Options that are fields of a key, under the same name.
_KEY_FIELDS = (
    "name",
    "quota",
    "rate_limit_5h",
    "rate_limit_1d",
    "rate_limit_7d",
    "ip_allow",
    "ip_deny",
    "expires_in_days",
    "group",
    "scopes",
    "custom_key",
)


async def create_org(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("POST", f"{_ADMIN}/orgs", _given(args, "name", "tier", "concurrency"))


async def list_orgs(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.every(f"{_ADMIN}/orgs")


async def top_up(api: GatewayApi, args: argparse.Namespace) -> bytes:
    body = _given(args, "usd", "idempotency_key", "note")
    return await api.call("POST", f"{await _org_path(api, args.org)}/top-ups", body)


async def show_wallet(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("GET", await _org_path(api, args.org))


async def create_key(api: GatewayApi, args: argparse.Namespace) -> bytes:
    path = f"{await _org_path(api, args.org)}/keys"
    return await api.call("POST", path, _given(args, *_KEY_FIELDS))


async def list_keys(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.every(f"{await _org_path(api, args.org)}/keys")


async def show_key(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("GET", _key_path(args))


async def update_key(api: GatewayApi, args: argparse.Namespace) -> bytes:
    changes = _given(args, *_KEY_FIELDS)
    if not changes:
        raise ValueError("nothing to change: name at least one option (see --help)")
    return await api.call("PATCH", _key_path(args), changes)


async def disable_key(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("POST", f"{_key_path(args)}/disable")


async def enable_key(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("PATCH", _key_path(args), {"status": "active"})


async def delete_key(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("DELETE", _key_path(args))


async def audit(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("GET", f"{_ADMIN}/audit")


async def rebuild(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("POST", f"{_ADMIN}/rebuild")


def _given(args: argparse.Namespace, *names: str) -> dict[str, object]:
    """The options that were said; one that was left out must not reach the ledger as a value."""
    return {name: value for name in names if (value := getattr(args, name, None)) is not None}


def _key_path(args: argparse.Namespace) -> str:
    return f"{_ADMIN}/keys/{quote(args.key, safe='')}"


async def _org_path(api: GatewayApi, org: str) -> str:
    """The path of an organisation given by id or by its name, which must then be the only such."""
    if not org.startswith("org_"):
        orgs = decode(await api.every(f"{_ADMIN}/orgs"))["items"]
        ids = [str(row["id"]) for row in orgs if row["name"] == org]
        if len(ids) != 1:
            found = "no organisation is" if not ids else f"{len(ids)} organisations are"
            raise ValueError(f"{found} named {org!r}: give its id (see `bytespike admin org list`)")
        org = ids[0]
    return f"{_ADMIN}/orgs/{quote(org, safe='')}"
