"""A collector that kills itself (SIGKILL) at one moment of giving a command; run by test_command_kills."""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from wattkeeper.collection.commands.desk import CommandDesk
from wattkeeper.collection.commands.kinds import CommandState
from wattkeeper.collection.commands.values import CommandOptions
from wattkeeper.collection.drivers.base import MeterSecret
from wattkeeper.collection.engine import Collector
from wattkeeper.collection.reader import Reader
from wattkeeper.collection.values import CollectorOptions
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.hub import Hub
from wattkeeper.links.bus import Bus
from wattkeeper.readings.store import ReadingsStore

RELAY = "1C"


def die() -> None:
    """As a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def arrange(moment: str) -> None:
    """Let the process die at the moment, by wrapping what happens there."""
    begin, became, ask, transmit = CommandDesk.begin_sending, CommandDesk.became, Reader.ask, Bus._transmit

    async def begin_sending(self, command, **more):
        if moment == "before sending is committed":
            die()
        begun = await begin(self, command, **more)
        if moment == "after sending is committed":
            die()
        return begun

    async def asking(self, known, request, **more):
        relay = request.key == RELAY
        if relay and moment == "when the frame has left":
            Bus._transmit = lambda bus, octets: (
                transmit(bus, octets),
                asyncio.get_running_loop().call_later(0.15, die),
            )[0]
        result = await ask(self, known, request, **more)
        if relay and moment == "when the meter has answered":
            die()
        return result

    async def ended(self, command, state, **more):
        if state is CommandState.CONFIRMED and moment == "before the end is committed":
            die()
        await became(self, command, state, **more)
        if moment == "after the end is committed":
            die()

    CommandDesk.begin_sending, CommandDesk.became, Reader.ask = begin_sending, ended, asking


async def main(folder: Path, moment: str) -> None:
    """Collect until the moment comes."""
    arrange(moment)
    database = Database(f"sqlite:///{folder / 'ledger.sqlite'}")
    with ReadingsStore.open(folder / "store") as store:
        collector = Collector(
            database,
            store,
            Hub(),
            options=replace(CollectorOptions(), history_days=0, commands_seconds=0.02),
            commands=CommandOptions(),
            secret=MeterSecret("02123456"),
        )
        await collector.start()
        await asyncio.sleep(30)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
