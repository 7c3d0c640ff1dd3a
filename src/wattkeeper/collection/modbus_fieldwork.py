"""Work at a Modbus meter without any store: read it by a map, or find out which map is the right one."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from wattkeeper.collection.drivers.modbus import MODBUS_RTU, MODBUS_TCP, ModbusRequest, converted
from wattkeeper.collection.errors import BadAddress, ReadFailed
from wattkeeper.links.bus import Bus
from wattkeeper.links.errors import NoReply
from wattkeeper.links.url import LinkUrl
from wattkeeper.protocols.modbus.coalescing import coalesce
from wattkeeper.protocols.modbus.errors import MeterRefused, ModbusError
from wattkeeper.protocols.modbus.frames import Framing
from wattkeeper.protocols.modbus.maps import Register, RegisterMap
from wattkeeper.protocols.modbus.master import IdentificationExchange
from wattkeeper.readings.quantities import QUANTITIES

__all__ = ["Fit", "Progress", "RegisterValue", "framing_of", "identify", "probe", "read_registers"]

Verdict = Literal["fits", "possible", "no"]
Progress = Callable[[str], None]
_ONLY_THESE = ("voltage", "frequency", "power_factor", "current", "active_power", "active_energy")
_CERTAIN = 6
"""Evidence from which on a map fits: a voltage and a frequency, say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterValue:
    """One register as it was read."""

    key: str
    """The quantity, or the name of a detail."""
    name_zh: str
    name_en: str
    value: Decimal | int | str | None
    """In the catalogue's unit for a quantity, in the register's own for a detail; None: the meter has no value now."""
    unit: str
    address: str
    """As the maker prints it."""
    read_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How well a map fits a meter."""

    map: RegisterMap
    verdict: Verdict
    evidence: int
    """The more the surer; below 0 what was read speaks against it."""
    reasons: tuple[str, ...]
    values: tuple[RegisterValue, ...] = ()


def framing_of(url: LinkUrl, *, rtu: bool = False) -> Framing:
    """How frames travel on a link: RTU on a serial line; over TCP Modbus TCP, unless it is RTU through a gateway."""
    return "rtu" if rtu or url.scheme == "serial" else "tcp"


def protocol_of(framing: Framing) -> str:
    """The protocol that such a meter is registered with."""
    return MODBUS_TCP if framing == "tcp" else MODBUS_RTU


async def read_registers(
    url: str, unit: int, register_map: RegisterMap, *, rtu: bool = False, details: bool = False
) -> list[RegisterValue]:
    """Read everything that a map has of a meter; registers that it refuses are left out.

    Raises:
        BadLinkUrl, BadAddress: before anything is sent.
        LinkUnavailable, LinkLost, NoReply: nobody could be asked, or nobody answered.
        ReadFailed: it answered and gave no value.

    """
    link = LinkUrl.parse(url)
    framing = framing_of(link, rtu=rtu)
    _check(unit, framing)
    registers = [*register_map.registers, *(register_map.details if details else ())]
    bus = Bus("field", link)
    try:
        reader = _Reader(bus, unit, framing)
        values = await reader.read(registers, register_map)
    finally:
        await bus.close()
    if not values:
        why = next(iter(reader.refusals.values()), "It has no value in any of them.")
        raise ReadFailed(
            f"Unit {unit} gave no value for the map {register_map.name}. {why}",
            hint="`wattkeeper modbus probe` tries every map there is.",
        )
    return values


async def identify(url: str, unit: int, *, rtu: bool = False) -> Mapping[int, str]:
    """What a device says of itself (2B/0E); nothing when it does not know the question, as most meters."""
    link = LinkUrl.parse(url)
    framing = framing_of(link, rtu=rtu)
    _check(unit, framing)
    bus = Bus("field", link)
    try:
        return (await bus.run(IdentificationExchange(unit, framing=framing), attempts=1)).objects
    except (ModbusError, NoReply):
        return {}
    finally:
        await bus.close()


async def probe(
    url: str,
    unit: int,
    maps: Iterable[RegisterMap],
    *,
    rtu: bool = False,
    progress: Progress = lambda _text: None,
) -> list[Fit]:
    """Try maps on an unknown meter; the best fit first. Raises as `read_registers` does."""
    link = LinkUrl.parse(url)
    framing = framing_of(link, rtu=rtu)
    _check(unit, framing)
    bus = Bus("field", link)
    try:
        reader = _Reader(bus, unit, framing, attempts=1)
        fits = []
        for each in maps:
            progress(f"trying {each.name}")
            fits.append(await _try(reader, each))
        if not reader.answered:
            assert reader.silence is not None
            raise reader.silence
    finally:
        await bus.close()
    order = {"fits": 0, "possible": 1, "no": 2}
    return sorted(fits, key=lambda fit: (order[fit.verdict], -fit.evidence, fit.map.name))


class _Reader:
    """Reads registers of one meter, splitting what it refuses; never asks the same range twice."""

    def __init__(self, bus: Bus, unit: int, framing: Framing, *, attempts: int | None = None) -> None:
        self._bus = bus
        self._unit = unit
        self._framing: Framing = framing
        self._attempts = attempts
        self._answers: dict[str, tuple[bytes, datetime] | Exception] = {}
        self.answered = False
        self.silence: NoReply | None = None
        self.refusals: dict[str, str] = {}

    async def read(self, registers: Iterable[Register], register_map: RegisterMap) -> list[RegisterValue]:
        """The values of registers, in their order; what is refused, or stays unanswered, is left out."""
        by_span = {register.span: register for register in registers}
        groups = coalesce(list(by_span), register_map.limits)
        waiting = deque(
            ModbusRequest(self._unit, [by_span[span] for span in group], self._framing) for group in groups
        )
        found: dict[str, RegisterValue] = {}
        while waiting:
            request = waiting.popleft()
            answer = await self._answer(request)
            if isinstance(answer, NoReply) and not self.answered:
                if self._attempts is None:
                    raise answer
                return []
            if isinstance(answer, Exception):
                waiting.extendleft(
                    reversed([part for part in request.parts if isinstance(part, ModbusRequest)])
                )
                continue
            request.exchange.octets, at = answer
            found |= {value.key: value for value in _told(request, register_map, at)}
        return [found[register.key] for register in by_span.values() if register.key in found]

    async def _answer(self, request: ModbusRequest) -> tuple[bytes, datetime] | Exception:
        if request.key not in self._answers:
            try:
                await self._bus.run(request.exchange, attempts=self._attempts)
                self._answers[request.key] = request.exchange.octets, datetime.now(UTC)
                self.answered = True
            except MeterRefused as error:
                self.answered = True
                self._answers[request.key] = error
                self.refusals[request.key] = str(error)
            except NoReply as error:
                self._answers[request.key] = self.silence = error
        return self._answers[request.key]


def _told(request: ModbusRequest, register_map: RegisterMap, at: datetime) -> Iterable[RegisterValue]:
    for register, value in request.contents():
        entry = QUANTITIES.get(register.key)
        plain = converted(register, value) if entry and isinstance(value, Decimal) else value
        yield RegisterValue(
            key=register.key,
            name_zh=entry.name_zh if entry else register.key,
            name_en=entry.name_en if entry else register.key.replace("_", " "),
            value=plain,
            unit=entry.unit if entry else register.unit,
            address=register_map.printed_address(register),
            read_at=at,
        )


async def _try(reader: _Reader, candidate: RegisterMap) -> Fit:
    """One map against the meter."""
    evidence, reasons = 0, list[str]()
    for detection in candidate.detection:
        [*found] = await reader.read([detection.register], candidate)
        place = f"register {candidate.printed_address(detection.register)}"
        told = found[0].value if found else None
        if not detection.fits(told):
            said = "is refused" if not found else f"says {told}"
            return Fit(
                map=candidate,
                verdict="no",
                evidence=-_CERTAIN,
                reasons=(f"{place} {said}, not {detection.expected}",),
            )
        evidence += _CERTAIN
        reasons.append(f"{place} says {told}, as only this meter does")
    telling = [each for each in candidate.registers if each.key.startswith(_ONLY_THESE)]
    values = await reader.read(telling, candidate)
    missing = len(telling) - len(values)
    if not values:
        silent = "silence" if reader.silence and not reader.refusals else "its registers are refused"
        return Fit(map=candidate, verdict="no", evidence=-missing, reasons=(silent,))
    against = 0
    for value in values:
        weight, reason = _judge(value)
        evidence += weight
        against += weight < 0
        if reason:
            reasons.append(reason)
    if missing:
        evidence -= missing
        reasons.append(f"{missing} of {len(telling)} registers are refused")
    sure = evidence >= _CERTAIN and not against and 2 * missing <= len(telling)
    verdict: Verdict = "fits" if sure else "possible" if evidence > 0 and not against else "no"
    reasons.sort(key=lambda reason: "impossible" not in reason)
    return Fit(
        map=candidate, verdict=verdict, evidence=evidence, reasons=tuple(reasons), values=tuple(values)
    )


_BOUNDS = (
    # Quantity, what it is on any mains, and how much it says for a map when it is so.
    ("voltage", Decimal(50), Decimal(500), 3),
    ("frequency", Decimal(45), Decimal(65), 4),
    ("power_factor", Decimal(-1), Decimal(1), 1),
    ("current", Decimal(-10_000), Decimal(10_000), 1),
    ("active_power", Decimal(-100_000), Decimal(100_000), 1),
    ("active_energy", Decimal(0), Decimal(10) ** 9, 1),
)


def _judge(value: RegisterValue) -> tuple[int, str]:
    """What a value says for or against its map; zero and "no value" say nothing."""
    number = value.value
    if not isinstance(number, Decimal) or number == 0:
        return 0, ""
    for key, least, most, weight in _BOUNDS:
        if value.key.startswith(key):
            if least <= number <= most:
                return weight, f"{value.key} {number.normalize():f} {value.unit}".rstrip()
            return -3, f"{value.key} would be {number.normalize():f} {value.unit}, which is impossible"
    return 0, ""


def _check(unit: int, framing: Framing) -> None:
    if 1 <= unit <= 247 or (framing == "tcp" and unit in (0, 255)):  # noqa: PLR2004 - the standard's units
        return
    raise BadAddress(
        f"{unit} is not the unit of a meter.",
        hint="Units are 1 to 247; most meters come as 1, and show it in their menu.",
    )
