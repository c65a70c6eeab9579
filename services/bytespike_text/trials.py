"""The lanes one request has called and the one it calls next."""

from __future__ import annotations

import random
import time

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_text.attempts import Failure, final_error
from bytespike_text.channels import Channels
from bytespike_text.job import Job
from bytespike_text.routing import Lane, allows_betas, pick, prefix_hash, soonest_return_s
from bytespike_text.routing_table import RoutingTable
from bytespike_text.switches import Switches

__all__ = ["Trials"]


class Trials:
    """Hands out lanes, each once, and remembers what became of them. ``count`` counts calls."""

    def __init__(
        self, job: Job, table: RoutingTable, channels: Channels, switches: Switches
    ) -> None:
        self.failures: list[Failure] = []
        self.count = 0
        self._job = job
        self._table = table
        self._channels = channels
        self._switches = switches
        self._tried: set[str] = set()
        self._again: Lane | None = None
        self._unfit: GatewayError | None = None

    def next_lane(self) -> Lane:
        """The lane to call now. Raises :class:`GatewayError` if none can be."""
        lane, self._again = self._again, None
        if lane is None or lane.id in self._switches.off:
            lane = self._choose()
        self._tried.add(lane.id)
        self.count += 1
        return lane

    def unfit(self, error: GatewayError) -> None:
        """The lane cannot be told what is asked; it was not called, and another one may understand.
        What is wrong with the request itself is raised at once.
        """
        if error.code is not ErrorCode.UNSUPPORTED_FEATURE:
            raise error
        self._unfit = self._unfit or error
        self.count -= 1

    def failed(self, lane: Lane, failure: Failure) -> None:
        """Take note, and offer the lane again if only a kept-alive connection had gone stale."""
        already_forgiven = any(known.stale_connection for known in self.failures)
        self.failures.append(failure)
        self._channels.note_failure(lane.id, failure)
        if failure.stale_connection and not already_forgiven:
            self._again = lane

    def _choose(self) -> Lane:
        job, now = self._job, time.monotonic()
        lanes = self._table.candidates(job.principal.group, job.reading.model)
        off = self._switches.off
        if off:
            lanes = tuple(lane for lane in lanes if lane.id not in off)
        if job.surface.counts:
            lanes = tuple(lane for lane in lanes if lane.channel.can_count_tokens)
        if job.principal.strict and job.betas:
            lanes = _carrying_all(lanes, job.betas)
        lane = pick(
            [lane for lane in lanes if lane.id not in self._tried],
            self._channels,
            dialect=job.dialect,
            now=now,
            sticky=lambda: prefix_hash(job.principal.key_id, job.body),
            dice=random.random,
        )
        if lane is None:
            if self._unfit is not None and not self.failures:
                raise self._unfit
            wait_s = soonest_return_s(lanes, self._channels, now=now)
            raise final_error(self.failures, benched_for_s=wait_s)
        return lane


def _carrying_all(lanes: tuple[Lane, ...], betas: tuple[str, ...]) -> tuple[Lane, ...]:
    """Strict callers are never sent where part of what they ask for would be dropped."""
    carrying = tuple(lane for lane in lanes if allows_betas(lane.channel, betas))
    if lanes and not carrying:
        message = f"no provider takes all of these beta features: {', '.join(betas)}"
        raise GatewayError(ErrorCode.UNSUPPORTED_FEATURE, message, param="anthropic-beta")
    return carrying
