"""Where things are in the management API, found by what an operator calls them."""

from __future__ import annotations

import argparse
from urllib.parse import quote

from bytespike_cli.gateway_api import GatewayApi, decode

__all__ = ["ADMIN", "account_path", "add_org", "key_path", "org_path"]

ADMIN = "/api/v1/admin"


def add_org(parser: argparse.ArgumentParser) -> None:
    """The option that says whose wallet, keys or members are meant."""
    parser.add_argument(
        "--org", required=True, metavar="ORG", help="its id, or its name; or the id of an account"
    )


def key_path(key: str) -> str:
    """The path of a key."""
    return f"{ADMIN}/keys/{quote(key, safe='')}"


async def org_path(api: GatewayApi, org: str) -> str:
    """The path of an organisation given by id or by its name, which must then be the only such."""
    if not org.startswith("org_"):
        orgs = decode(await api.every(f"{ADMIN}/orgs"))["items"]
        ids = [str(row["id"]) for row in orgs if row["name"] == org]
        if len(ids) != 1:
            found = "no organisation is" if not ids else f"{len(ids)} organisations are"
            raise ValueError(f"{found} named {org!r}: give its id (see `bytespike admin org list`)")
        org = ids[0]
    return f"{ADMIN}/orgs/{quote(org, safe='')}"


async def account_path(api: GatewayApi, org: str) -> str:
    """The path of an account, where money and keys are: given by its id or by its organisation."""
    account_id = org
    if not org.startswith("acct_"):
        account_id = decode(await api.call("GET", await org_path(api, org)))["account_id"]
    return f"{ADMIN}/accounts/{quote(account_id, safe='')}"
