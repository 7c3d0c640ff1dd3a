"""The description of a world, from a TOML file or a dictionary: what is there, checked, and nothing running yet."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

from wattkeeper.simulator import dates
from wattkeeper.simulator.electrics import NOMINAL_V
from wattkeeper.simulator.faults import Faults
from wattkeeper.simulator.loads import SHAPES

T = TypeVar("T")
_ADDRESS_DIGITS = 12
_THREE_PHASE = {"factory", "office", "street_light"}
_EDITIONS = (2007, 1997)
_AREA_KINDS = ("feeder", "area", "box")


class WorldError(Exception):
    """A description of a world that cannot be built; the sentence says where and why."""


@dataclass(frozen=True, slots=True)
class ExchangePlan:
    """The meter that takes another's place.

    Attributes:
        at: when, civil time; ``dates.moment`` says how it may be written.
        address: 12 digits.
        first_register: what it showed then. [kWh]

    """

    at: datetime
    address: str
    first_register: int = 0


@dataclass(frozen=True, slots=True)
class MeterPlan:
    """One meter of a world, as described.

    Attributes:
        address: 12 digits.
        point: name of the metering point it hangs at.
        customer: name of who pays for it.
        area: code of the area it is supplied from; by default its link's.
        kind: household, shop, office, factory or street_light.
        phases: 1 or 3; factories, offices and street lights have 3 unless told otherwise.
        ct_ratio: of its current transformers; its registers count the secondary side.
        scale: how many times the usual customer of its kind.
        solar_kw: panels on the roof. [kW]
        supply_voltage: what it is supplied with on average. [V]
        first_register: what it showed when it was installed. [kWh]
        register_modulus: where its registers turn over. [kWh]
        rolls_over: when they do, in place of a first register, which is then computed from its load.
        clock_offset: how far its clock is ahead. [s]
        silent_since: from when on it answers no more.
        faults: as ``Faults``.
        edition: of DL/T 645, 2007 or 1997.
        esam: whether it has a security chip: it refuses plain commands.
        seed: of its load; by default from its address.
        exchange: another meter that takes its place, as ``ExchangePlan``.

    """

    address: str
    point: str
    customer: str = ""
    area: str = ""
    kind: str = "household"
    phases: int | None = None
    ct_ratio: int = 1
    scale: float = 1.0
    solar_kw: float = 0.0
    supply_voltage: float = NOMINAL_V
    first_register: int = 0
    register_modulus: int = 1_000_000
    rolls_over: datetime | None = None
    clock_offset: float = 0.0
    silent_since: datetime | None = None
    faults: Mapping[str, Any] = field(default_factory=dict)
    edition: int = 2007
    esam: bool = False
    seed: int | None = None
    exchange: ExchangePlan | None = None

    @property
    def wires(self) -> int:
        """Phases: 1 or 3."""
        return self.phases or (3 if self.kind in _THREE_PHASE else 1)

    @property
    def chance(self) -> int:
        """The seed of what is by chance about it."""
        return int(self.address) % 1_000_003 if self.seed is None else self.seed


@dataclass(frozen=True, slots=True)
class ModbusPlan:
    """One Modbus meter of a world, as described.

    Attributes:
        unit: its address on the line, 1 to 247.
        map: name of a shipped register map, or path of one's own.
        kind, phases, scale: as of ``MeterPlan``.

    """

    unit: int
    map: str
    kind: str = "household"
    phases: int = 3
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """One bus of a world, as described.

    Attributes:
        code: short and unique.
        name: for people.
        area: code of the area its meters are supplied from, but for those that say otherwise.
        transport: "tcp" or "pty", or "modbus-tcp" for Modbus meters only.
        port: TCP port, 0 for any.
        baud: paces the line; None lets it run as fast as it can. [bit/s]
        echo: its adapter hands the master's own bytes back.
        meters: who hangs on it.
        modbus: Modbus meters on the same wires.

    """

    code: str
    name: str = ""
    area: str = ""
    transport: str = "tcp"
    port: int = 0
    baud: int | None = None
    echo: bool = False
    meters: tuple[MeterPlan, ...] = ()
    modbus: tuple[ModbusPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class AreaPlan:
    """A part of the network; the simulator only tells of it.

    Attributes:
        code: short and unique.
        name: for people.
        kind: feeder, area (what one transformer supplies) or box (of meters).
        parent: code of the area it is a part of; one described before it.

    """

    code: str
    name: str
    kind: str
    parent: str = ""


@dataclass(frozen=True, slots=True)
class WorldPlan:
    """A whole world, as described.

    Attributes:
        links: its buses.
        areas: its network, parents first.
        seed: of everything by chance.
        installed: when its meters were installed, at midnight.
        record_days: how long meters remember load records. [d]
        utc_offset_minutes: of its civil time. [min]

    """

    links: tuple[LinkPlan, ...]
    areas: tuple[AreaPlan, ...] = ()
    seed: int = 645
    installed: date = date(2026, 1, 1)
    record_days: int = 100
    utc_offset_minutes: int = 480

    @classmethod
    def from_mapping(cls, described: Mapping[str, Any], *, today: date | None = None) -> "WorldPlan":
        """Understand a dictionary, or raise WorldError naming the entry that is wrong.

        ``today`` is where times like ``{ days_ago = 20 }`` count from; without any it is not needed.
        """
        links = []
        for number, link in enumerate(described.get("links", ()), 1):
            place = f"link {link.get('code', number)}"
            meters = tuple(_meter_plan(meter, place, today) for meter in link.get("meters", ()))
            modbus = tuple(_modbus_plan(meter, place) for meter in link.get("modbus", ()))
            described_link = {**link, "meters": meters, "modbus": modbus}
            links.append(_with_its_area(_built(LinkPlan, described_link, place)))
        if not links:
            raise WorldError("A world needs at least one [[links]] with meters.")
        areas = [
            _built(AreaPlan, area, f"area {area.get('code', number)}")
            for number, area in enumerate(described.get("areas", ()), 1)
        ]
        given = {**described, "links": tuple(links), "areas": tuple(areas)}
        if "installed" in described:
            given["installed"] = _told("the world's `installed`", dates.day, described["installed"], today)
        plan = _built(cls, given, "the world")
        _check(plan)
        return plan

    @classmethod
    def from_file(cls, path: Path, *, today: date | None = None) -> "WorldPlan":
        """Read a TOML file."""
        try:
            return cls.from_mapping(tomllib.loads(path.read_text(encoding="utf-8")), today=today)
        except FileNotFoundError:
            raise WorldError(f"There is no file {path}.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise WorldError(f"{path} is not a TOML file: {error}.") from error


DEMO_WORLD = Path(__file__).parent / "worlds" / "demo.toml"
"""The residential block, factory, business building and street lights of ``make demo``."""


def _meter_plan(described: Mapping[str, Any], place: str, today: date | None) -> MeterPlan:
    here = f"meter {described.get('address', '?')} of {place}"
    given = dict(described)
    for name in ("rolls_over", "silent_since"):
        if name in given:
            given[name] = _told(f"The `{name}` of {here}", dates.moment, given[name], today)
    if "exchange" in given:
        given["exchange"] = _exchange_plan(given["exchange"], here, today)
    plan = _built(MeterPlan, given, here)
    _built(Faults, plan.faults, f"the faults of {here}")
    _check_address(plan.address, here)
    if plan.kind not in SHAPES:
        raise WorldError(f"The kind {plan.kind!r} of {here} is not one of {', '.join(SHAPES)}.")
    if plan.edition not in _EDITIONS:
        raise WorldError(f"The edition {plan.edition!r} of {here} is neither 2007 nor 1997.")
    if plan.rolls_over is not None and plan.first_register:
        raise WorldError(f"Say either the `first_register` of {here} or when it `rolls_over`.")
    return plan


def _modbus_plan(described: Mapping[str, Any], place: str) -> ModbusPlan:
    here = f"Modbus meter {described.get('unit', '?')} of {place}"
    plan = _built(ModbusPlan, described, here)
    if plan.unit not in range(1, 248):
        raise WorldError(f"The unit of {here} is not a number from 1 to 247.")
    if plan.kind not in SHAPES:
        raise WorldError(f"The kind {plan.kind!r} of {here} is not one of {', '.join(SHAPES)}.")
    return plan


def _exchange_plan(described: Mapping[str, Any], here: str, today: date | None) -> ExchangePlan:
    place = f"the exchange of {here}"
    at = _told(f"The `at` of {place}", dates.moment, described.get("at"), today)
    plan = _built(ExchangePlan, {**described, "at": at}, place)
    _check_address(plan.address, place)
    return plan


def _check_address(address: Any, here: str) -> None:
    if not (isinstance(address, str) and len(address) == _ADDRESS_DIGITS and address.isdecimal()):
        raise WorldError(f'The address of {here} is not a text of 12 digits, like "000000000161".')


def _with_its_area(link: LinkPlan) -> LinkPlan:
    meters = tuple(meter if meter.area else replace(meter, area=link.area) for meter in link.meters)
    return replace(link, meters=meters)


def _check(plan: WorldPlan) -> None:
    _unique([link.code for link in plan.links], "link code")
    for link in plan.links:
        if link.transport not in {"tcp", "pty", "modbus-tcp"}:
            raise WorldError(
                f"The transport {link.transport!r} of link {link.code} is not tcp, pty or modbus-tcp."
            )
        if link.transport == "modbus-tcp" and link.meters:
            raise WorldError(f"Link {link.code} speaks Modbus TCP: its meters stand under `modbus`.")
        _unique([str(meter.unit) for meter in link.modbus], "Modbus unit")
    meters = [meter for link in plan.links for meter in link.meters]
    _unique([meter.address for meter in meters], "meter address")
    _unique([area.code for area in plan.areas], "area code")
    known = {""}
    for area in plan.areas:
        if area.kind not in _AREA_KINDS:
            raise WorldError(
                f"The kind {area.kind!r} of area {area.code} is not one of {', '.join(_AREA_KINDS)}."
            )
        if area.parent not in known:
            raise WorldError(f"The parent {area.parent!r} of area {area.code} is not described before it.")
        known.add(area.code)
    for meter in meters:
        if meter.area not in known:
            raise WorldError(f"Meter {meter.address} is in an area {meter.area!r} that is not described.")


def _unique(values: Sequence[str], what: str) -> None:
    for value in values:
        if values.count(value) > 1:
            raise WorldError(f"The {what} {value} is used twice.")


def _told(what: str, reader: Any, described: Any, today: date | None) -> Any:
    """A time as it is written, or WorldError saying what is wrong with it."""
    try:
        return reader(described, today)
    except dates.DateError as error:
        raise WorldError(f"{what} {error}.") from None


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
