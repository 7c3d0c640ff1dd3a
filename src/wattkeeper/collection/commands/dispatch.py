"""Brings approved commands to the lanes of their links, and ends what has run out of time."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from wattkeeper.collection.commands.desk import CommandDesk
from wattkeeper.collection.commands.kinds import CommandState
from wattkeeper.collection.commands.lane import CommandLane
from wattkeeper.collection.commands.values import CommandToSend

_THOROUGH_SECONDS: Final = 10.0
"""How often everything open is compared with what the lanes hold; in between only what is newly approved."""


class CommandDispatcher:
    """Looks into the ledger now and then; what it hands out it need not remember, the lanes hold it."""

    def __init__(self, desk: CommandDesk) -> None:
        self._desk = desk
        self._thorough_at = 0.0

    async def recover(self) -> int:
        """After a start: whatever was being sent is in doubt from now on; returns how many."""
        return await asyncio.to_thread(self._desk.recover)

    async def look(
        self, lanes: Iterable[CommandLane], lane_of: Callable[[int], CommandLane | None]
    ) -> list[CommandLane]:
        """Hand out what is new to the lane of each meter; returns the lanes that were given something."""
        clock = asyncio.get_running_loop().time()
        thorough = clock >= self._thorough_at
        found, overdue = await asyncio.to_thread(self._desk.waiting, thorough=thorough)
        if thorough:  # what a link had in hand when it was closed and opened again comes back to it
            self._thorough_at = clock + _THOROUGH_SECONDS
            held = frozenset[int]().union(*(lane.holds() for lane in lanes))
            found = [command for command in found if command.command_id not in held]
        if overdue:
            await asyncio.to_thread(self._desk.expire)
        now = self._desk.now()
        by_lane: dict[int, tuple[CommandLane, list[CommandToSend]]] = {}
        for command in found:
            lane = lane_of(command.meter_id)
            may_come = command.state is CommandState.UNKNOWN or command.expires_at > now
            if lane is not None and may_come:
                by_lane.setdefault(id(lane), (lane, []))[1].append(command)
        taken = [command for _, commands in by_lane.values() for command in commands]
        if taken:
            await asyncio.to_thread(self._desk.take, taken)
        for lane, commands in by_lane.values():
            lane.take(commands)
        return [lane for lane, _ in by_lane.values()]
