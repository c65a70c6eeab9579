"""What the handler understood of a request, for everything behind it."""

from __future__ import annotations

from typing import Literal

import msgspec

from bytespike_contracts.principal import Principal

__all__ = ["Job"]


class Job(msgspec.Struct, kw_only=True):
    """One request. ``model_id`` is the catalogue's name, ``model_name`` the body's spelling;
    ``path`` goes to the vendor as it is, query included; ``headers`` and ``betas`` are what of the
    client's headers may go with it. ``body`` is given up once nothing can be sent again.
    """

    route: Literal["messages", "count_tokens"]
    principal: Principal
    model_id: str
    model_name: str
    stream: bool
    path: str
    headers: tuple[tuple[str, str], ...]
    betas: tuple[str, ...]
    body: bytes
