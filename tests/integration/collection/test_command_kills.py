"""kill -9 at each step of giving a trip: the ledger tells the truth afterwards, and the meter got it at most once."""

import asyncio
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.integration.collection.conftest import terms
from tests.integration.collection.test_command_lane import LI, SECRET, WANG

from wattkeeper.collection.commands.kinds import CommandKind, CommandState, Outcome
from wattkeeper.collection.commands.service import CommandService, Wanted
from wattkeeper.collection.commands.values import CommandOptions
from wattkeeper.collection.drivers import check_command
from wattkeeper.collection.engine import Collector
from wattkeeper.collection.plan_repository import PlanRepository
from wattkeeper.collection.values import CollectorOptions
from wattkeeper.kernel.hub import Hub
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.repository import Registry
from wattkeeper.security.acting import acting
from wattkeeper.simulator.clock import RealClock
from wattkeeper.simulator.device import VirtualMeter

FIRST, TRIP = "000000000001", 0x1A
MOMENTS = {
    # moment: the state right after the kill, how often the meter was told by the first server, and by both
    "before sending is committed": (CommandState.QUEUED, 0, 1),
    "after sending is committed": (CommandState.SENDING, 0, 0),
    "when the frame has left": (CommandState.SENDING, 1, 1),
    "when the meter has answered": (CommandState.SENDING, 1, 1),
    "before the end is committed": (CommandState.SENDING, 1, 1),
    "after the end is committed": (CommandState.CONFIRMED, 1, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_at_any_step_a_trip_is_never_repeated_and_never_misreported(ledger, street, until, tmp_path, monkeypatch, moment):  # fmt: skip  # noqa: PLR0917
    given = []
    execute = VirtualMeter.execute

    def counted(meter, function, body):
        given.extend([body[8]] if function == 0x1C else [])
        return execute(meter, function, body)

    monkeypatch.setattr(VirtualMeter, "execute", counted)
    after_kill, told, told_in_all = MOMENTS[moment]
    service = CommandService(ledger, Hub(), check=check_command)
    async with street(RealClock(), {"code": "A", "meters": [{"address": FIRST, "point": FIRST}]}) as world:
        with ledger.write() as session:
            registry = Registry(session)
            link = registry.add_link(code="A", name="A", url=world.url("A"))
            meter_id = registry.add_meter(address=FIRST, link_id=link.id).id
            never = terms(
                code="never", quantities=("active_energy_import",), every_seconds=86400, meter_ids=[]
            )
            PlanRepository(session).add(never)
        with acting(WANG):
            batch = service.ask(Wanted(kind=CommandKind.TRIP, meter_ids=[meter_id], reason="test"), now=now())
        with acting(LI):
            service.approve(batch.id, now=now())

        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.integration.collection.command_child", str(tmp_path), moment
        )
        async with asyncio.timeout(60):
            assert await child.wait() == -signal.SIGKILL
        [command] = service.commands(batch_id=batch.id)
        assert (command.state, given.count(TRIP)) == (after_kill, told)

        async with collecting(ledger, tmp_path):
            [command] = await until(lambda: ended(service, batch.id, world), seconds=30)
        assert given.count(TRIP) == told_in_all
        assert world.meters[FIRST].is_tripped is (told_in_all == 1)
        if told_in_all:
            assert command.state is CommandState.CONFIRMED
        else:  # nobody knows that no byte left: it stays in doubt until the meter would not obey any more
            assert (command.state, command.outcome) == (CommandState.UNKNOWN, Outcome.SERVER_STOPPED)


def ended(service, batch_id, world):
    """The command once it has ended, or once its meter was looked at in vain."""
    [command] = service.commands(batch_id=batch_id)
    looked = service.control(command.meter_id)
    in_doubt = (
        command.state is CommandState.UNKNOWN and looked is not None and not world.meters[FIRST].is_tripped
    )
    return [command] if command.state is CommandState.CONFIRMED or in_doubt else None


def now():
    return datetime.now(UTC)


class collecting:  # noqa: N801 - used as a context manager
    """An ordinary collector over the folder that the killed one left."""

    def __init__(self, ledger, folder: Path):
        self._ledger, self._folder = ledger, folder

    async def __aenter__(self):
        self._store = ReadingsStore.open(self._folder / "store")
        options = replace(CollectorOptions(), history_days=0, commands_seconds=0.02)
        self._collector = Collector(
            self._ledger,
            self._store,
            Hub(),
            options=options,
            commands=CommandOptions(look_again=timedelta(seconds=0.5)),
            secret=SECRET,
        )
        await self._collector.start()

    async def __aexit__(self, *_):
        await self._collector.stop()
        self._store.close()
