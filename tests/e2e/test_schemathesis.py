"""Everything the API's description allows, and much it does not, sent to the running API.

``schemathesis`` reads the served document, so a new route is covered by existing. The run is the
same every time: derived from the document, a fixed number of examples.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.support.gateway import Gateway
from tests.support.stack import clean_environment
from tests.support.tenants import PATH_IDS, Operation, Tenant, new_tenant, operations, variables

#: Random cases in all, on top of the boundary values that are always tried: two minutes for a
#: hundred operations. However many there are, each gets a few.
EXAMPLES = 300
LEAST_EXAMPLES = 3
#: Five times what it takes.
WITHIN_S = 300
CHECKS = {
    "not_a_server_error": True,
    "status_code_conformance": True,
    "content_type_conformance": True,
    "response_headers_conformance": True,
    "response_schema_conformance": True,
    "negative_data_rejection": True,
    "unsupported_method": True,
    "allow_header_conformance": True,
    "ignored_auth": True,
    # A body may be right by its schema and still name a group that does not exist.
    "positive_data_acceptance": False,
    # The things that paths name are given, not made by other calls.
    "use_after_free": False,
    "ensure_resource_availability": False,
}


async def test_the_running_api_does_what_its_description_says(
    gateway: Gateway, tmp_path: Path
) -> None:
    # Operators' calls change another organisation than the one whose key is asking.
    caller, other = await new_tenant(gateway), await new_tenant(gateway)
    pinned = []
    described = await operations(gateway)
    for each in described:
        tenant = other if each.for_operators else caller
        ids = {name: await PATH_IDS[name](tenant) for name in variables(each.path)}
        if ids:
            pinned.append((each, ids))
    (tmp_path / "schemathesis.toml").write_text(
        _config(gateway, caller, pinned, max(LEAST_EXAMPLES, EXAMPLES // len(described)))
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        f"{gateway.urls[0]}/api/openapi.json",
        cwd=tmp_path,
        env=clean_environment(NO_COLOR="1", COLUMNS="120"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, output.decode()


def _config(
    gateway: Gateway,
    caller: Tenant,
    pinned: list[tuple[Operation, dict[str, str]]],
    examples: int,
) -> str:
    """Credentials by security scheme, so that operations are also tried without theirs; and for
    every operation things of its own to be called with, besides those that do not exist.
    """
    checks = "\n".join(f"{name}.enabled = {str(on).lower()}" for name, on in CHECKS.items())
    things = "\n".join(
        f'[[operations]]\ninclude-name = "{each.method} {each.path}"\n'
        + "".join(f'parameters."path.{name}" = "{value}"\n' for name, value in ids.items())
        for each, ids in pinned
    )
    # One call at a time: while Redis is loaded anew, others would rightly be told to come back.
    return f"""
base-url = "{gateway.urls[0]}"
request-timeout = 30
workers = 1

[auth.openapi.api_key]
api_key = "{caller.keys[None, "manage"]}"

[auth.openapi.admin_token]
bearer = "{gateway.stack.admin_token}"

[checks]
{checks}

[phases.coverage]
unexpected-methods = ["OPTIONS"]

[phases.stateful]
enabled = false

[generation]
max-examples = {examples}
deterministic = true
database = "none"

{things}
"""
