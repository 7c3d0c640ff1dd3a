"""What people do with commands: ask, agree, refuse, take back; and standing orders.

Every act is checked against the rules of this folder and written down in the audit, in one transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from wattkeeper.collection.commands.errors import (
    BadCommand,
    KeepsPower,
    NotOptedIn,
    SecondPersonNeeded,
    TooLate,
)
from wattkeeper.collection.commands.kinds import (
    BY_TWO,
    NEVER_IN_A_BATCH,
    TO_SEND,
    WAITING,
    CommandKind,
    CommandState,
)
from wattkeeper.collection.commands.ledger import CommandLedger
from wattkeeper.collection.commands.models import CommandBatch
from wattkeeper.collection.commands.standing import StandingOrders
from wattkeeper.collection.commands.values import (
    BatchView,
    CommandNews,
    CommandOptions,
    CommandView,
    ControlView,
    StepView,
)
from wattkeeper.collection.models import MeterProgress
from wattkeeper.collection.spoken import spoken_protocol
from wattkeeper.kernel.database import Database, in_parts
from wattkeeper.kernel.hub import Hub
from wattkeeper.registry.models import Meter
from wattkeeper.registry.scope import EVERYTHING, Scope
from wattkeeper.security.acting import Person, current_person
from wattkeeper.security.audit import record

_NAMED: Final = 20
"""Meters that the audit names; the batch itself has all of them."""


class Checks(Protocol):
    """What drivers know of commands: whether meters of a protocol take one, and whether its argument can be written."""

    def __call__(self, protocol: str, kind: CommandKind, argument: Mapping[str, Any] | None) -> None:
        """Raise BadCommand when it cannot be given."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody asks for."""

    kind: CommandKind
    meter_ids: Sequence[int]
    reason: str
    argument: Mapping[str, Any] | None = None
    """Of SET_PARAMETER: `identifier` and `value` in the driver's words."""
    expires_at: datetime | None = None
    """None: the usual wait from now on."""
    standing_order_id: int | None = None


class CommandService:
    """Commands over one ledger database."""

    def __init__(
        self, database: Database, hub: Hub, *, check: Checks, options: CommandOptions | None = None
    ) -> None:
        self.options = options or CommandOptions()
        self._database = database
        self._hub = hub
        self._check = check
        self.standing = StandingOrders(database)

    # -- acts -------------------------------------------------------------------------------------------------------

    def ask(self, wanted: Wanted, *, now: datetime, scope: Scope = EVERYTHING) -> BatchView:
        """Ask for one command to each of some meters.

        A trip or a direct close waits for a second person, unless a standing order allows it; the rest is approved at
        once. Meters out of scope count as not there.

        Raises:
            BadCommand: no meters, no reason, unknown meters, a protocol or a parameter that takes no such command.
            SecondPersonNeeded: what takes two, asked at the command line, where nobody is signed in.
            NotOptedIn: a direct close where only leave to close is given.
            KeepsPower: a trip of a meter that is known to keep power.
            StandingOrderRefuses: the order does not cover this.

        """
        expires_at = self._checked_expiry(wanted, now)
        reason = _checked_reason(wanted.reason)
        person = current_person()
        if person.user_id is None and _first_state(wanted) is CommandState.ASKED:
            raise SecondPersonNeeded(
                "This takes two persons, and nobody is signed in here to be told apart from the second.",
                hint="Ask on the console, or with the token of a user.",
            )
        with self._database.write() as session:
            ledger = CommandLedger(session, scope)
            meters = self._meters(session, wanted, scope)
            self._may_be_given(ledger, wanted, meters)
            if wanted.standing_order_id is not None:
                self.standing.use(session, wanted.standing_order_id, wanted.kind, list(meters), now=now)
            state = _first_state(wanted)
            batch = CommandBatch(
                kind=wanted.kind,
                argument=None if wanted.argument is None else dict(wanted.argument),
                reason=reason,
                asked_by=person.name,
                asked_by_user_id=person.user_id,
                asked_at=now,
                expires_at=expires_at,
                standing_order_id=wanted.standing_order_id,
            )
            ids = ledger.add_batch(batch, sorted(meters), state=state)
            self._record(session, "command.ask", batch, now, meters=len(ids), addresses=meters.values())
            view = ledger.batch_view(batch.id)
        self._announce(zip(ids, sorted(meters), strict=True), state)
        return view

    def approve(
        self, batch_id: int, *, now: datetime, note: str = "", scope: Scope = EVERYTHING
    ) -> BatchView:
        """Agree, as the second person.

        Raises:
            SecondPersonNeeded: whoever asked cannot agree as well.
            TooLate: it was decided, or expired, before.
            UnknownCommand: no such batch, or it reaches beyond what this person may see.

        """
        return self._decide(batch_id, CommandState.APPROVED, now=now, note=note, scope=scope)

    def reject(self, batch_id: int, *, now: datetime, note: str = "", scope: Scope = EVERYTHING) -> BatchView:
        """Refuse, as the second person; the one who asked takes back instead."""
        return self._decide(batch_id, CommandState.REJECTED, now=now, note=note, scope=scope)

    def withdraw(
        self, batch_id: int, *, now: datetime, note: str = "", scope: Scope = EVERYTHING
    ) -> BatchView:
        """Take back what has not been sent yet, whoever asked it; what has left stays on record as it is."""
        with self._database.write() as session:
            ledger = CommandLedger(session, scope)
            batch = self._batch(ledger, batch_id)
            moved = ledger.move_batch(batch_id, of=WAITING, to=CommandState.WITHDRAWN, at=now)
            if not moved:
                raise TooLate(
                    f"Nothing of command batch {batch_id} waits any more.",
                    hint="Its page says what became of each meter.",
                )
            if batch.decision is None:
                _decided(batch, CommandState.WITHDRAWN, current_person(), now, note)
            self._record(session, "command.withdraw", batch, now, meters=len(moved), note=note)
            view = ledger.batch_view(batch_id)
        self._announce(((row.id, row.meter_id) for row in moved), CommandState.WITHDRAWN)
        return view

    # -- looking ----------------------------------------------------------------------------------------------------

    def batches(
        self,
        *,
        scope: Scope = EVERYTHING,
        waiting: bool = False,
        kind: CommandKind | None = None,
        address: str | None = None,
        after: int | None = None,
        limit: int = 50,
    ) -> list[BatchView]:
        """Batches, newest first; one more than `limit` where there are more; `address`: to a meter of this address."""
        with self._database.read() as session:
            ledger = CommandLedger(session, scope)
            return ledger.batches(waiting=waiting, kind=kind, address=address, after=after, limit=limit)

    def batch(self, batch_id: int, *, scope: Scope = EVERYTHING) -> BatchView:
        """One batch; raises UnknownCommand."""
        with self._database.read() as session:
            return CommandLedger(session, scope).batch_view(batch_id)

    def commands(
        self,
        *,
        scope: Scope = EVERYTHING,
        batch_id: int | None = None,
        meter_id: int | None = None,
        states: Iterable[CommandState] = (),
        after: int | None = None,
        limit: int = 50,
    ) -> list[CommandView]:
        """Commands, newest first; one more than `limit` where there are more."""
        with self._database.read() as session:
            return CommandLedger(session, scope).commands(
                batch_id=batch_id, meter_id=meter_id, states=tuple(states), after=after, limit=limit
            )

    def command(self, command_id: int, *, scope: Scope = EVERYTHING) -> tuple[CommandView, list[StepView]]:
        """One command and its steps; raises UnknownCommand."""
        with self._database.read() as session:
            ledger = CommandLedger(session, scope)
            return ledger.command(command_id), ledger.steps(command_id)

    def control(self, meter_id: int) -> ControlView | None:
        """What a meter said of its relay last."""
        with self._database.read() as session:
            return CommandLedger(session).control(meter_id)

    # -- rules ------------------------------------------------------------------------------------------------------

    def _checked_expiry(self, wanted: Wanted, now: datetime) -> datetime:
        expires_at = now + self.options.waits if wanted.expires_at is None else wanted.expires_at
        if not now < expires_at <= now + self.options.longest_wait:
            hours = self.options.longest_wait.total_seconds() / 3600
            raise BadCommand(
                f"A command expires in the future, and within {hours:g} hours.",
                hint="What is to happen later is asked later: the meter's state may be another then.",
            )
        return expires_at

    def _meters(self, session: Session, wanted: Wanted, scope: Scope) -> dict[int, str]:
        """The addresses of the meters asked for, by id."""
        ids = sorted(set(wanted.meter_ids))
        if not ids:
            raise BadCommand("No meter was named.", hint="Choose at least one.")
        if len(ids) > self.options.most_meters:
            raise BadCommand(f"{len(ids)} meters are more than one batch takes ({self.options.most_meters}).")
        if len(ids) > 1 and wanted.kind in NEVER_IN_A_BATCH:
            raise BadCommand(
                "This is for one meter at a time: a mistake in it would be in every one of them.",
                hint="Ask for each meter on its own page.",
            )
        found: dict[int, str] = {}
        protocols: set[str] = set()
        for part in in_parts(ids):
            chosen = (
                select(Meter.id, Meter.address, spoken_protocol().label("protocol"))
                .outerjoin(MeterProgress, MeterProgress.meter_id == Meter.id)
                .where(Meter.id.in_(part), Meter.enabled, scope.has_meter())
            )
            for row in session.execute(chosen):
                found[row.id] = row.address
                protocols.add(row.protocol)
        if missing := [str(meter_id) for meter_id in ids if meter_id not in found]:
            raise BadCommand(
                f"There is no meter {', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}, or it is disabled.",  # noqa: PLR2004
                hint="Choose from the list of meters.",
            )
        for protocol in sorted(protocols):
            self._check(protocol, wanted.kind, wanted.argument)
        return found

    def _may_be_given(self, ledger: CommandLedger, wanted: Wanted, meters: Mapping[int, str]) -> None:
        if wanted.kind is CommandKind.CLOSE and not self.options.direct_close:
            raise NotOptedIn(
                "Closing a relay with nobody at the meter is switched off here: somebody may be at the wires.",
                hint="Ask for leave to close: the customer then closes by the meter's key. Or set `direct_close`.",
            )
        if wanted.kind is CommandKind.TRIP:
            keeping = [address for part in in_parts(list(meters)) for address in ledger.keeping_power(part)]
            if keeping:
                raise KeepsPower(
                    f"Meter {', '.join(keeping[:5])}{' …' if len(keeping) > 5 else ''} keeps power and is not tripped.",  # noqa: PLR2004
                    hint="Leave it out, or first end keeping power there, if that is meant.",
                )

    def _decide(
        self, batch_id: int, decision: CommandState, *, now: datetime, note: str, scope: Scope
    ) -> BatchView:
        person = current_person()
        with self._database.write() as session:
            ledger = CommandLedger(session, scope)
            batch = self._batch(ledger, batch_id)
            if person.is_same_as(batch.asked_by, batch.asked_by_user_id):
                raise SecondPersonNeeded(
                    f"{person.name} asked for this, and another person has to decide.",
                    hint="Take it back instead, or have a colleague look at it.",
                )
            moved = ledger.move_batch(batch_id, of=(CommandState.ASKED,), to=decision, at=now)
            if not moved or batch.expires_at <= now:
                raise TooLate(
                    f"Command batch {batch_id} waits for no decision any more.",
                    hint="Its page says what became of it.",
                )
            _decided(batch, decision, person, now, note)
            act = "command.approve" if decision in TO_SEND else "command.reject"
            self._record(session, act, batch, now, meters=len(moved), note=note)
            view = ledger.batch_view(batch_id)
        self._announce(((row.id, row.meter_id) for row in moved), decision)
        return view

    def _batch(self, ledger: CommandLedger, batch_id: int) -> CommandBatch:
        batch = ledger.batch(batch_id)
        if ledger.reaches_beyond(batch_id):
            raise SecondPersonNeeded(
                f"Command batch {batch_id} is also for meters that are out of your reach.",
                hint="Somebody who may see all of them has to decide.",
            )
        return batch

    def _record(
        self,
        session: Session,
        action: str,
        batch: CommandBatch,
        now: datetime,
        *,
        meters: int,
        addresses: Iterable[str] = (),
        note: str = "",
    ) -> None:
        after: dict[str, Any] = {"kind": batch.kind.value, "meters": meters}
        after |= {"reason": batch.reason} | ({"note": note} if note else {})
        if named := sorted(addresses)[:_NAMED]:
            after["addresses"] = named
        if batch.argument:
            after["argument"] = batch.argument
        record(
            session, action, now=now, subject=("command_batch", batch.id), name=batch.kind.value, after=after
        )

    def _announce(self, moved: Iterable[tuple[int, int]], state: CommandState) -> None:
        for command_id, meter_id in moved:
            self._hub.publish("command", CommandNews(command_id=command_id, meter_id=meter_id, state=state))


def _first_state(wanted: Wanted) -> CommandState:
    by_two = wanted.kind in BY_TWO and wanted.standing_order_id is None
    return CommandState.ASKED if by_two else CommandState.APPROVED


def _checked_reason(reason: str) -> str:
    if not (stripped := reason.strip()):
        raise BadCommand("A command needs a reason.", hint="Say why: it is kept with the command.")
    return stripped


def _decided(batch: CommandBatch, decision: CommandState, person: Person, now: datetime, note: str) -> None:
    batch.decision, batch.decided_at = decision, now
    batch.decided_by, batch.decided_by_user_id = person.name, person.user_id
    batch.decision_note = note.strip() or None
