"""The commands of one link: looked at before, sent once, read back; what is in doubt is resolved by reading.

A command is sent at most once in its life. "Sending" is committed before a byte leaves, so that after a crash at any
moment the ledger says either "nothing has left" or "it may have": and what may have left is only ever read, until the
meter's state shows it or the meter's own time for it is over.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from wattkeeper.collection.commands.desk import CommandDesk
from wattkeeper.collection.commands.details import Detail, detail_of
from wattkeeper.collection.commands.kinds import CommandKind, CommandState, Outcome
from wattkeeper.collection.commands.values import CommandToSend
from wattkeeper.collection.counts import Failure
from wattkeeper.collection.drivers.base import CLOCK, Commander, Telling
from wattkeeper.collection.meters import KnownMeter
from wattkeeper.collection.reader import Reader, Result

_BY_THE_METERS_CLOCK = frozenset(CommandKind) - {CommandKind.SET_CLOCK, CommandKind.SET_PARAMETER}
"""What carries its own expiry; a write is carried out at once or not at all."""
_CLOCK_AGE = timedelta(hours=24)
"""How long a measured deviation holds: a meter drifts by less than 0.5 s a day (DL/T 645 meters; GB/T 17215)."""
_MARGIN = timedelta(seconds=30)
"""Beyond the meter's own expiry, before its state is taken for final: its clock was measured through a slow line."""


@dataclass(slots=True)
class _InHand:
    """A command that this lane works on."""

    command: CommandToSend
    tries: int = 0
    """Times that nothing could be found out."""
    said: Outcome | None = None
    """What was last written down about waiting, so that it is written once."""


@dataclass(slots=True)
class CommandLane:
    """The queue of commands of one link; its worker lets it go first."""

    reader: Reader
    desk: CommandDesk
    wake: Callable[[], None]
    """Lets the link's worker look again whether there is something to do."""
    _ready: deque[_InHand] = field(default_factory=deque)
    _resting: list[tuple[datetime, int, _InHand]] = field(default_factory=list)
    _serving: int | None = None
    """The id of the command that is worked on right now."""
    _in_doubt: dict[int, int] = field(default_factory=dict)
    """The meters of the commands in doubt, by the commands' ids."""

    # -- from outside -----------------------------------------------------------------------------------------------

    def take(self, commands: Iterable[CommandToSend]) -> None:
        """Put commands at the end of the queue."""
        for command in commands:
            self._ready.append(_InHand(command))
            if command.state is CommandState.UNKNOWN:
                self._in_doubt[command.command_id] = command.meter_id

    def holds(self) -> set[int]:
        """The ids of the commands in hand."""
        held = {one.command.command_id for one in self._ready} | {at[1] for at in self._resting}
        return held if self._serving is None else held | {self._serving}

    def __len__(self) -> int:
        return len(self._ready) + len(self._resting)

    @property
    def next_ripe(self) -> datetime | None:
        """When the first command that rests may be looked at again."""
        return self._resting[0][0] if self._resting else None

    @property
    def is_ready(self) -> bool:
        """Whether a command can be worked on now."""
        return bool(self._ready) or (bool(self._resting) and self._resting[0][0] <= self.desk.now())

    async def serve(self, meters: Mapping[int, KnownMeter]) -> bool:
        """Work on the next command; False when there is none now."""
        now = self.desk.now()
        while self._resting and self._resting[0][0] <= now:
            self._ready.append(heapq.heappop(self._resting)[2])
        if not self._ready:
            return False
        one = self._ready.popleft()
        self._serving = one.command.command_id
        try:
            await self._work(one, meters)
        finally:
            self._serving = None
        return True

    async def _work(self, one: _InHand, meters: Mapping[int, KnownMeter]) -> None:
        command, known = one.command, meters.get(one.command.meter_id)
        in_doubt = command.state is CommandState.UNKNOWN
        if known is None:
            self._in_doubt.pop(command.command_id, None)
            return  # it left this link: whoever has it now is handed the command
        if not in_doubt and command.expires_at <= self.desk.now():
            return
        if known.is_to_be_met(self.desk.now()):
            met = await self.reader.meet(known)
            if met.failure is not None:
                await self._wait(one, _outcome_of(met), detail=detail_of(met.error))
                return
        commander = known.driver.commander
        if commander is None:
            self._in_doubt.pop(command.command_id, None)
            if not in_doubt:
                await self._end(command, CommandState.FAILED, Outcome.NO_DRIVER, Result())
        elif in_doubt:
            await self._resolve(one, known, commander)
        else:
            await self._give(one, known, commander)

    # -- giving -----------------------------------------------------------------------------------------------------

    async def _give(self, one: _InHand, known: KnownMeter, commander: Commander) -> None:
        """Look, send once, look again."""
        command = one.command
        if self._another_is_in_doubt(command):
            await self._wait(one, Outcome.BEFORE_IT)
            return
        if self.desk.secret is None:
            await self.desk.became(command, CommandState.FAILED, outcome=Outcome.NO_PASSWORD)
            return
        telling = commander.tell(known.meter.address, command.kind, command.argument, zone=known.meter.zone)
        before = await self._look(known, telling)
        if before.failure is not None:
            await self._cannot_look(one, before)
            return
        if telling.shows(self.desk.now()):
            await self._end(command, CommandState.CONFIRMED, Outcome.ALREADY_SO, before)
            return
        if command.kind is CommandKind.TRIP and telling.control and telling.control.keep_power:
            await self._end(command, CommandState.FAILED, Outcome.KEEPS_POWER, before)
            return
        deviation = await self._deviation(known)
        if deviation is None and command.kind in _BY_THE_METERS_CLOCK:
            await self._wait(one, Outcome.CLOCK_UNKNOWN)
            return
        await self._send(one, known, commander, deviation=deviation or timedelta())

    async def _send(
        self, one: _InHand, known: KnownMeter, commander: Commander, *, deviation: timedelta
    ) -> None:
        command, secret = one.command, self.desk.secret
        assert secret is not None
        waits = self.desk.options.meter_waits if command.kind in _BY_THE_METERS_CLOCK else timedelta()
        meter_expires_at = self.desk.now() + waits
        if not await self.desk.begin_sending(command, meter_expires_at=meter_expires_at):
            return
        command = one.command = replace(
            command, state=CommandState.SENDING, meter_expires_at=meter_expires_at
        )
        requests = commander.give(
            known.meter.address,
            command.kind,
            command.argument,
            secret=secret,
            now=self.desk.now(),
            expires_at=meter_expires_at + deviation,
            zone=known.meter.zone,
        )
        sent = Result()
        for request in requests:
            sent = await self.reader.ask(known, request, attempts=1, announce=False)
            await self.desk.note(
                command, CommandState.SENDING, detail=detail_of(sent.error), exchange_id=sent.exchange_id
            )
            if sent.failure in {Failure.REFUSED, Failure.UNSUPPORTED}:
                await self._end_refused(command, known, commander, sent)
                return
            if sent.failure is not None:
                break
        await self._read_back(one, known, commander, sent)

    async def _end_refused(
        self, command: CommandToSend, known: KnownMeter, commander: Commander, sent: Result
    ) -> None:
        """The meter said no: because of what was asked, or because it takes no command that is not authenticated."""
        assert sent.error is not None
        assert self.desk.secret is not None
        outcome, detail = Outcome.REFUSED, detail_of(sent.error)
        question = commander.after_refusal(known.meter.address, sent.error, secret=self.desk.secret)
        if question is not None:
            await self.reader.ask(known, question, present=True, announce=False)
            if question.wants is not None:
                outcome = Outcome.WANTS_AUTHENTICATION
                detail = Detail(question.wants, "wants_authentication")
        await self._end(command, CommandState.FAILED, outcome, sent, detail=detail)

    async def _read_back(self, one: _InHand, known: KnownMeter, commander: Commander, sent: Result) -> None:
        """Ask whether it is so now; a relay takes a moment to move."""
        command, seen = one.command, sent
        for pause in self.desk.options.looks:
            await asyncio.sleep(pause.total_seconds())
            telling = commander.tell(
                known.meter.address, command.kind, command.argument, zone=known.meter.zone
            )
            seen = await self._look(known, telling)
            if seen.failure is None and telling.shows(self.desk.now()):
                await self._end(command, CommandState.CONFIRMED, Outcome.READ_BACK, seen)
                return
            if seen.failure is not None and sent.failure is not None:
                break  # neither heard nor seen: the line has more to do than wait
        outcome = Outcome.NOT_SHOWN if seen.failure is None else _outcome_of(seen)
        await self._end(command, CommandState.UNKNOWN, outcome, seen, detail=detail_of(seen.error))
        self._in_doubt[command.command_id] = command.meter_id
        one.command = replace(command, state=CommandState.UNKNOWN)
        self._rest(one)

    # -- doubt ------------------------------------------------------------------------------------------------------

    async def _resolve(self, one: _InHand, known: KnownMeter, commander: Commander) -> None:
        """Find out by reading what became of a command that may have been sent; it is never sent again."""
        command = one.command
        telling = commander.tell(known.meter.address, command.kind, command.argument, zone=known.meter.zone)
        seen = await self._look(known, telling)
        if seen.failure is not None:
            await self._note_once(one, _outcome_of(seen), detail=detail_of(seen.error))
            self._rest(one)
        elif telling.shows(self.desk.now()):
            await self._end(command, CommandState.CONFIRMED, Outcome.READ_BACK, seen)
        elif self._is_over(command):
            await self._end(command, CommandState.FAILED, Outcome.NOT_SHOWN, seen)
        else:
            self._rest(one)

    def _is_over(self, command: CommandToSend) -> bool:
        """Whether the meter would not carry it out any more, had it come late."""
        until = command.meter_expires_at
        return until is None or self.desk.now() >= until + _MARGIN

    def _another_is_in_doubt(self, command: CommandToSend) -> bool:
        """Whether an earlier command to the same meter may still turn out to have worked, or to work."""
        return command.meter_id in self._in_doubt.values()

    # -- small steps ------------------------------------------------------------------------------------------------

    async def _look(self, known: KnownMeter, telling: Telling) -> Result:
        seen = await self.reader.ask(known, telling, announce=False)
        if seen.failure is None and telling.control is not None:
            await self.desk.save_control(known.meter.meter_id, telling.control, exchange_id=seen.exchange_id)
        return seen

    async def _cannot_look(self, one: _InHand, seen: Result) -> None:
        """The state cannot be read: a meter that never tells it cannot be believed, so that it is told nothing."""
        if seen.failure in {Failure.REFUSED, Failure.UNSUPPORTED}:
            await self._end(
                one.command, CommandState.FAILED, Outcome.REFUSED, seen, detail=detail_of(seen.error)
            )
        else:
            await self._wait(one, _outcome_of(seen), detail=detail_of(seen.error))

    async def _deviation(self, known: KnownMeter) -> timedelta | None:
        """The meter's clock minus ours, measured lately or now."""
        read_at = known.clock_read_at
        if read_at is None or self.desk.now() - read_at > _CLOCK_AGE:
            for request in known.driver.plan(known.meter.address, [CLOCK], zone=known.meter.zone):
                await self.reader.ask(known, request)
            if known.clock_read_at == read_at:
                return None
        return known.clock_deviation

    async def _wait(self, one: _InHand, outcome: Outcome, *, detail: Detail | None = None) -> None:
        """Nothing was sent: try again a little later, until it expires."""
        await self._note_once(one, outcome, detail=detail)
        self._rest(one)

    async def _note_once(self, one: _InHand, outcome: Outcome, *, detail: Detail | None) -> None:
        if one.said is not outcome:
            one.said = outcome
            state = CommandState.UNKNOWN if one.command.state is CommandState.UNKNOWN else CommandState.QUEUED
            await self.desk.note(one.command, state, outcome=outcome, detail=detail)

    def _rest(self, one: _InHand) -> None:
        options = self.desk.options
        pause = min(options.look_again * 2 ** min(one.tries, 16), options.longest_pause)
        one.tries += 1
        heapq.heappush(self._resting, (self.desk.now() + pause, one.command.command_id, one))

    async def _end(
        self,
        command: CommandToSend,
        state: CommandState,
        outcome: Outcome,
        seen: Result,
        *,
        detail: Detail | None = None,
    ) -> None:
        self._in_doubt.pop(command.command_id, None)
        await self.desk.became(command, state, outcome=outcome, detail=detail, exchange_id=seen.exchange_id)


def _outcome_of(result: Result) -> Outcome:
    return Outcome.LINK_DOWN if result.failure is Failure.LINK_DOWN else Outcome.NO_ANSWER
