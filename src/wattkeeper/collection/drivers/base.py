"""What the engine asks of a driver: which requests bring these quantities, and what the answers mean."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from wattkeeper.collection.commands.kinds import CommandKind
from wattkeeper.collection.commands.values import ControlState

CLOCK = "clock"
"""The catalogue's quantity of a meter's own clock, in seconds since 1970 UTC."""


class Measured(NamedTuple):
    """One value as a meter gave it; a named tuple, as one reply may bring hundreds (0.3 µs instead of 1 each)."""

    quantity: str
    value: Decimal
    stamped_at: datetime | None = None
    """The meter's own stamp (aware UTC) where it gave one; None: it is worth the moment of the answer."""
    doubtful: bool = False
    """The meter itself marked the value as wrong, or its check does not hold."""


class Request(Protocol):
    """One conversation with a meter: an exchange for the bus, and what its answer means."""

    @property
    def key(self) -> str:
        """The driver's own name of what is asked; a meter that refuses it is not asked again soon."""
        ...

    @property
    def quantities(self) -> tuple[str, ...]:
        """The quantities asked for."""
        ...

    @property
    def exchange(self) -> Any:
        """The exchange that `links.bus.Bus.run` carries out."""
        ...

    @property
    def parts(self) -> Sequence["Request"]:
        """The smaller requests that bring the same, for a meter that refuses this one; empty: there are none."""
        ...

    def measured(self, at: datetime) -> list[Measured]:
        """The values of the answer, which came at `at` (aware UTC); raises the driver's errors when it makes no sense."""
        ...


class Past(Protocol):
    """One kind of memory of a meter, from which gaps are filled: its load record, or its daily freezes."""

    @property
    def key(self) -> str:
        """`Request.key` of the request for the newest record: a meter that refuses it has no such memory."""
        ...

    def step(self, slot: timedelta) -> timedelta:
        """How far its records lie apart, where the metering point's grid is `slot`."""
        ...

    def phase(self, zone: ZoneInfo, now: datetime) -> timedelta:
        """Where its records lie on the grid of that step that begins at 1970-01-01 UTC."""
        ...

    def since(self, address: str, start: datetime, *, count: int, zone: ZoneInfo, now: datetime) -> Request:
        """The request for up to `count` records from `start` (aware UTC) on; `zone` is that of the meter's clock."""
        ...

    def earliest(self, address: str, *, zone: ZoneInfo) -> Request:
        """The request for the oldest record that the meter still has."""
        ...

    def latest(self, address: str, *, zone: ZoneInfo) -> Request:
        """The request for the newest record."""
        ...


class Driver(Protocol):
    """One meter protocol."""

    @property
    def protocol(self) -> str:
        """As in `Meter.protocol`."""
        ...

    @property
    def errors(self) -> type[Exception]:
        """Base of what its exchanges raise."""
        ...

    @property
    def commander(self) -> "Commander | None":
        """How its meters take commands; None: they take none."""
        ...

    @property
    def pasts(self) -> "Sequence[Past]":
        """What its meters may remember themselves, the most telling first."""
        ...

    def supports(self, quantity: str) -> bool:
        """Whether the protocol can name this quantity at all."""
        ...

    def brings(self, key: str) -> tuple[str, ...]:
        """The quantities that only the request of this name can bring; none for one that can be divided."""
        ...

    def plan(
        self, address: str, quantities: Iterable[str], *, zone: ZoneInfo, refused: Collection[str] = ()
    ) -> list[Request]:
        """The fewest requests that bring these quantities, without those that the meter is known to refuse."""
        ...

    def is_refusal(self, error: Exception) -> bool:
        """Whether this error is the meter's own "no"."""
        ...

    def is_unsupported(self, error: Exception) -> bool:
        """Whether it says that it does not have what was asked, and will not have it tomorrow."""
        ...


class Probe(Request, Protocol):
    """A question in the words of one edition of a protocol."""

    @property
    def speaks(self) -> str | None:
        """The protocol that the meter turned out to speak; None as long as it has not answered."""
        ...


@runtime_checkable
class Undecided(Driver, Protocol):
    """Stands in for the driver of a meter until it is known which of several editions of its protocol it speaks."""

    def probes(self, address: str) -> Sequence[Probe]:
        """The questions that find it out, to be asked one after the other until one is answered."""
        ...

    def speaking(self, protocol: str | None) -> Driver | None:
        """The driver of meters that speak this edition; None: there is none."""
        ...


class DriverFamily(Protocol):
    """The drivers of one protocol: one for all its meters, or one for each model where meters differ in what they say."""

    @property
    def protocol(self) -> str:
        """As in `Meter.protocol`."""
        ...

    @property
    def commander(self) -> "Commander | None":
        """How meters of the protocol take commands; None: they take none."""
        ...

    def for_model(self, model: str) -> Driver:
        """The driver of a meter of this model (`Meter.model`); raises CollectionError when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class MeterSecret:
    """What a meter wants to hear before it obeys (DL/T 645-2007 §7.3: PA, P0..P2 and the operator code C0..C3)."""

    password: str
    """Level and password as printed, 8 digits such as `02123456`."""
    operator: str = "00000000"


class Telling(Request, Protocol):
    """A request whose answer tells whether a meter is in the state that a command is to bring about."""

    def shows(self, at: datetime) -> bool | None:
        """Whether it is so, once answered at `at`; None: the answer does not tell."""
        ...

    @property
    def control(self) -> ControlState | None:
        """What the answer says of the relay and standing instructions; None when it is about something else."""
        ...


class SecurityQuestion(Request, Protocol):
    """A request whose answer tells whether a meter takes commands only after authentication."""

    @property
    def wants(self) -> str | None:
        """What it wants, as a sentence for a person; None when it does not, or has not answered."""
        ...


class Commander(Protocol):
    """What the driver of a protocol whose meters take commands has besides."""

    def check(self, kind: CommandKind, argument: Mapping[str, Any] | None) -> None:
        """Raise BadCommand when meters of this protocol take no such command, or its argument cannot be written."""
        ...

    def give(
        self,
        address: str,
        kind: CommandKind,
        argument: Mapping[str, Any] | None,
        *,
        secret: MeterSecret,
        now: datetime,
        expires_at: datetime,
        zone: ZoneInfo,
    ) -> list[Request]:
        """The requests that give a command, in order. `expires_at` (aware UTC) is by the meter's own clock."""
        ...

    def tell(
        self, address: str, kind: CommandKind, argument: Mapping[str, Any] | None, *, zone: ZoneInfo
    ) -> Telling:
        """The request whose answer tells whether the command has been carried out."""
        ...

    def after_refusal(
        self, address: str, error: Exception, *, secret: MeterSecret
    ) -> SecurityQuestion | None:
        """What to ask a meter that refused a command, to learn whether it wants authentication; None: it said why."""
        ...

    def broadcast_time(self, now: datetime, *, zone: ZoneInfo) -> Any:
        """The exchange that sets the clocks of all meters on the line; nobody answers."""
        ...
