"""The tables of a meter's page as files: its load curve, its registers, where it was installed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Request

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.exports import Column, Export, Table, exported
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, services_of
from wattkeeper.web.queries import meters, values
from wattkeeper.web.queries.curves import Curve, Resolution, load_curve
from wattkeeper.web.queries.meters import InstallationLine
from wattkeeper.web.queries.periods import asked_period
from wattkeeper.web.queries.states import N_
from wattkeeper.web.queries.values import Value

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.METERS_VIEW)])
Id = Annotated[int, Path(ge=1, le=2**53)]
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
GROUNDS: Final = {
    "measured": N_("measured"),
    "estimated": N_("estimated"),
    "edited": N_("edited"),
    "partial": N_("partly known"),
    "missing": N_("missing"),
}


@dataclass(frozen=True, slots=True)
class Bin:
    """One row of a load curve."""

    period: TimeRange
    energy_kwh: Decimal | None
    power_kw: Decimal | None
    ground: str


CURVE: Final[Table[Bin]] = Table(
    "load-curve",
    N_("Load curve"),
    (
        Column(N_("From"), lambda row: row.period.start, "moment"),
        Column(N_("To"), lambda row: row.period.end, "moment"),
        # A clock that is set back shows an hour twice; this column tells the two apart.
        Column(N_("From, in UTC"), lambda row: f"{row.period.start:%Y-%m-%dT%H:%M:%SZ}"),
        Column(N_("Energy"), lambda row: row.energy_kwh, "number", unit="kWh", decimals=4),
        Column(N_("Mean power"), lambda row: row.power_kw, "number", unit="kW", decimals=4),
        Column(N_("Status"), lambda row: row.ground),
    ),
)


@exported(router, "/points/{point_id}/load-curve")
def curve_export(
    request: Request,
    point_id: Id,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    resolution: Resolution = Resolution.QUARTER,
) -> Export[Bin]:
    """The energy of a metering point in a period, today's by default; at most 10,000 rows."""
    services = services_of(request)
    with services.database.read() as session:
        registry = services.registry(session)
        zone = ZoneInfo(registry.get_site(registry.get_point(point_id).site_id).zone)
    period = asked_period(period=None, start=start, end=end, zone=zone, now=services.clock(), default="today")
    curve = load_curve(services.store, point_ids=[point_id], period=period, resolution=resolution, zone=zone)
    say = language_of(request, zone.key)
    return Export(CURVE, bins(curve, say), say)


def bins(curve: Curve, say: Language) -> Iterator[Bin]:
    """A curve as rows."""
    edges = [EPOCH + timedelta(microseconds=edge) for edge in curve.edges.tolist()]
    energies, powers = curve.energy_kwh, curve.power_kw
    for place, ground in enumerate(curve.status):
        yield Bin(
            TimeRange(edges[place], edges[place + 1]),
            _decimal(energies[place]),
            _decimal(powers[place]),
            say.text(GROUNDS[ground]),
        )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


@exported(router, "/meters/{meter_id}/values")
def values_export(request: Request, meter_id: Id) -> Export[Value]:
    """What a meter said last: live values and registers."""
    services = services_of(request)
    found, _ = meters.identity(services, meter_id)
    say = language_of(request, found.zone)
    table = Table("meter-values", N_("Latest values"), _value_columns(say))
    latest = values.latest_of(services.store, meter_id)
    return Export(table, [*values.live_values(latest), *values.register_values(latest)], say)


def _value_columns(say: Language) -> tuple[Column[Value], ...]:
    return (
        Column(N_("Quantity"), lambda row: say.quantity(row.quantity)),
        Column("OBIS", lambda row: row.obis),
        Column(N_("Reading"), lambda row: row.value, "number", decimals=4),
        Column(N_("Unit"), lambda row: row.unit),
        Column(N_("Read at"), lambda row: row.read_at, "moment"),
    )


INSTALLATIONS: Final[Table[InstallationLine]] = Table(
    "installations",
    N_("Installations"),
    (
        Column(N_("Metering point"), lambda line: line.point),
        Column(N_("Meter"), lambda line: line.address),
        Column(N_("From"), lambda line: line.start, "moment"),
        Column(N_("To"), lambda line: line.end, "moment"),
        Column(N_("Ratio"), lambda line: line.ratio, "number"),
        Column(N_("First register"), lambda line: line.first_register, "number", unit="kWh", decimals=2),
        Column(N_("Last register"), lambda line: line.last_register, "number", unit="kWh", decimals=2),
    ),
)


@exported(router, "/meters/{meter_id}/installations")
def installations_export(request: Request, meter_id: Id) -> Export[InstallationLine]:
    """Every installation of a meter, and of the point where it hangs now."""
    found, installed = meters.identity(services_of(request), meter_id)
    return Export(INSTALLATIONS, installed, language_of(request, found.zone))
