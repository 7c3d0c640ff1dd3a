"""Commands as frozen values: what the ledger returns and what a link's lane works on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from wattkeeper.collection.commands.details import Detail
from wattkeeper.collection.commands.kinds import ENDED, CommandKind, CommandState, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOptions:
    """How commands are given here."""

    direct_close: bool = False
    """Whether a relay may be closed with nobody at the meter; off, only leave to close it by its key is given."""
    waits: timedelta = timedelta(hours=1)
    """How long a command may wait to be sent, where whoever asks says nothing else."""
    longest_wait: timedelta = timedelta(days=1)
    meter_waits: timedelta = timedelta(minutes=5)
    """How long after sending the meter itself still carries a relay command out, by its own clock."""
    looks: tuple[timedelta, ...] = (timedelta(seconds=0.3), timedelta(seconds=1), timedelta(seconds=2))
    """Pauses before each time the state is read back right after sending: a relay takes a moment to move."""
    look_again: timedelta = timedelta(seconds=30)
    """Pause after which a meter in doubt is asked again; it doubles up to `longest_pause`."""
    longest_pause: timedelta = timedelta(minutes=15)
    most_meters: int = 20_000
    """In one batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlState:
    """What a meter says of its relay and its standing instructions; None: it does not say."""

    relay_open: bool | None = None
    close_allowed: bool | None = None
    keep_power: bool | None = None
    alarm: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlView:
    """The same with when it was read, and from which frames."""

    meter_id: int
    state: ControlState
    read_at: datetime
    exchange_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandToSend:
    """What a lane needs to give, or to resolve, one command."""

    command_id: int
    meter_id: int
    kind: CommandKind
    argument: Mapping[str, Any] | None
    state: CommandState
    expires_at: datetime
    sent_at: datetime | None
    meter_expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """One batch, and how far its commands have come."""

    id: int
    kind: CommandKind
    argument: Mapping[str, Any] | None
    reason: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    standing_order_id: int | None
    decision: CommandState | None
    decided_by: str | None
    decided_at: datetime | None
    decision_note: str | None
    counts: Mapping[CommandState, int] = field(default_factory=dict)
    """Commands within the scope of whoever asks, by state; states without any are left out."""

    @property
    def total(self) -> int:
        """Meters in the batch."""
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        """Those about which nothing more will change."""
        return sum(count for state, count in self.counts.items() if state in ENDED)

    @property
    def waits_for_decision(self) -> bool:
        """Whether a second person is waited for."""
        return CommandState.ASKED in self.counts


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandView:
    """One meter's command, and whose it is."""

    id: int
    batch_id: int
    kind: CommandKind
    meter_id: int
    address: str
    link_code: str
    state: CommandState
    outcome: Outcome | None
    why: Detail | None
    """In more detail than the outcome."""
    changed_at: datetime
    sent_at: datetime | None
    meter_expires_at: datetime | None
    reason: str
    asked_by: str
    asked_at: datetime

    @property
    def detail(self) -> str | None:
        """That in an English sentence."""
        return None if self.why is None else self.why.said


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One step of a command."""

    at: datetime
    state: CommandState
    outcome: Outcome | None
    why: Detail | None
    """In more detail than the outcome."""
    exchange_id: int | None

    @property
    def detail(self) -> str | None:
        """That in an English sentence."""
        return None if self.why is None else self.why.said


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingOrderView:
    """A standing order and how much of today's cap is used."""

    id: int
    kind: CommandKind
    site_id: int | None
    area_id: int | None
    daily_cap: int
    used_today: int
    reason: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    ended_by: str | None
    ended_at: datetime | None

    def state(self, now: datetime) -> str:
        """asked, active, expired or ended."""
        if self.ended_at is not None:
            return "ended"
        if now >= self.expires_at:
            return "expired"
        return "asked" if self.approved_at is None else "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandNews:
    """A command took a step; hub topic "command"."""

    command_id: int
    meter_id: int
    state: CommandState
