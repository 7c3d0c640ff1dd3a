"""Where a link's lane writes down what it does: each step is committed before the next thing happens on the wire."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Row
from sqlalchemy.orm import Session

from wattkeeper.collection.commands.details import Detail
from wattkeeper.collection.commands.kinds import CommandState, Outcome
from wattkeeper.collection.commands.ledger import CommandLedger
from wattkeeper.collection.commands.values import CommandNews, CommandOptions, CommandToSend, ControlState
from wattkeeper.collection.drivers.base import MeterSecret
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.hub import Hub
from wattkeeper.security.acting import SYSTEM
from wattkeeper.security.audit import record

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CommandDesk:
    """The ledger's side of sending; every call is one transaction in a thread."""

    database: Database
    hub: Hub
    now: Callable[[], datetime]
    options: CommandOptions
    secret: MeterSecret | None
    """None: no meter password is set, so that meters cannot be told anything that wants one."""

    async def begin_sending(self, command: CommandToSend, *, meter_expires_at: datetime) -> bool:
        """Commit to sending; False when the command was taken back or has expired."""
        now = self.now()

        def begin(session: Session) -> bool:
            ledger = CommandLedger(session)
            if not ledger.begin_sending(command.command_id, now=now, meter_expires_at=meter_expires_at):
                return False
            self._record(session, command, CommandState.SENDING, now)
            return True

        begun = await asyncio.to_thread(self._write, begin)
        if begun:
            self._announce(command.command_id, command.meter_id, CommandState.SENDING)
        return begun

    async def note(
        self,
        command: CommandToSend,
        state: CommandState,
        *,
        outcome: Outcome | None = None,
        detail: Detail | None = None,
        exchange_id: int | None = None,
    ) -> None:
        """Write down what happened to a command that stays in its state."""
        now = self.now()
        await asyncio.to_thread(
            self._write,
            lambda session: CommandLedger(session).note(
                [command.command_id],
                state,
                at=now,
                outcome=outcome,
                detail=None if detail is None else detail.kept,
                exchange_id=exchange_id,
            ),
        )

    async def became(
        self,
        command: CommandToSend,
        state: CommandState,
        *,
        outcome: Outcome,
        detail: Detail | None = None,
        exchange_id: int | None = None,
    ) -> None:
        """Write down what became of a command, and let open pages know."""
        now = self.now()

        def end(session: Session) -> list[Row[Any]]:
            moved = CommandLedger(session).end(
                command.command_id,
                state,
                now=now,
                outcome=outcome,
                detail=None if detail is None else detail.kept,
                exchange_id=exchange_id,
            )
            if moved:
                self._record(
                    session,
                    command,
                    state,
                    now,
                    outcome=outcome,
                    detail=None if detail is None else detail.said,
                )
            return moved

        if await asyncio.to_thread(self._write, end):
            self._announce(command.command_id, command.meter_id, state)

    async def save_control(self, meter_id: int, state: ControlState, *, exchange_id: int | None) -> None:
        """Keep what a meter said of its relay."""
        now = self.now()
        await asyncio.to_thread(
            self._write,
            lambda session: CommandLedger(session).save_control(
                meter_id, state, now=now, exchange_id=exchange_id
            ),
        )

    async def clocks_were_set(self, link_id: int, code: str) -> None:
        """Keep on record that the clocks of a line were set by broadcast."""
        now = self.now()
        await asyncio.to_thread(
            self._write,
            lambda session: record(
                session, "link.set_clocks", now=now, subject=("link", link_id), name=code, actor=SYSTEM
            ),
        )

    def recover(self) -> int:
        """After a start, in a thread: what was being sent may have worked; returns how many are in doubt."""
        now = self.now()
        return len(self._write(lambda session: CommandLedger(session).doubt_what_was_sending(now)))

    def waiting(self, *, thorough: bool) -> tuple[list[CommandToSend], bool]:
        """In a thread: what is approved, or everything open, and whether something has run out of time."""
        now = self.now()
        with self.database.read() as session:
            ledger = CommandLedger(session)
            return ledger.to_send(thorough=thorough), ledger.any_overdue(now)

    def take(self, commands: Sequence[CommandToSend]) -> None:
        """In a thread: links have taken these over."""
        now = self.now()
        ids = [command.command_id for command in commands if command.state is CommandState.APPROVED]
        if ids:
            for row in self._write(lambda session: CommandLedger(session).queue(ids, now)):
                self._announce(row.id, row.meter_id, CommandState.QUEUED)

    def expire(self) -> None:
        """In a thread: end what has run out of time unsent."""
        now = self.now()

        def end(session: Session) -> list[Row[Any]]:
            expired = CommandLedger(session).expire(now)
            for batch_id, count in Counter(row.batch_id for row in expired).items():
                subject = ("command_batch", batch_id)
                record(
                    session, "command.expire", now=now, subject=subject, after={"meters": count}, actor=SYSTEM
                )
            return expired

        for row in self._write(end):
            self._announce(row.id, row.meter_id, CommandState.EXPIRED)

    def _write(self, work: Callable[[Session], T]) -> T:
        with self.database.write() as session:
            return work(session)

    def _record(
        self,
        session: Session,
        command: CommandToSend,
        state: CommandState,
        now: datetime,
        *,
        outcome: Outcome | None = None,
        detail: str | None = None,
    ) -> None:
        after = {"meter_id": command.meter_id, "kind": command.kind.value, "state": state.value}
        after |= {} if outcome is None else {"outcome": outcome.value}
        after |= {} if detail is None else {"detail": detail}
        record(
            session,
            f"command.{state.value}",
            now=now,
            subject=("command", command.command_id),
            name=command.kind.value,
            after=after,
            actor=SYSTEM,
        )

    def _announce(self, command_id: int, meter_id: int, state: CommandState) -> None:
        self.hub.publish("command", CommandNews(command_id=command_id, meter_id=meter_id, state=state))
