"""Looking at commands: batches with what became of them, each meter's command and its steps, relays as last told."""

from collections import Counter
from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from wattkeeper.collection.commands.details import Detail
from wattkeeper.collection.commands.errors import UnknownCommand
from wattkeeper.collection.commands.kinds import CommandKind, CommandState
from wattkeeper.collection.commands.models import (
    Command,
    CommandBatch,
    CommandStep,
    MeterControl,
)
from wattkeeper.collection.commands.values import (
    BatchView,
    CommandView,
    ControlState,
    ControlView,
    StepView,
)
from wattkeeper.registry.models import Link, Meter
from wattkeeper.registry.scope import EVERYTHING, Scope


class CommandViews:
    """Commands in the caller's transaction, within a scope."""

    def __init__(self, session: Session, scope: Scope = EVERYTHING) -> None:
        self.session = session
        self.scope = scope

    def batches(
        self,
        *,
        waiting: bool = False,
        kind: CommandKind | None = None,
        address: str | None = None,
        after: int | None = None,
        limit: int = 50,
    ) -> list[BatchView]:
        """Batches, newest first, one more than `limit` where there are more.

        `waiting` for a second person only; `address` only those with a meter of this address within the scope.
        """
        wanted = select(CommandBatch).where(self._has_batch())
        if waiting:
            asked = select(Command.batch_id).where(Command.state == CommandState.ASKED)
            wanted = wanted.where(CommandBatch.id.in_(asked))
        if kind is not None:
            wanted = wanted.where(CommandBatch.kind == kind)
        if address is not None:
            told = select(Command.batch_id).join(Meter, Meter.id == Command.meter_id)
            told = told.where(Meter.address == address, self.scope.has_meter())
            wanted = wanted.where(CommandBatch.id.in_(told))
        if after is not None:
            wanted = wanted.where(CommandBatch.id < after)
        found = self.session.scalars(wanted.order_by(CommandBatch.id.desc()).limit(limit + 1)).all()
        counts = self._counts([batch.id for batch in found])
        return [_batch_view(batch, counts.get(batch.id, Counter())) for batch in found]

    def batch_view(self, batch_id: int) -> BatchView:
        """One batch."""
        batch = self.session.scalar(
            select(CommandBatch).where(CommandBatch.id == batch_id, self._has_batch())
        )
        if batch is None:
            raise UnknownCommand(
                f"There is no command batch {batch_id}.", hint="Look at the list of commands."
            )
        return _batch_view(batch, self._counts([batch_id]).get(batch_id, Counter()))

    def commands(
        self,
        *,
        batch_id: int | None = None,
        meter_id: int | None = None,
        states: Collection[CommandState] = (),
        after: int | None = None,
        limit: int = 50,
    ) -> list[CommandView]:
        """Commands, newest first, one more than `limit` where there are more."""
        wanted = self._views()
        if batch_id is not None:
            wanted = wanted.where(Command.batch_id == batch_id)
        if meter_id is not None:
            wanted = wanted.where(Command.meter_id == meter_id)
        if states:
            wanted = wanted.where(Command.state.in_(states))
        if after is not None:
            wanted = wanted.where(Command.id < after)
        rows = self.session.execute(wanted.order_by(Command.id.desc()).limit(limit + 1))
        return [_command_view(*row) for row in rows]

    def command(self, command_id: int) -> CommandView:
        """One command within the scope."""
        row = self.session.execute(self._views().where(Command.id == command_id)).one_or_none()
        if row is None:
            raise UnknownCommand(f"There is no command {command_id}.", hint="Look at the list of commands.")
        return _command_view(*row)

    def steps(self, command_id: int) -> list[StepView]:
        """What happened to a command, oldest first."""
        rows = self.session.scalars(
            select(CommandStep).where(CommandStep.command_id == command_id).order_by(CommandStep.id)
        )
        return [
            StepView(
                at=row.at,
                state=row.state,
                outcome=row.outcome,
                why=Detail.read(row.detail),
                exchange_id=row.exchange_id,
            )
            for row in rows
        ]

    def control(self, meter_id: int) -> ControlView | None:
        """What a meter said of itself last."""
        row = self.session.get(MeterControl, meter_id)
        return None if row is None else _control_view(row)

    def keeping_power(self, meter_ids: Collection[int]) -> list[str]:
        """The addresses of those meters that are known to keep power."""
        return list(
            self.session.scalars(
                select(Meter.address)
                .join(MeterControl, MeterControl.meter_id == Meter.id)
                .where(Meter.id.in_(meter_ids), MeterControl.keep_power.is_(True))
                .order_by(Meter.address)
            )
        )

    def _has_batch(self) -> ColumnElement[bool]:
        """Of a statement over CommandBatch: whether one of its meters is within the scope."""
        if self.scope.everything:
            return CommandBatch.id.is_not(None)
        within = select(Meter.id).where(self.scope.has_meter())
        return CommandBatch.id.in_(select(Command.batch_id).where(Command.meter_id.in_(within)))

    def _counts(self, batch_ids: Collection[int]) -> dict[int, Counter[CommandState]]:
        counted = (
            select(Command.batch_id, Command.state, func.count())
            .where(Command.batch_id.in_(batch_ids))
            .group_by(Command.batch_id, Command.state)
        )
        if not self.scope.everything:
            counted = counted.where(Command.meter_id.in_(select(Meter.id).where(self.scope.has_meter())))
        counts: dict[int, Counter[CommandState]] = {}
        for batch_id, state, count in self.session.execute(counted):
            counts.setdefault(batch_id, Counter())[state] = count
        return counts

    def _views(self) -> Any:
        return (
            select(Command, CommandBatch, Meter.address, Link.code)
            .join(CommandBatch, CommandBatch.id == Command.batch_id)
            .join(Meter, Meter.id == Command.meter_id)
            .join(Link, Link.id == Meter.link_id)
            .where(self.scope.has_meter())
        )


def _batch_view(batch: CommandBatch, counts: Counter[CommandState]) -> BatchView:
    return BatchView(
        id=batch.id,
        kind=batch.kind,
        argument=batch.argument,
        reason=batch.reason,
        asked_by=batch.asked_by,
        asked_at=batch.asked_at,
        expires_at=batch.expires_at,
        standing_order_id=batch.standing_order_id,
        decision=batch.decision,
        decided_by=batch.decided_by,
        decided_at=batch.decided_at,
        decision_note=batch.decision_note,
        counts=dict(counts),
    )


def _command_view(command: Command, batch: CommandBatch, address: str, link_code: str) -> CommandView:
    return CommandView(
        id=command.id,
        batch_id=command.batch_id,
        kind=batch.kind,
        meter_id=command.meter_id,
        address=address,
        link_code=link_code,
        state=command.state,
        outcome=command.outcome,
        why=Detail.read(command.detail),
        changed_at=command.changed_at,
        sent_at=command.sent_at,
        meter_expires_at=command.meter_expires_at,
        reason=batch.reason,
        asked_by=batch.asked_by,
        asked_at=batch.asked_at,
    )


def _control_view(row: MeterControl) -> ControlView:
    state = ControlState(
        relay_open=row.relay_open,
        close_allowed=row.close_allowed,
        keep_power=row.keep_power,
        alarm=row.alarm,
    )
    return ControlView(meter_id=row.meter_id, state=state, read_at=row.read_at, exchange_id=row.exchange_id)
