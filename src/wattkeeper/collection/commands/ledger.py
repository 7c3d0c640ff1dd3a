"""Writing commands down: batches, each meter's command, its steps, standing orders, what meters said of their relays.

Every change of state is one conditional update together with its step, so that two who act at once cannot both succeed
and nothing happens that is not on record.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, func, insert, select, update

from wattkeeper.collection.commands.errors import UnknownCommand
from wattkeeper.collection.commands.kinds import OPEN, TO_SEND, WAITING, CommandState, Outcome
from wattkeeper.collection.commands.models import (
    Command,
    CommandBatch,
    CommandStep,
    MeterControl,
    StandingOrder,
)
from wattkeeper.collection.commands.values import (
    CommandToSend,
    ControlState,
    StandingOrderView,
)
from wattkeeper.collection.commands.views import CommandViews
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.models import Link, Meter

_ROWS: Final = 50_000
_CHANGED: Final = (Command.id, Command.batch_id, Command.meter_id)


class CommandLedger(CommandViews):
    """Commands in the caller's transaction, within a scope."""

    # -- asking and deciding ----------------------------------------------------------------------------------------

    def add_batch(self, batch: CommandBatch, meter_ids: Sequence[int], *, state: CommandState) -> list[int]:
        """Write down a batch and a command for each meter; returns the commands' ids."""
        self.session.add(batch)
        self.session.flush()
        common = {"batch_id": batch.id, "state": state, "changed_at": batch.asked_at}
        rows = [common | {"meter_id": meter_id} for meter_id in meter_ids]
        ids = list(
            self.session.scalars(insert(Command).returning(Command.id, sort_by_parameter_order=True), rows)
        )
        self.note(ids, state, at=batch.asked_at)
        return ids

    def move_batch(
        self, batch_id: int, *, of: Collection[CommandState], to: CommandState, at: datetime
    ) -> list[Row[Any]]:
        """Move every command of a batch that is in one of these states; returns (id, batch_id, meter_id) of each."""
        return self._move(Command.batch_id == batch_id, of=of, to=to, at=at)

    def batch(self, batch_id: int) -> CommandBatch:
        """A batch that has a command within the scope."""
        found = self.session.scalar(
            select(CommandBatch).where(CommandBatch.id == batch_id, self._has_batch()).with_for_update()
        )
        if found is None:
            raise UnknownCommand(
                f"There is no command batch {batch_id}.", hint="Look at the list of commands."
            )
        return found

    def reaches_beyond(self, batch_id: int) -> bool:
        """Whether a batch has a command outside the scope."""
        if self.scope.everything:
            return False
        within = select(Meter.id).where(self.scope.has_meter())
        beyond = select(Command.id).where(Command.batch_id == batch_id, Command.meter_id.not_in(within))
        return self.session.scalar(beyond.limit(1)) is not None

    # -- sending ----------------------------------------------------------------------------------------------------

    def any_overdue(self, now: datetime) -> bool:
        """Whether something unsent has run out of time."""
        overdue = (
            select(Command.id)
            .join(CommandBatch)
            .where(Command.state.in_(WAITING), CommandBatch.expires_at <= now)
        )
        return self.session.scalar(overdue.limit(1)) is not None

    def expire(self, now: datetime) -> list[Row[Any]]:
        """End everything unsent whose time is over."""
        overdue = Command.batch_id.in_(select(CommandBatch.id).where(CommandBatch.expires_at <= now))
        waiting = (CommandState.ASKED, CommandState.APPROVED, CommandState.QUEUED)
        return self._move(overdue, of=waiting, to=CommandState.EXPIRED, at=now, outcome=Outcome.TOO_LATE)

    def doubt_what_was_sending(self, now: datetime) -> list[Row[Any]]:
        """After a start: whatever was being sent when the server ended may have worked, or not."""
        return self._move(
            Command.state == CommandState.SENDING,
            of=(CommandState.SENDING,),
            to=CommandState.UNKNOWN,
            at=now,
            outcome=Outcome.SERVER_STOPPED,
        )

    def queue(self, command_ids: Sequence[int], now: datetime) -> list[Row[Any]]:
        """The link has taken these over."""
        return self._move(
            Command.id.in_(command_ids), of=(CommandState.APPROVED,), to=CommandState.QUEUED, at=now
        )

    def to_send(self, *, thorough: bool) -> list[CommandToSend]:
        """What is approved, oldest first; `thorough` also what links had taken over, and what is in doubt."""
        states = (*TO_SEND, CommandState.UNKNOWN) if thorough else (CommandState.APPROVED,)
        wanted = (
            select(Command, CommandBatch.kind, CommandBatch.argument, CommandBatch.expires_at)
            .join(CommandBatch, CommandBatch.id == Command.batch_id)
            .join(Meter, Meter.id == Command.meter_id)
            .join(Link, Link.id == Meter.link_id)
            .where(Command.state.in_(states), Meter.enabled, Link.enabled)
            .order_by(Command.id)
            .limit(_ROWS)
        )
        return [
            CommandToSend(
                command_id=command.id,
                meter_id=command.meter_id,
                kind=kind,
                argument=argument,
                state=command.state,
                expires_at=expires_at,
                sent_at=command.sent_at,
                meter_expires_at=command.meter_expires_at,
            )
            for command, kind, argument, expires_at in self.session.execute(wanted)
        ]

    def begin_sending(self, command_id: int, *, now: datetime, meter_expires_at: datetime) -> bool:
        """Commit to sending before a byte leaves; False when it was taken back or expired meanwhile."""
        in_time = Command.batch_id.in_(select(CommandBatch.id).where(CommandBatch.expires_at > now))
        moved = self._move(
            (Command.id == command_id) & in_time,
            of=(CommandState.QUEUED,),
            to=CommandState.SENDING,
            at=now,
            sent_at=now,
            meter_expires_at=meter_expires_at,
        )
        return bool(moved)

    def end(
        self,
        command_id: int,
        state: CommandState,
        *,
        now: datetime,
        outcome: Outcome,
        detail: str | None = None,
        exchange_id: int | None = None,
    ) -> list[Row[Any]]:
        """What became of a command; nothing when it had ended before."""
        return self._move(
            Command.id == command_id,
            of=tuple(OPEN),
            to=state,
            at=now,
            outcome=outcome,
            detail=detail,
            exchange_id=exchange_id,
        )

    def note(
        self,
        command_ids: Iterable[int],
        state: CommandState,
        *,
        at: datetime,
        outcome: Outcome | None = None,
        detail: str | None = None,
        exchange_id: int | None = None,
    ) -> None:
        """Write down a step of commands that are in `state`."""
        common = {"at": at, "state": state, "outcome": outcome, "detail": detail, "exchange_id": exchange_id}
        rows = [common | {"command_id": command_id} for command_id in command_ids]
        if rows:
            self.session.execute(insert(CommandStep), rows)

    def save_control(
        self, meter_id: int, state: ControlState, *, now: datetime, exchange_id: int | None
    ) -> None:
        """What a meter has just said of itself; what it does not say stays as it was known."""
        said = {key: value for key, value in asdict(state).items() if value is not None}
        row = self.session.get(MeterControl, meter_id)
        if row is None:
            row = MeterControl(meter_id=meter_id, read_at=now, exchange_id=exchange_id)
            self.session.add(row)
        for key, value in (said | {"read_at": now, "exchange_id": exchange_id}).items():
            setattr(row, key, value)

    # -- standing orders --------------------------------------------------------------------------------------------

    def standing_order(self, order_id: int) -> StandingOrder:
        """A standing order, held until the end of the transaction so that two uses do not exceed its cap."""
        found = self.session.scalar(
            select(StandingOrder).where(StandingOrder.id == order_id).with_for_update()
        )
        if found is None:
            raise UnknownCommand(f"There is no standing order {order_id}.", hint="Look at the list of them.")
        return found

    def used(self, day: TimeRange, *, order_id: int | None = None) -> dict[int, int]:
        """Commands asked in a day under each standing order, or under one."""
        counted = (
            select(CommandBatch.standing_order_id, func.count())
            .select_from(Command)
            .join(CommandBatch, CommandBatch.id == Command.batch_id)
            .where(
                CommandBatch.standing_order_id.is_not(None),
                CommandBatch.asked_at >= day.start,
                CommandBatch.asked_at < day.closed_end,
            )
            .group_by(CommandBatch.standing_order_id)
        )
        if order_id is not None:
            counted = counted.where(CommandBatch.standing_order_id == order_id)
        return {order: count for order, count in self.session.execute(counted) if order is not None}

    def standing_orders(self, day: TimeRange, *, order_id: int | None = None) -> list[StandingOrderView]:
        """Every standing order, newest first, or one."""
        used = self.used(day, order_id=order_id)
        wanted = select(StandingOrder).order_by(StandingOrder.id.desc())
        if order_id is not None:
            wanted = wanted.where(StandingOrder.id == order_id)
        rows = self.session.scalars(wanted)
        return [
            StandingOrderView(
                id=row.id,
                kind=row.kind,
                site_id=row.site_id,
                area_id=row.area_id,
                daily_cap=row.daily_cap,
                used_today=used.get(row.id, 0),
                reason=row.reason,
                asked_by=row.asked_by,
                asked_at=row.asked_at,
                expires_at=row.expires_at,
                approved_by=row.approved_by,
                approved_at=row.approved_at,
                ended_by=row.ended_by,
                ended_at=row.ended_at,
            )
            for row in rows
        ]

    # -- inside -----------------------------------------------------------------------------------------------------

    def _move(
        self,
        where: ColumnElement[bool],
        *,
        of: Collection[CommandState],
        to: CommandState,
        at: datetime,
        outcome: Outcome | None = None,
        detail: str | None = None,
        exchange_id: int | None = None,
        **values: Any,
    ) -> list[Row[Any]]:
        changed = (
            update(Command)
            .where(where, Command.state.in_(of))
            .values(state=to, outcome=outcome, detail=detail, changed_at=at, **values)
            .returning(*_CHANGED)
            .execution_options(synchronize_session=False)
        )
        rows: list[Row[Any]] = [*self.session.execute(changed)]
        self.note(
            [row.id for row in rows], to, at=at, outcome=outcome, detail=detail, exchange_id=exchange_id
        )
        return rows
