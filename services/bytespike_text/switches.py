"""Channels that operators have switched off, as last heard of.

The word comes by broadcast at once, and from Redis by a look twice a second, which is also what a
router starts with. What was heard once stays in force while Redis or NATS is away. A channel
switched off gets no new call; those that run go on to their end.
"""

from __future__ import annotations

import asyncio

import msgspec

from bytespike_contracts.channel_states import CHANNEL_STATES, ChannelState
from bytespike_runtime.kv import KvError, KvUnavailable, ScriptPipe
from bytespike_runtime.logs import get_logger
from bytespike_runtime.unavailable import Unavailable

__all__ = ["Switches"]

#: A change is promised to be in force within a second, also while NATS is away.
_POLL_S = 0.5

_log = get_logger()
_decode_state = msgspec.json.Decoder(ChannelState).decode


class Switches:
    """``off`` holds the ids of channels that must get no new call; read it on every choice."""

    def __init__(self, pipe: ScriptPipe) -> None:
        self._pipe = pipe
        # Operators switch channels of the catalogue only, so this is as bounded as that is.
        self._known: dict[str, ChannelState] = {}
        self._read_once = False
        self.off: frozenset[str] = frozenset()

    async def ping(self) -> None:
        """Raises ``Unavailable`` until the states have been read once."""
        if not self._read_once:
            raise Unavailable("channel states have not been read yet")

    def on_change(self, message: bytes) -> None:
        """A broadcast: one channel's newest state."""
        try:
            self._take([_decode_state(message)])
        except msgspec.DecodeError as error:
            _log.error("a channel's state is not readable", error=str(error))

    async def look(self) -> None:
        """Read all states from Redis. Raises ``KvUnavailable`` or ``KvError``.

        A channel that Redis does not name keeps the state last heard of: an emptied Redis must not
        switch anything on again.
        """
        flat: list[bytes] = await self._pipe.command("HGETALL", CHANNEL_STATES)
        states = []
        for text in flat[1::2]:
            try:
                states.append(_decode_state(text))
            except msgspec.DecodeError as error:
                _log.error("a channel's state is not readable", error=str(error))
        self._take(states)
        self._read_once = True

    async def run(self) -> None:
        """Keep looking until cancelled."""
        while True:
            try:
                await self.look()
            except KvUnavailable:
                pass  # the last known states stay in force; the next look is soon
            except KvError as error:
                _log.error("channel states cannot be read", error=str(error))
            await asyncio.sleep(_POLL_S)

    def _take(self, states: list[ChannelState]) -> None:
        """Broadcasts and looks overtake one another; the version says which word is the newer."""
        for state in states:
            known = self._known.get(state.channel)
            if known is not None and known.version >= state.version:
                continue
            self._known[state.channel] = state
            if state.enabled != (known is None or known.enabled):
                _log.warning("channel switched", channel=state.channel, enabled=state.enabled)
        self.off = frozenset(name for name, state in self._known.items() if not state.enabled)
