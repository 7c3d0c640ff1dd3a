"""What the API's answers about areas, heat maps and events look like, and what it takes to change master data."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from wattkeeper.registry.models import AreaKind
from wattkeeper.registry.sides import Shows
from wattkeeper.web.api.schemas import DecimalText, InstantText, Shape

MeterProtocol = Annotated[
    Literal["dlt645-2007", "dlt645-1997", "dlt645", "modbus-rtu", "modbus-tcp"],
    Field(description="`dlt645`: the meter is asked which of the two editions it speaks."),
]


class HeatMapAnswer(Shape):
    """A point's load: one row per civil day, 96 cells in each; null where nothing is known."""

    zone: str = Field(examples=["Asia/Shanghai"])
    days: list[date]
    slots: list[str] = Field(
        description="When each cell begins, in civil time.", examples=[["00:00", "00:15"]]
    )
    power_kw: list[list[DecimalText | None]] = Field(description="Mean power [kW].")
    energy_kwh: list[list[DecimalText | None]] = Field(
        description="Energy [kWh]; of both quarters where the clocks go back and a quarter comes twice."
    )
    status: list[list[str]] = Field(
        description="measured, estimated, edited, missing, ahead (not over yet) or skipped (the clocks went forward)."
    )
    most_kw: DecimalText | None = Field(description="The highest mean power [kW].")


class EventItem(Shape):
    """Something that happened to a meter or its point."""

    at: InstantText
    until: InstantText | None = Field(
        description="Until when it lasted; null of what has no length or lasts on."
    )
    kind: str = Field(
        description="installed, exchanged, removed, ratio_changed, rollover, register_fell, clock_off, alarm, "
        "read_asked, created or changed.",
        examples=["exchanged"],
    )
    level: str = Field(description="ok, idle, warn or bad.")
    title: str
    text: str


class AreaFigures(Shape):
    """What hangs at and below an area, and what it used."""

    points: int = Field(description="Metering points.")
    meters: int = Field(description="Enabled meters that hang there.")
    silent: int = Field(description="Meters that do not answer.")
    yesterday_kwh: DecimalText | None
    month_kwh: DecimalText | None = Field(description="Of this month, up to now.")


class AreaItem(AreaFigures):
    """An area with what hangs below it; null as id is what belongs to no area."""

    id: int | None
    code: str
    name: str
    kind: str = Field(description="site, feeder, area, box or none.")
    children: list["AreaItem"]


class AreaDetail(AreaFigures):
    """One area."""

    id: int
    site_id: int
    parent_id: int | None
    code: str
    name: str
    kind: str
    path: list[str] = Field(description="The names from the site down to the area.")
    zone: str
    expected_yesterday: int = Field(description="Intervals that should be there of yesterday.")
    known_yesterday: int = Field(description="Those that are.")


class Wanted(BaseModel):
    """What a request asks for; a field it does not know is refused."""

    model_config = ConfigDict(extra="forbid")


class AreaWanted(Wanted):
    """A new area."""

    site_id: int = Field(ge=1, le=2**53)
    code: str = Field(min_length=1, max_length=64)
    name: str = Field(min_length=1, max_length=200)
    kind: AreaKind = AreaKind.AREA
    parent_id: int | None = Field(default=None, ge=1, le=2**53)


class AreaChange(Wanted):
    """What becomes different of an area; what is left out stays. `parent_id` null puts it under the site itself."""

    code: str = Field(default="", max_length=64)
    name: str = Field(default="", max_length=200)
    kind: AreaKind = AreaKind.AREA
    parent_id: int | None = Field(default=None, ge=1, le=2**53)


class PointsMoved(Wanted):
    """Points that belong to an area from now on."""

    point_ids: list[Annotated[int, Field(ge=1, le=2**53)]] = Field(min_length=1, max_length=1000)


class MovedAnswer(Shape):
    """How many points moved; the others were there already."""

    moved: int


class LinkWanted(Wanted):
    """A new link."""

    code: str = Field(min_length=1, max_length=64, examples=["north"])
    name: str = Field(min_length=1, max_length=200)
    url: str = Field(min_length=1, max_length=500, examples=["tcp://192.168.1.50:8899"])
    enabled: bool = True


class LinkChange(Wanted):
    """What becomes different of a link; what is left out stays."""

    code: str = Field(default="", max_length=64)
    name: str = Field(default="", max_length=200)
    url: str = Field(default="", max_length=500)
    enabled: bool = True


class LinkAnswer(Shape):
    """A link as it is kept."""

    id: int
    code: str
    name: str
    url: str
    enabled: bool


class MeterThere(Wanted):
    """A meter on a link; `link` is the link's code."""

    address: str = Field(min_length=1, max_length=64, examples=["000000000161"])
    link: str = Field(min_length=1, max_length=64, examples=["north"])
    protocol: MeterProtocol = "dlt645-2007"
    model: str = Field(
        default="", max_length=100, description="Of a Modbus meter: the name of its register map."
    )
    register_digits: int = Field(default=6, ge=1, le=12)
    register_decimals: int = Field(default=2, ge=0, le=4)
    shows: Shows | None = Field(
        default=None, description="Null: as its model does where that is known, else `secondary`."
    )
    max_current_a: Decimal | None = Field(default=None, gt=0, lt=100_000, decimal_places=3)


class MeterWanted(MeterThere):
    """A new meter on a link; `link` is the link's code."""

    enabled: bool = True


class MeterExchange(Wanted):
    """Another meter at a metering point, or its first one."""

    at: AwareDatetime = Field(
        ge=datetime(1970, 1, 1, tzinfo=UTC),
        description="From here on the new meter counts; not in the future.",
        examples=["2026-11-20T10:00:00+08:00"],
    )
    meter: MeterThere = Field(
        description="The new meter. One that is on record and hangs nowhere is taken; what is given must agree."
    )
    last_register: Decimal | None = Field(
        default=None,
        ge=0,
        lt=10**12,
        decimal_places=4,
        description="The old meter's display then [kWh]; null when it could not be read, or there was none.",
    )
    first_register: Decimal = Field(
        ge=0, lt=10**12, decimal_places=4, description="The new meter's display then [kWh]."
    )
    ct_ratio: Decimal | None = Field(
        default=None,
        gt=0,
        le=500_000,
        decimal_places=4,
        description="Primary over secondary, 40 for 200/5 A; null: as before, or 1.",
    )
    pt_ratio: Decimal | None = Field(
        default=None, gt=0, le=500_000, decimal_places=4, description="As `ct_ratio`, of voltages."
    )


class MeterChange(Wanted):
    """What becomes different of a meter; what is left out stays."""

    address: str = Field(default="", max_length=64)
    link: str = Field(default="", max_length=64)
    protocol: MeterProtocol = "dlt645-2007"
    model: str = Field(default="", max_length=100)
    register_digits: int = Field(default=6, ge=1, le=12)
    register_decimals: int = Field(default=2, ge=0, le=4)
    shows: Shows = Shows.SECONDARY
    max_current_a: Decimal | None = Field(default=None, gt=0, lt=100_000, decimal_places=3)
    enabled: bool = True
