"""The links of one process take turns, so that hundreds of answers at once do not make one long turn of the event loop."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

_LONG: Final = 0.010
"""A turn of the event loop that took longer lets fewer links through the next time. [s]"""
_FIRST, _MOST = 8, 64
"""Links that are let through in one turn: at first, and at most."""


@dataclass(slots=True)
class Turnstile:
    """Lets a few through in each turn of the event loop, first come first served; the others wait outside.

    What an answer costs us, until the next request is sent, is a fraction of a millisecond. Five hundred links hear
    their answers together when a plan's minute comes or gateways answer at once, and whatever shares the event loop,
    a page or the time-out of a line, would wait until the last of them is done. How many may pass follows from how long
    the turn before took, whoever made it long: one more as long as it was short, half as many once it was not.
    """

    _many: int = _FIRST
    _left: int = _FIRST
    """How many may still pass in this turn."""
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    _began: float = 0.0
    _turns: bool = False
    """Whether the next turn of the event loop is being waited for."""

    async def enter(self) -> None:
        """Go on at once where few do, or when it is one's turn."""
        loop = asyncio.get_running_loop()
        if not self._turns:
            self._wait_for_next_turn(loop)
        if self._left and not self._waiting:
            self._left -= 1
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _wait_for_next_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turns = True
        self._began = time.perf_counter()
        loop.call_soon(self._next_turn, loop)

    def _next_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        if time.perf_counter() - self._began > _LONG:
            self._many = max(1, self._many // 2)
        elif self._waiting:
            self._many = min(self._many + 1, _MOST)
        went_on = self._left < self._many or bool(self._waiting)
        self._left = self._many
        while self._left and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # whoever gave up needs none
                turn.set_result(None)
                self._left -= 1
        self._turns = False
        if went_on:
            self._wait_for_next_turn(loop)
