"""A neighbourhood: links with meters on them, from a TOML file or a dictionary."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

from wattkeeper.simulator.bus import VirtualBus
from wattkeeper.simulator.clock import Clock, RealClock
from wattkeeper.simulator.device import VirtualMeter
from wattkeeper.simulator.faults import Faults
from wattkeeper.simulator.loads import SHAPES, Load, ShapedLoad
from wattkeeper.simulator.servers import PtySerial, TcpGateway
from wattkeeper.simulator.spec import MeterSpec

T = TypeVar("T")
_ADDRESS_DIGITS = 12
_THREE_PHASE = {"factory", "office", "street_light"}


class WorldError(Exception):
    """A description of a world that cannot be built; the sentence says where and why."""


@dataclass(frozen=True, slots=True)
class MeterPlan:
    """One meter of a world, as described.

    Attributes:
        address: 12 digits.
        point: name of the metering point it hangs at.
        kind: household, shop, office, factory or street_light.
        phases: 1 or 3; factories, offices and street lights have 3 unless told otherwise.
        ct_ratio: of its current transformers; its registers count the secondary side.
        scale: how many times the usual customer of its kind.
        solar_kw: panels on the roof. [kW]
        first_register: what it showed when it was installed. [kWh]
        register_modulus: where its registers turn over. [kWh]
        clock_offset: how far its clock is ahead. [s]
        faults: as ``Faults``.
        seed: of its load; by default from its address.
        exchange: another meter that takes its place: {at = 2026-06-01T10:00:00, address = "..."}.

    """

    address: str
    point: str
    kind: str = "household"
    phases: int | None = None
    ct_ratio: int = 1
    scale: float = 1.0
    solar_kw: float = 0.0
    first_register: int = 0
    register_modulus: int = 1_000_000
    clock_offset: float = 0.0
    faults: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    exchange: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """One bus of a world, as described.

    Attributes:
        code: short and unique.
        name: for people.
        transport: "tcp" or "pty".
        port: TCP port, 0 for any.
        baud: paces the line; None lets it run as fast as it can. [bit/s]
        echo: its adapter hands the master's own bytes back.
        meters: who hangs on it.

    """

    code: str
    name: str = ""
    transport: str = "tcp"
    port: int = 0
    baud: int | None = None
    echo: bool = False
    meters: tuple[MeterPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class WorldPlan:
    """A whole world, as described.

    Attributes:
        links: its buses.
        seed: of everything by chance.
        installed: when its meters were installed, at midnight.
        record_days: how long meters remember load records. [d]
        utc_offset_minutes: of its civil time. [min]

    """

    links: tuple[LinkPlan, ...]
    seed: int = 645
    installed: date = date(2026, 1, 1)
    record_days: int = 100
    utc_offset_minutes: int = 480

    @classmethod
    def from_mapping(cls, described: Mapping[str, Any]) -> "WorldPlan":
        """Understand a dictionary, or raise WorldError naming the entry that is wrong."""
        links = []
        for number, link in enumerate(described.get("links", ()), 1):
            place = f"link {link.get('code', number)}"
            meters = tuple(_meter_plan(meter, place) for meter in link.get("meters", ()))
            links.append(_built(LinkPlan, {**link, "meters": meters}, place))
        if not links:
            raise WorldError("A world needs at least one [[links]] with meters.")
        plan = _built(cls, {**described, "links": tuple(links)}, "the world")
        _check(plan)
        return plan

    @classmethod
    def from_file(cls, path: Path) -> "WorldPlan":
        """Read a TOML file."""
        try:
            return cls.from_mapping(tomllib.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise WorldError(f"There is no file {path}.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise WorldError(f"{path} is not a TOML file: {error}.") from error


DEMO_WORLD = Path(__file__).parent / "worlds" / "demo.toml"
"""The block, shops, factory and street lights of ``make demo``."""


class Neighbourhood:
    """A running world.

    Args:
        plan: its description.
        clock: its time; the machine's by default.
        loads: what meters count instead of the shape of their kind, by address (real data, in tests).

    """

    def __init__(
        self, plan: WorldPlan, *, clock: Clock | None = None, loads: Mapping[str, Load] | None = None
    ) -> None:
        self.plan = plan
        self._clock = clock or RealClock()
        self._loads = loads or {}
        self.servers: dict[str, TcpGateway | PtySerial] = {}
        self.meters: dict[str, VirtualMeter] = {}
        for number, link in enumerate(plan.links):
            bus = VirtualBus(self._meters_of(link), echo=link.echo, seed=plan.seed + number)
            self.meters |= {meter.address: meter for meter in bus.meters}
            self.servers[link.code] = (
                TcpGateway(bus, port=link.port, baud=link.baud)
                if link.transport == "tcp"
                else PtySerial(bus, baud=link.baud)
            )

    async def start(self) -> None:
        """Open all ports; closes those it opened when one cannot be."""
        try:
            for server in self.servers.values():
                await server.start()
        except OSError as error:
            await self.stop()
            raise WorldError(f"A port of the simulated world could not be opened: {error}.") from error

    async def stop(self) -> None:
        """Close all ports; nothing is left behind."""
        for server in self.servers.values():
            await server.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def url(self, code: str) -> str:
        """The URL of a link."""
        return self.servers[code].url

    def describe(self) -> dict[str, Any]:
        """What is there, as JSON: links with their URLs, and the meters on them."""
        return {
            "seed": self.plan.seed,
            "utc_offset_minutes": self.plan.utc_offset_minutes,
            "installed": self.plan.installed.isoformat(),
            "record_days": self.plan.record_days,
            "links": [
                {
                    "code": link.code,
                    "name": link.name or link.code,
                    "transport": link.transport,
                    "url": self.url(link.code),
                    "meters": [_meter_as_json(meter) for meter in link.meters],
                }
                for link in self.plan.links
            ],
        }

    def _meters_of(self, link: LinkPlan) -> list[VirtualMeter]:
        meters: list[VirtualMeter] = []
        for plan in link.meters:
            meters += self._life_of(plan)
        return meters

    def _life_of(self, plan: MeterPlan) -> list[VirtualMeter]:
        """The meter, and the one that takes its place where the plan says so."""
        offset = timedelta(minutes=self.plan.utc_offset_minutes)
        midnight = datetime.combine(self.plan.installed, datetime.min.time())
        load = self._loads.get(plan.address) or ShapedLoad(
            plan.kind,
            seed=_seed_of(plan) + self.plan.seed,
            scale=plan.scale / plan.ct_ratio,
            solar_kw=plan.solar_kw,
        )
        spec = MeterSpec(
            address=plan.address,
            kind=plan.kind,
            phases=_phases_of(plan),
            installed=midnight,
            first_register=plan.first_register,
            register_modulus=plan.register_modulus,
            record_days=self.plan.record_days,
            clock_offset=plan.clock_offset,
            utc_offset=offset,
            ct_ratio=plan.ct_ratio,
            seed=_seed_of(plan),
        )
        meter = VirtualMeter(spec, load, self._clock, Faults(**plan.faults))
        if plan.exchange is None:
            return [meter]
        local: datetime = plan.exchange["at"]
        meter.present_until = (local - offset).replace(tzinfo=UTC)
        successor = MeterSpec(
            address=plan.exchange["address"],
            kind=plan.kind,
            phases=spec.phases,
            installed=local,
            first_register=plan.exchange.get("first_register", 0),
            record_days=spec.record_days,
            utc_offset=offset,
            ct_ratio=plan.ct_ratio,
            seed=spec.seed + 1,
        )
        return [meter, VirtualMeter(successor, load, self._clock, present_from=meter.present_until)]


def _seed_of(plan: MeterPlan) -> int:
    return int(plan.address) % 1_000_003 if plan.seed is None else plan.seed


def _phases_of(plan: MeterPlan) -> int:
    return plan.phases or (3 if plan.kind in _THREE_PHASE else 1)


def _meter_as_json(plan: MeterPlan) -> dict[str, Any]:
    return {
        "address": plan.address,
        "point": plan.point,
        "kind": plan.kind,
        "phases": _phases_of(plan),
        "ct_ratio": plan.ct_ratio,
        "first_register": plan.first_register,
        "clock_offset": plan.clock_offset,
        "faults": dict(plan.faults),
    }


def _meter_plan(described: Mapping[str, Any], place: str) -> MeterPlan:
    here = f"meter {described.get('address', '?')} of {place}"
    plan = _built(MeterPlan, described, here)
    _built(Faults, plan.faults, f"the faults of {here}")
    address: Any = described["address"]
    if not (isinstance(address, str) and len(address) == _ADDRESS_DIGITS and address.isdecimal()):
        raise WorldError(f'The address of {here} is not a text of 12 digits, like "000000000161".')
    if plan.kind not in SHAPES:
        raise WorldError(f"The kind {plan.kind!r} of {here} is not one of {', '.join(SHAPES)}.")
    if plan.exchange is not None and not (
        isinstance(plan.exchange.get("at"), datetime) and isinstance(plan.exchange.get("address"), str)
    ):
        raise WorldError(f"The exchange of {here} needs a local time `at` and an `address`.")
    return plan


def _check(plan: WorldPlan) -> None:
    _unique([link.code for link in plan.links], "link code")
    for link in plan.links:
        if link.transport not in {"tcp", "pty"}:
            raise WorldError(f"The transport {link.transport!r} of link {link.code} is neither tcp nor pty.")
    _unique([meter.address for link in plan.links for meter in link.meters], "meter address")


def _unique(values: Sequence[str], what: str) -> None:
    for value in values:
        if values.count(value) > 1:
            raise WorldError(f"The {what} {value} is used twice.")


def _built(kind: type[T], described: Mapping[str, Any], place: str) -> T:
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]  # dataclasses all
    for name in described:
        if name not in known:
            raise WorldError(
                f"{place} has an entry {name!r} that is not known; known are {', '.join(sorted(known))}."
            )
    try:
        return kind(**described)
    except TypeError as error:
        raise WorldError(f"{place} is not complete: {error}.") from error
