"""The API's own description: ``/api/openapi.json`` and, for people, ``/api/reference``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from typing import Any

import msgspec

from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.openapi import openapi_document
from bytespike_ledger.api.reference_page import PAGE_HEADERS, reference_page
from bytespike_ledger.api.route import Access, Route

__all__ = ["ReferenceApi"]


@dataclass(frozen=True, kw_only=True)
class ReferenceApi:
    """Describes ``described`` and itself."""

    described: Sequence[Route]
    version: str = field(default_factory=lambda: metadata.version("bytespike"))

    def routes(self) -> list[Route]:
        """``/api/openapi.json`` and ``/api/reference``."""
        return [
            Route(
                method="GET",
                path="/api/openapi.json",
                handler=self.document,
                summary="This API as an OpenAPI 3.1 document",
                tag="reference",
                access=Access.PUBLIC,
                reply=dict[str, Any],
            ),
            Route(
                method="GET",
                path="/api/reference",
                handler=self.page,
                summary="This API as a page to read",
                tag="reference",
                access=Access.PUBLIC,
                content_type="text/html; charset=utf-8",
            ),
        ]

    async def document(self, _call: Call) -> Reply:
        return Reply(self._encoded)

    async def page(self, _call: Call) -> Reply:
        return Reply(self._page, headers=PAGE_HEADERS)

    @cached_property
    def _document(self) -> dict[str, Any]:
        return openapi_document([*self.described, *self.routes()], version=self.version)

    @cached_property
    def _encoded(self) -> bytes:
        return msgspec.json.encode(self._document)

    @cached_property
    def _page(self) -> bytes:
        return reference_page(self._document)
