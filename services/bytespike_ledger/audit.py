"""The audit: proves that money is where the books say, in Postgres and in Redis.

Postgres is checked in one snapshot. Redis is compared account by account while work goes on, so an
account that seems wrong is looked at a second time, alone with the projection, before it is
reported: a difference seen then is real.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bytespike_contracts.holds import WINDOWS
from bytespike_ledger.books import Books
from bytespike_ledger.mirror import AccountMirror, Mirror, ScopeMirror
from bytespike_ledger.store import Connection, Lock, connection, lock, state, upkeep
from bytespike_ledger.store.audit import Finding, postgres_findings, snapshot
from bytespike_ledger.store.state import AccountSettled
from bytespike_ledger.sweeper import days_of
from bytespike_runtime.logs import get_logger
from bytespike_runtime.unavailable import Unavailable

__all__ = ["AuditReport", "Auditor"]

_PAGE = 200
_FIRST = 10
#: Accounts looked at again in one go, while settlement waits; more are reported as they are.
_MAX_SECOND_LOOKS = 500
#: The audit may take at most a twentieth of the time, however large the books grow.
_REST_FACTOR = 19

_PROJECTION = "redis_equals_postgres"
_PENDING = "pending_is_backed_by_holds"
_FINISHED = "settled_holds_are_dropped"
_REDIS_CHECKS = (_PROJECTION, _PENDING, _FINISHED)

_log = get_logger()


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found; ``duration_ms`` of the whole run."""

    at_ms: int
    duration_ms: int
    findings: list[Finding]

    @property
    def clean(self) -> bool:
        """Whether every check holds."""
        return all(finding.violations == 0 for finding in self.findings)

    def view(self) -> dict[str, object]:
        """The report as the API shows it."""
        return {
            "clean": self.clean,
            "at_ms": self.at_ms,
            "duration_ms": self.duration_ms,
            "checks": [asdict(finding) for finding in self.findings],
        }


class Auditor:
    """Runs audits; :meth:`audit` is the one behind the API, the CLI and the metric."""

    def __init__(self, books: Books, mirror: Mirror) -> None:
        self._books = books
        self._mirror = mirror

    async def run(self, interval_s: float) -> None:
        """Audit until cancelled; the pause grows with the books."""
        while True:
            started = time.monotonic()
            try:
                await self.audit()
            except Unavailable as error:
                _log.warning("audit waits", error=str(error))
            await asyncio.sleep(max(interval_s, _REST_FACTOR * (time.monotonic() - started)))

    async def audit(self) -> AuditReport:
        """One complete audit. Raises ``Unavailable`` if Postgres or Redis is away."""
        started, at_ms = time.monotonic(), self._books.now_ms()
        async with connection(self._books.pool) as conn:
            async with conn.transaction():
                await snapshot(conn)
                findings = await postgres_findings(conn, now_ms=at_ms)
            findings += await self._redis_findings(conn)
        report = AuditReport(at_ms, round((time.monotonic() - started) * 1000), findings)
        self._publish(report)
        return report

    async def _redis_findings(self, conn: Connection) -> list[Finding]:
        examined, after = 0, ""
        suspects: list[str] = []
        while page := await state.accounts_after(conn, after, limit=_PAGE):
            suspects += await self._offenders(conn, page)
            examined, after = examined + len(page), page[-1]
        offenders: dict[str, list[str]] = {}
        again = suspects[:_MAX_SECOND_LOOKS]
        if again:
            async with lock(conn, Lock.PROJECTION):
                offenders = await self._offenders(conn, again, due_is_late=False)
        for account_id in suspects[_MAX_SECOND_LOOKS:]:
            offenders[account_id] = [_PROJECTION]
        return [
            Finding(check, examined, len(found), found[:_FIRST])
            for check in _REDIS_CHECKS
            for found in [[a for a, broken in offenders.items() if check in broken]]
        ]

    async def _offenders(
        self, conn: Connection, account_ids: Sequence[str], *, due_is_late: bool = True
    ) -> dict[str, list[str]]:
        """``{account: broken checks}``. A change that is still due is not late in the second look:
        its own request or the loop will carry it over.
        """
        now_ms = self._books.now_ms()
        due = set() if due_is_late else set(await state.accounts_due(conn, limit=len(account_ids)))
        offenders: dict[str, list[str]] = {}
        for account in await state.whole_accounts(conn, account_ids, now_ms=now_ms):
            scopes = [spend.scope for spend in account.scopes]
            mirror = await self._mirror.account(account.account_id, scopes)
            broken = []
            if account.account_id not in due and not _same(account, mirror, now_ms):
                broken.append(_PROJECTION)
            if not _backed(mirror):
                broken.append(_PENDING)
            finished = [hold_id for hold_id, hold in mirror.holds.items() if not hold.open]
            if finished and await upkeep.settled_ids(conn, days_of(finished)):
                broken.append(_FINISHED)
            if broken:
                offenders[account.account_id] = broken
        return offenders

    def _publish(self, report: AuditReport) -> None:
        for finding in report.findings:
            self._books.metrics.audit_violations.labels(finding.name).set(finding.violations)
        self._books.metrics.audited_at.set(report.at_ms / 1000)
        if report.clean:
            _log.info("audit clean", duration_ms=report.duration_ms)
            return
        for finding in report.findings:
            if finding.violations:
                _log.error("audit violation", **asdict(finding))


def _same(account: AccountSettled, mirror: AccountMirror, now_ms: int) -> bool:
    """Whether Redis has the settled state of Postgres, exactly."""
    if (mirror.balance_uusd, mirror.version) != (account.balance_uusd, account.version):
        return False
    # Redis forgets a bucket when it is next asked about its window, by its own clock: older ones
    # may still be there, and the oldest live one may already be gone.
    oldest = [window.first_live_bucket(now_ms) for window in WINDOWS]
    for spend in account.scopes:
        scope = mirror.scopes[spend.scope]
        booked = {(w, b): amount for w, b, amount in spend.buckets if b > oldest[w - 1] and amount}
        counted = {(w, b): amount for (w, b), amount in scope.buckets.items() if b > oldest[w - 1]}
        if scope.spent_uusd != spend.spent_uusd or counted != booked or not _summed(scope):
            return False
    return True


def _summed(scope: ScopeMirror) -> bool:
    """Whether the running sums of the windows equal their buckets."""
    sums = dict.fromkeys(scope.sums, 0)
    for (window, _), amount in scope.buckets.items():
        sums[window] += amount
    return sums == scope.sums


def _backed(mirror: AccountMirror) -> bool:
    """Whether everything pending belongs to an entry, and open entries and leases are the same."""
    held = {hold_id for hold_id, hold in mirror.holds.items() if hold.open}
    if held != mirror.leases:
        return False
    if mirror.pending_uusd != sum(hold.amount_uusd for hold in mirror.holds.values()):
        return False
    return all(
        scope.pending_uusd
        == sum(hold.amount_uusd for hold in mirror.holds.values() if name in hold.scopes)
        for name, scope in mirror.scopes.items()
    )
