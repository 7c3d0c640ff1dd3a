"""Commands in words: what a meter is told, how far that has come, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from wattkeeper.collection.commands.kinds import (
    WAITING,
    CommandKind,
    CommandState,
    Outcome,
)
from wattkeeper.collection.commands.values import (
    BatchView,
    CommandView,
    ControlView,
    StandingOrderView,
    StepView,
)
from wattkeeper.security.rights import Right
from wattkeeper.security.values import Principal
from wattkeeper.web.language import Language
from wattkeeper.web.queries.command_details import detail_tag, detail_text
from wattkeeper.web.queries.states import N_, Level
from wattkeeper.web.services import Services

KINDS: Final[Mapping[CommandKind, str]] = {
    CommandKind.TRIP: N_("Trip"),
    CommandKind.CLOSE_ALLOWED: N_("Leave to close"),
    CommandKind.CLOSE: N_("Direct close"),
    CommandKind.ALARM_ON: N_("Alarm on"),
    CommandKind.ALARM_OFF: N_("Alarm off"),
    CommandKind.KEEP_POWER_ON: N_("Keep power"),
    CommandKind.KEEP_POWER_OFF: N_("End keeping power"),
    CommandKind.SET_CLOCK: N_("Set clock"),
    CommandKind.SET_PARAMETER: N_("Set parameter"),
}
MEANINGS: Final[Mapping[CommandKind, str]] = {
    CommandKind.TRIP: N_("The relay opens: the customer is without power until leave to close is given."),
    CommandKind.CLOSE_ALLOWED: N_(
        "The customer may close the relay by the meter's own key, and sees to it that nobody is at the wires."
    ),
    CommandKind.CLOSE: N_(
        "The relay closes at once, with nobody at the meter to look: whoever touches the wires behind it is under "
        "voltage. Have somebody there who says that it is safe."
    ),
    CommandKind.ALARM_ON: N_("The meter shows an alarm, as a warning before a trip."),
    CommandKind.ALARM_OFF: N_("The meter's alarm ends."),
    CommandKind.KEEP_POWER_ON: N_("The meter refuses to trip from now on, and so do we."),
    CommandKind.KEEP_POWER_OFF: N_("The meter may be tripped again."),
    CommandKind.SET_CLOCK: N_("The meter's date and time are set to those of this server."),
    CommandKind.SET_PARAMETER: N_("One parameter is written, and read back to see that it holds."),
}
STATES: Final[Mapping[CommandState, tuple[Level, str]]] = {
    CommandState.ASKED: ("warn", N_("waits for approval")),
    CommandState.APPROVED: ("idle", N_("approved")),
    CommandState.QUEUED: ("idle", N_("queued")),
    CommandState.SENDING: ("warn", N_("being sent")),
    CommandState.CONFIRMED: ("ok", N_("confirmed")),
    CommandState.FAILED: ("bad", N_("failed")),
    CommandState.EXPIRED: ("idle", N_("expired")),
    CommandState.UNKNOWN: ("warn", N_("outcome unknown")),
    CommandState.REJECTED: ("idle", N_("rejected")),
    CommandState.WITHDRAWN: ("idle", N_("withdrawn")),
}
OUTCOMES: Final[Mapping[Outcome, str]] = {
    Outcome.READ_BACK: N_("The meter's own state shows it, read after sending."),
    Outcome.ALREADY_SO: N_("The meter was in this state before; nothing was sent."),
    Outcome.REFUSED: N_("The meter refused it."),
    Outcome.KEEPS_POWER: N_("The meter is told to keep power, so nothing was sent."),
    Outcome.NOT_SHOWN: N_(
        "The meter's state does not show it, and its time is over: it will not act any more."
    ),
    Outcome.NO_ANSWER: N_("The meter did not answer. It is asked again what became of it."),
    Outcome.LINK_DOWN: N_("The link is down. The meter is asked once it is up."),
    Outcome.SERVER_STOPPED: N_("The server stopped while it was sent. The meter is asked what became of it."),
    Outcome.NO_DRIVER: N_("Meters of this protocol take no such command."),
    Outcome.BEFORE_IT: N_("An earlier command to the same meter is not resolved yet."),
    Outcome.TOO_LATE: N_("Its time ran out before it was sent: nothing has left."),
    Outcome.CLOCK_UNKNOWN: N_("The meter's clock could not be read, and without it the command has no end."),
    Outcome.WANTS_AUTHENTICATION: N_(
        "The meter takes only authenticated commands, which need a security module."
    ),
    Outcome.NO_PASSWORD: N_("No meter password is set in this installation (meter_password)."),
}
DECISIONS_SHOWN: Final = 3
ORDER_STATES: Final[Mapping[str, tuple[Level, str]]] = {
    "asked": ("warn", N_("waits for approval")),
    "active": ("ok", N_("active")),
    "expired": ("idle", N_("expired")),
    "ended": ("idle", N_("ended")),
}


@dataclass(frozen=True, slots=True)
class CountLine:
    """How many commands of a batch are in a state."""

    level: Level
    text: str
    count: int


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A batch in words."""

    id: int
    kind: CommandKind
    kind_text: str
    argument: str
    reason: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    standing_order_id: int | None
    level: Level
    state: str
    total: int
    ended: int
    counts: tuple[CountLine, ...]
    waits: bool
    """For a second person."""
    unsent: bool
    """Whether something of it can still be taken back."""
    decision: str | None
    decided_by: str | None
    decided_at: datetime | None
    note: str | None

    @property
    def open(self) -> bool:
        """Whether anything may still change."""
        return self.ended < self.total

    def asked_by_login(self, login: str) -> bool:
        """Whether somebody asked it, in person or by a token of theirs."""
        return self.asked_by.partition(" (")[0] == login


@dataclass(frozen=True, slots=True)
class CommandLine:
    """One meter's command in words."""

    id: int
    batch_id: int
    meter_id: int
    address: str
    link: str
    kind_text: str
    level: Level
    state: str
    outcome: str
    detail: str
    detail_tag: str
    """Language of `detail`: that of the page, or English of what was written down before reasons had codes."""
    changed_at: datetime
    sent_at: datetime | None
    meter_expires_at: datetime | None
    reason: str
    asked_by: str
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step of a command in words."""

    at: datetime
    level: Level
    state: str
    outcome: str
    detail: str
    detail_tag: str
    exchange_id: int | None


@dataclass(frozen=True, slots=True)
class ControlFact:
    """One thing that a meter said of itself."""

    label: str
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A standing order in words."""

    id: int
    kind_text: str
    place: str
    daily_cap: int
    used_today: int
    reason: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    level: Level
    state: str
    code: str
    approved_by: str | None
    ended_by: str | None


@dataclass(frozen=True, slots=True)
class Decision:
    """Something that waits for a second person, as the overview tells it."""

    what: str
    why: str
    href: str
    since: datetime


def decisions(services: Services, say: Language, principal: Principal) -> list[Decision]:
    """What waits for whoever looks to decide: nothing for those who may not, and nothing they asked themselves."""
    if not principal.may(Right.COMMANDS_APPROVE):
        return []
    now = services.clock()
    found = services.commands.batches(scope=services.scope, waiting=True)
    lines = [batch_line(batch, say) for batch in found if batch.expires_at > now]
    others = [line for line in lines if not line.asked_by_login(principal.login)]
    return [
        Decision(
            what=say.text(
                "%(command)s waits for your decision (meters: %(n)s)",
                command=line.kind_text,
                n=say.number(line.total),
            ),
            why=f"{line.asked_by}: {line.reason}",
            href=f"/commands/{line.id}",
            since=line.asked_at,
        )
        for line in others[:DECISIONS_SHOWN]
    ]


def batch_line(batch: BatchView, say: Language) -> BatchLine:
    """A batch in words."""
    level, text = _state_of(batch, say)
    return BatchLine(
        id=batch.id,
        kind=batch.kind,
        kind_text=say.text(KINDS[batch.kind]),
        argument=argument_text(batch.argument),
        reason=batch.reason,
        asked_by=batch.asked_by,
        asked_at=batch.asked_at,
        expires_at=batch.expires_at,
        standing_order_id=batch.standing_order_id,
        level=level,
        state=text,
        total=batch.total,
        ended=batch.ended,
        counts=tuple(
            CountLine(STATES[state][0], say.text(STATES[state][1]), batch.counts[state])
            for state in CommandState
            if batch.counts.get(state)
        ),
        waits=batch.waits_for_decision,
        unsent=any(batch.counts.get(state) for state in WAITING),
        decision=None if batch.decision is None else say.text(STATES[batch.decision][1]),
        decided_by=batch.decided_by,
        decided_at=batch.decided_at,
        note=batch.decision_note,
    )


def _state_of(batch: BatchView, say: Language) -> tuple[Level, str]:
    """Of all its commands together."""
    if batch.waits_for_decision or len(batch.counts) == 1:
        state = CommandState.ASKED if batch.waits_for_decision else next(iter(batch.counts))
        level, text = STATES[state]
        return level, say.text(text)
    if batch.ended < batch.total:
        return "warn", say.text(N_("under way"))
    return "bad" if CommandState.FAILED in batch.counts else "idle", say.text(N_("ended, not all alike"))


def argument_text(argument: Mapping[str, Any] | None) -> str:
    """What is written where: empty for commands without an argument."""
    return "" if not argument else f"{argument.get('identifier', '')} = {argument.get('value', '')}"


def command_line(command: CommandView, say: Language) -> CommandLine:
    """One meter's command in words."""
    level, text = STATES[command.state]
    return CommandLine(
        id=command.id,
        batch_id=command.batch_id,
        meter_id=command.meter_id,
        address=command.address,
        link=command.link_code,
        kind_text=say.text(KINDS[command.kind]),
        level=level,
        state=say.text(text),
        outcome=outcome_text(command.outcome, say),
        detail=detail_text(command.why, say),
        detail_tag=detail_tag(command.why, say),
        changed_at=command.changed_at,
        sent_at=command.sent_at,
        meter_expires_at=command.meter_expires_at,
        reason=command.reason,
        asked_by=command.asked_by,
        asked_at=command.asked_at,
    )


def step_lines(steps: Iterable[StepView], say: Language) -> list[StepLine]:
    """The steps of a command in words."""
    return [
        StepLine(
            at=step.at,
            level=STATES[step.state][0],
            state=say.text(STATES[step.state][1]),
            outcome=outcome_text(step.outcome, say),
            detail=detail_text(step.why, say),
            detail_tag=detail_tag(step.why, say),
            exchange_id=step.exchange_id,
        )
        for step in steps
    ]


def outcome_text(outcome: Outcome | None, say: Language) -> str:
    """Why a command is in its state; empty where that needs no reason."""
    return "" if outcome is None else say.text(OUTCOMES[outcome])


def control_facts(view: ControlView, say: Language) -> list[ControlFact]:
    """What a meter said of its relay and its standing instructions; what it does not say is left out."""
    said: tuple[tuple[str, bool | None, tuple[Level, str], tuple[Level, str]], ...] = (
        (
            N_("Relay"),
            view.state.relay_open,
            ("bad", N_("open: no power behind it")),
            ("ok", N_("relay closed")),
        ),
        (
            N_("Leave to close"),
            view.state.close_allowed,
            ("warn", N_("given: the meter's key closes the relay")),
            ("idle", N_("not given")),
        ),
        (
            N_("Keep power"),
            view.state.keep_power,
            ("warn", N_("on: it refuses to trip")),
            ("idle", N_("power is not kept")),
        ),
        (
            N_("Meter's alarm"),
            view.state.alarm,
            ("warn", N_("the alarm is on")),
            ("idle", N_("no alarm")),
        ),
    )
    return [
        ControlFact(say.text(label), (yes if value else no)[0], say.text((yes if value else no)[1]))
        for label, value, yes, no in said
        if value is not None
    ]


def order_line(order: StandingOrderView, place: str, say: Language, now: datetime) -> OrderLine:
    """A standing order in words."""
    code = order.state(now)
    level, text = ORDER_STATES[code]
    return OrderLine(
        id=order.id,
        kind_text=say.text(KINDS[order.kind]),
        place=place,
        daily_cap=order.daily_cap,
        used_today=order.used_today,
        reason=order.reason,
        asked_by=order.asked_by,
        asked_at=order.asked_at,
        expires_at=order.expires_at,
        level=level,
        state=say.text(text),
        code=code,
        approved_by=order.approved_by,
        ended_by=order.ended_by,
    )
