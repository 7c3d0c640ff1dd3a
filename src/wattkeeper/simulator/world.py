"""A neighbourhood that runs: the links of a plan with the meters on them."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from wattkeeper.protocols.modbus.errors import MapError
from wattkeeper.protocols.modbus.mapfiles import load_map, shipped_maps
from wattkeeper.simulator.bus import VirtualBus
from wattkeeper.simulator.clock import Clock, RealClock
from wattkeeper.simulator.device import VirtualMeter
from wattkeeper.simulator.faults import Faults
from wattkeeper.simulator.loads import Load, ShapedLoad
from wattkeeper.simulator.modbus import VirtualModbusMeter
from wattkeeper.simulator.modbus_server import ModbusTcpServer
from wattkeeper.simulator.plans import LinkPlan, MeterPlan, ModbusPlan, WorldError, WorldPlan
from wattkeeper.simulator.servers import PtySerial, TcpGateway
from wattkeeper.simulator.spec import MeterSpec

_NEVER_TURNS = 10**9  # kWh, more than any meter of a world counts


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
        self.servers: dict[str, TcpGateway | PtySerial | ModbusTcpServer] = {}
        self.modbus: dict[tuple[str, int], VirtualModbusMeter] = {}
        self.meters: dict[str, VirtualMeter] = {}
        for number, link in enumerate(plan.links):
            modbus = [self._modbus_meter(meter) for meter in link.modbus]
            self.modbus |= {(link.code, meter.unit): meter for meter in modbus}
            bus = VirtualBus(self._meters_of(link), modbus=modbus, echo=link.echo, seed=plan.seed + number)
            self.meters |= {meter.address: meter for meter in bus.meters}
            self.servers[link.code] = _server(link, bus)

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
        """What is there, as JSON: the network, links with their URLs, and the meters on them."""
        return {
            "seed": self.plan.seed,
            "utc_offset_minutes": self.plan.utc_offset_minutes,
            "installed": self.plan.installed.isoformat(),
            "record_days": self.plan.record_days,
            "areas": [asdict(area) for area in self.plan.areas],
            "links": [
                {
                    "code": link.code,
                    "name": link.name or link.code,
                    "transport": link.transport,
                    "url": self.url(link.code),
                    "meters": [self._as_json(meter) for meter in link.meters],
                    "modbus": [asdict(meter) for meter in link.modbus],
                }
                for link in self.plan.links
            ],
        }

    def _as_json(self, plan: MeterPlan) -> dict[str, Any]:
        meter = self.meters[plan.address]
        return {
            "address": plan.address,
            "point": plan.point,
            "customer": plan.customer,
            "area": plan.area,
            "kind": plan.kind,
            "phases": plan.wires,
            "ct_ratio": plan.ct_ratio,
            "first_register": meter.spec.first_register,
            "register_modulus": plan.register_modulus,
            "clock_offset": plan.clock_offset,
            "silent_since": None if meter.silent_since is None else meter.silent_since.isoformat(),
            "faults": dict(plan.faults),
            "exchange": self._exchange_as_json(plan),
        }

    def _exchange_as_json(self, plan: MeterPlan) -> dict[str, Any] | None:
        """When (UTC), what the old meter showed at the last, and which meter took its place."""
        if plan.exchange is None:
            return None
        old = self.meters[plan.address]
        assert old.present_until is not None
        return {
            "at": old.present_until.isoformat(),
            "last_register": f"{old.register(old.present_until) / 100:.2f}",
            "address": plan.exchange.address,
            "first_register": plan.exchange.first_register,
        }

    def _meters_of(self, link: LinkPlan) -> list[VirtualMeter]:
        return [meter for plan in link.meters for meter in self._life_of(plan)]

    def _modbus_meter(self, plan: ModbusPlan) -> VirtualModbusMeter:
        shipped = shipped_maps().get(plan.map)
        try:
            register_map = shipped or load_map(Path(plan.map))
        except MapError as error:
            raise WorldError(
                f"The map {plan.map!r} of Modbus meter {plan.unit} cannot be used: {error}"
            ) from None
        spec = MeterSpec(
            address=f"{plan.unit:012d}",
            kind=plan.kind,
            phases=plan.phases,
            installed=datetime.combine(self.plan.installed, datetime.min.time()),
            utc_offset=self._utc_offset,
            seed=plan.unit,
        )
        load = ShapedLoad(plan.kind, seed=plan.unit + self.plan.seed, scale=plan.scale)
        return VirtualModbusMeter(plan.unit, register_map, VirtualMeter(spec, load, self._clock))

    def _life_of(self, plan: MeterPlan) -> list[VirtualMeter]:
        """The meter, and the one that takes its place where the plan says so."""
        load = self._loads.get(plan.address) or ShapedLoad(
            plan.kind,
            seed=plan.chance + self.plan.seed,
            scale=plan.scale / plan.ct_ratio,
            solar_kw=plan.solar_kw,
        )
        spec = self._spec_of(plan)
        if plan.rolls_over is not None:
            spec = replace(spec, first_register=self._register_before(plan.rolls_over, spec, load))
        meter = VirtualMeter(
            spec, load, self._clock, Faults(**plan.faults), silent_since=self._instant(plan.silent_since)
        )
        if plan.exchange is None:
            return [meter]
        meter.present_until = self._instant(plan.exchange.at)
        successor = replace(
            self._spec_of(plan),
            address=plan.exchange.address,
            installed=plan.exchange.at,
            first_register=plan.exchange.first_register,
            clock_offset=0.0,
            seed=spec.seed + 1,
        )
        return [meter, VirtualMeter(successor, load, self._clock, present_from=meter.present_until)]

    def _spec_of(self, plan: MeterPlan) -> MeterSpec:
        return MeterSpec(
            address=plan.address,
            kind=plan.kind,
            phases=plan.wires,
            installed=datetime.combine(self.plan.installed, datetime.min.time()),
            first_register=plan.first_register,
            register_modulus=plan.register_modulus,
            record_days=self.plan.record_days,
            clock_offset=plan.clock_offset,
            utc_offset=self._utc_offset,
            ct_ratio=plan.ct_ratio,
            supply_voltage=plan.supply_voltage,
            seed=plan.chance,
            edition=plan.edition,
            esam=plan.esam,
        )

    def _register_before(self, rolls_over: datetime, spec: MeterSpec, load: Load) -> int:
        """The first register [kWh] that lets the register turn over at a moment, or within the kWh after it."""
        counting = replace(spec, first_register=0, register_modulus=_NEVER_TURNS)
        at = self._instant(rolls_over)
        assert at is not None
        counted = VirtualMeter(counting, load, self._clock).register(at)
        return (spec.register_modulus * 100 - counted) // 100 % spec.register_modulus

    @property
    def _utc_offset(self) -> timedelta:
        return timedelta(minutes=self.plan.utc_offset_minutes)

    def _instant(self, civil: datetime | None) -> datetime | None:
        """A civil time of this world as an instant (UTC)."""
        return None if civil is None else (civil - self._utc_offset).replace(tzinfo=UTC)


def _server(link: LinkPlan, bus: VirtualBus) -> TcpGateway | PtySerial | ModbusTcpServer:
    """Where a link is reached."""
    match link.transport:
        case "modbus-tcp":
            return ModbusTcpServer(bus.modbus, port=link.port)
        case "pty":
            return PtySerial(bus, baud=link.baud)
        case _:
            return TcpGateway(bus, port=link.port, baud=link.baud)
