"""Routes of the office itself: the proof that the books are right, and their copy in Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from bytespike_ledger.accounts.acting import acting
from bytespike_ledger.accounts.audit_log import Action, record
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.audit import AuditReport
from bytespike_ledger.books import Books

__all__ = ["OfficeApi"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check of the audit; ``first`` names the first offenders."""

    name: str
    examined: int
    violations: int
    first: list[str]


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """A complete audit; ``clean`` = every check holds."""

    clean: bool
    at_ms: int
    duration_ms: int
    checks: list[Check]


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """Redis has been loaded anew."""

    rebuilt: bool


@dataclass(frozen=True, kw_only=True)
class OfficeApi:
    """The handlers; ``audit`` and ``rebuild`` are the upkeep's own functions."""

    books: Books
    audit: Callable[[], Awaitable[AuditReport]]
    rebuild: Callable[[], Awaitable[None]]

    def routes(self) -> list[Route]:
        """``/api/v1/admin/audit`` and ``/api/v1/admin/rebuild``."""
        return [
            Route(
                method="GET",
                path="/api/v1/admin/audit",
                handler=self.run_audit,
                summary="Prove that the books are right",
                tag="office",
                access=Access.OPERATOR,
                reply=Audit,
            ),
            Route(
                method="POST",
                path="/api/v1/admin/rebuild",
                handler=self.run_rebuild,
                summary="Load Redis anew from Postgres; answers when it is done",
                tag="office",
                access=Access.OPERATOR,
                reply=Rebuilt,
            ),
        ]

    async def run_audit(self, _call: Call) -> Reply:
        report = await self.audit()
        return Reply(
            Audit(
                clean=report.clean,
                at_ms=report.at_ms,
                duration_ms=report.duration_ms,
                checks=[
                    Check(
                        name=finding.name,
                        examined=finding.examined,
                        violations=finding.violations,
                        first=finding.first,
                    )
                    for finding in report.findings
                ],
            )
        )

    async def run_rebuild(self, call: Call) -> Reply:
        await self.rebuild()
        async with acting(self.books, call.operator) as conn:
            await record(conn, call.operator, Action.BOOKS_REBUILD, target="redis")
        return Reply(Rebuilt(rebuilt=True))
