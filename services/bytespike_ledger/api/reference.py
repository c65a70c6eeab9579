"""The API's own description: ``/api/openapi.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata

import msgspec

from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.openapi import openapi_document
from bytespike_ledger.api.route import Access, Route

__all__ = ["ReferenceApi"]


@dataclass(frozen=True, kw_only=True)
class ReferenceApi:
    """Describes ``described`` and itself."""

    described: Sequence[Route]
    version: str = field(default_factory=lambda: metadata.version("bytespike"))

    def routes(self) -> list[Route]:
        """``/api/openapi.json``."""
        return [
            Route(
                method="GET",
                path="/api/openapi.json",
                handler=self.document,
                summary="This API as an OpenAPI 3.1 document",
                tag="reference",
                access=Access.PUBLIC,
            )
        ]

    async def document(self, _call: Call) -> Reply:
        return Reply(self._document)

    @cached_property
    def _document(self) -> bytes:
        document = openapi_document([*self.described, *self.routes()], version=self.version)
        return msgspec.json.encode(document)
