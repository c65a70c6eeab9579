"""Lists that are paged by number: what a person leafs through, unlike those a program follows."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from bytespike_ledger.api.wire import Request

__all__ = ["NumberedPageQuery"]


class NumberedPageQuery(Request, frozen=True, kw_only=True):
    """Page ``page`` (from 1) of pages with ``page_size`` items."""

    page: Annotated[int, Meta(ge=1, le=100_000)] = 1
    page_size: Annotated[int, Meta(ge=1, le=200)] = 50

    @property
    def offset(self) -> int:
        """Items on the pages before."""
        return (self.page - 1) * self.page_size
