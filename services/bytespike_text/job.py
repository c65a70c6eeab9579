"""What the handler understood of a request, for everything behind it."""

from __future__ import annotations

from typing import Literal

import msgspec

from bytespike_contracts.principal import Principal, Reading

__all__ = ["Job", "Route"]

Route = Literal["messages", "count_tokens"]


class Job(msgspec.Struct, kw_only=True):
    """One request. ``reading`` is what the edge saw in the body and this service believes;
    ``path`` goes to the vendor as it is, query included; ``headers`` and ``betas`` are what of the
    client's headers may go with it. ``body`` is given up once nothing can be sent again.
    """

    route: Route
    principal: Principal
    reading: Reading
    path: str
    headers: tuple[tuple[str, str], ...]
    betas: tuple[str, ...]
    body: bytes
