"""Series as an answer carries them: at most 10,000 values, reduced honestly, and it says how."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.choosing import Membership, energy_members, sample_members, zone_of
from wattkeeper.readings.grids import (
    Grid,
    Instants,
    Resolution,
    covered_until,
    same_period_before,
    same_period_last_year,
)
from wattkeeper.readings.quantities import Quantity
from wattkeeper.readings.quantities import quantity as catalogue_entry
from wattkeeper.readings.series import ENERGY_BINS_SCHEMA, SAMPLE_BINS_SCHEMA, only_shared
from wattkeeper.registry.chosen import Chosen, Wanted, choose
from wattkeeper.web.problems import BadRequest
from wattkeeper.web.queries.curves import POINTS_MAX
from wattkeeper.web.services import Services

Compare = Literal["previous", "year-before"]
Why = Literal["limit", "intervals"]
_HOUR_US: Final = 3_600_000_000
_FOUR: Final = Decimal("0.0001")
_SHIFTS: Final = {"previous": same_period_before, "year-before": same_period_last_year}


@dataclass(frozen=True)
class SeriesAsked:
    """What somebody wants to see."""

    wanted: Wanted
    quantity: str
    period: TimeRange
    zone: ZoneInfo
    resolution: Resolution | None = None
    """None: the finest that fits."""
    together: bool = False
    compare: Compare | None = None
    as_known_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OneSeries:
    """One series: columns with an entry per slot."""

    kind: str
    id: int | None
    code: str
    name: str
    columns: dict[str, list[object]]
    total: Decimal | None


@dataclass(frozen=True, slots=True)
class Laid:
    """All series over one period."""

    period: TimeRange
    starts: list[datetime]
    series: tuple[OneSeries, ...]


@dataclass(frozen=True)
class SeriesAnswer:
    """What is shown, and how it was reduced to that."""

    quantity: Quantity
    zone: ZoneInfo
    resolution: Resolution
    asked: Resolution | None
    why: Why | None
    shown: Laid
    before: Laid | None


def zone_for(services: Services, wanted: Wanted, asked: ZoneInfo | None, default: ZoneInfo) -> ZoneInfo:
    """The zone that the days of a series are counted in."""
    if asked is not None:
        return asked
    with services.database.read() as session:
        return zone_of(choose(session, services.scope, wanted), None, default=default)


def series(services: Services, asked: SeriesAsked) -> SeriesAnswer:
    """The series, at the resolution that was asked for or the next coarser one that fits."""
    entry = series_quantity(asked.quantity)
    with services.database.read() as session:
        chosen = choose(session, services.scope, asked.wanted)
    periods = [asked.period]
    if asked.compare is not None:
        periods.append(_SHIFTS[asked.compare](asked.period, asked.zone))
    count = len(periods) * (1 if asked.together else len(chosen))
    resolution = _fitting(asked, periods, count)
    why: Why | None = "limit" if asked.resolution not in {None, resolution} else None
    while True:
        laid = [
            _laid(services, replace(asked, period=period), chosen, entry, resolution) for period in periods
        ]
        if not (entry.is_energy and all(only_shared(each.table) for each in laid)):
            break
        resolution, why = (
            resolution.coarser[0],
            "intervals",
        )  # of points that measure by the hour, hours are shown
    return SeriesAnswer(
        quantity=entry,
        zone=asked.zone,
        resolution=resolution,
        asked=asked.resolution,
        why=why,
        shown=laid[0].as_answer(chosen, together=asked.together),
        before=laid[1].as_answer(chosen, together=asked.together) if len(laid) > 1 else None,
    )


def series_quantity(key: str) -> Quantity:
    """The catalogue entry of a quantity that has a course over time."""
    entry = catalogue_entry(key)
    if entry.kind == "moment":
        raise BadRequest(
            f"{entry.name_en} is a moment: it has no course over time.", hint="Ask for another quantity."
        )
    return entry


def members_of(services: Services, asked: SeriesAsked, chosen: Sequence[Chosen]) -> Membership:
    """Who makes up the series."""
    build = energy_members if catalogue_entry(asked.quantity).is_energy else sample_members
    with services.database.read() as session:
        return build(services.registry(session), chosen, asked.period, together=asked.together)


def _fitting(asked: SeriesAsked, periods: Sequence[TimeRange], count: int) -> Resolution:
    """The finest resolution, from the one asked for, at which all series together have few enough values."""
    finest = asked.resolution or Resolution.QUARTER
    for resolution in (finest, *finest.coarser):
        slots = max(len(Grid(period, resolution, asked.zone).edges) - 1 for period in periods)
        if slots * count <= POINTS_MAX:
            return resolution
    raise BadRequest(
        f"That would be {slots * count:,} values even by the year, and an answer carries at most {POINTS_MAX:,}.",
        hint="Name fewer things, ask for them together, or take the file (/series/file).",
    )


@dataclass(frozen=True)
class _Table:
    """What the store answered for one period."""

    grid: Grid
    entry: Quantity
    table: pa.Table
    membership: Membership

    def as_answer(self, chosen: Sequence[Chosen], *, together: bool) -> Laid:
        """Each series with the name of what it is of."""
        names = (
            [("together", None, "", "")]
            if together
            else [(one.kind, one.id, one.code, one.name) for one in chosen]
        )
        return Laid(
            self.grid.period,
            self.grid.bins()["start_at"].to_pylist(),
            tuple(OneSeries(*name, *self._columns(number)) for number, name in enumerate(names)),
        )

    def _columns(self, number: int) -> tuple[dict[str, list[object]], Decimal | None]:
        """The columns of one series; one that has no member has no value either."""
        part = self.table.filter(pc.equal(self.table["series"], number))
        build = _energy_columns if self.entry.is_energy else _sample_columns
        edges = self.grid.edges
        return build(
            part if part.num_rows else _empty(part.schema, len(edges) - 1),
            edges,
            self.membership.installed.get(number, []),
        )


def _empty(schema: pa.Schema, slots: int) -> pa.Table:
    """As many slots without a value: counts are 0, the rest null."""
    columns = [
        pa.array([0] * slots, field.type) if pa.types.is_integer(field.type) else pa.nulls(slots, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _laid(
    services: Services, asked: SeriesAsked, chosen: Sequence[Chosen], entry: Quantity, resolution: Resolution
) -> _Table:
    grid = Grid(asked.period, resolution, asked.zone)
    membership = members_of(services, asked, chosen)
    ask = services.store.energy_series if entry.is_energy else services.store.sample_series
    table = ask(membership.members, asked.quantity, grid, as_known_at=asked.as_known_at)
    return _Table(grid, entry, table, membership)


def _energy_columns(
    part: pa.Table, edges: Instants, installed: list[tuple[int, int]]
) -> tuple[dict[str, list[object]], Decimal | None]:
    known_us = np.asarray(part["known_us"].to_numpy(), np.int64)
    expected = np.diff(covered_until(edges, installed))
    coverage = np.where(
        expected > 0, np.minimum(known_us / np.maximum(expected, 1), 1.0), (known_us > 0).astype(float)
    )
    energies = part["energy"].to_pylist()
    there = [value for value in energies if value is not None]
    return {
        "energy": energies,
        "mean": _mean_power(energies, np.minimum(known_us, np.diff(edges))),
        "lowest": part["lowest"].to_pylist(),
        "highest": part["highest"].to_pylist(),
        "status": _grounds(part, coverage),
        "coverage": np.round(coverage, 4).tolist(),
    }, sum(there, Decimal(0)) if there else None


def _mean_power(energies: list[Decimal | None], known_us: Instants) -> list[object]:
    """Energy per hour: of one point over the time that is known, of several over the slot, with nothing made up."""
    return [
        None if energy is None else (energy * _HOUR_US / length).quantize(_FOUR)
        for energy, length in zip(energies, known_us.tolist(), strict=True)
    ]


def _grounds(part: pa.Table, coverage: npt.NDArray[np.float64]) -> list[object]:
    """The weakest ground each slot stands on."""
    counts = {
        name: np.asarray(part[name].to_numpy(), np.int64)
        for name in ("intervals", "shared", "edited", "estimated")
    }
    state = np.full(part.num_rows, "missing", dtype=object)
    state[counts["intervals"] > 0] = "measured"
    state[(counts["intervals"] > 0) & (coverage < 1)] = "partial"
    for ground in ("shared", "edited", "estimated"):
        state[counts[ground] > 0] = ground
    return list(state)


def _sample_columns(
    part: pa.Table, edges: Instants, installed: list[tuple[int, int]]
) -> tuple[dict[str, list[object]], Decimal | None]:
    del edges, installed
    names = ("mean", "lowest", "highest", "first", "last", "readings", "doubtful")
    return {name: part[name].to_pylist() for name in names}, None


FILE_COLUMNS: Final = [
    ("kind", pa.string()), ("code", pa.string()), ("name", pa.string()), ("quantity", pa.string()), ("unit", pa.string()),
]  # fmt: skip
"""What stands before the values in a file: of what they are."""


def series_file(services: Services, asked: SeriesAsked) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Every slot of every series, read on while the file is written."""
    entry = series_quantity(asked.quantity)
    if asked.compare is not None:
        raise BadRequest("A file has one period.", hint="Ask for the other one by itself.")
    with services.database.read() as session:
        chosen = choose(session, services.scope, asked.wanted)
    membership = members_of(services, asked, chosen)
    values = ENERGY_BINS_SCHEMA if entry.is_energy else SAMPLE_BINS_SCHEMA
    names = [("together", "", "")] if asked.together else [(one.kind, one.code, one.name) for one in chosen]
    head = [pa.array(part, pa.string()) for part in zip(*names, strict=True)]
    schema = pa.schema([*FILE_COLUMNS, *(field for field in values if field.name != "series")])

    def batches() -> Iterator[pa.RecordBatch]:
        ask = services.store.energy_batches if entry.is_energy else services.store.sample_batches
        grid = Grid(asked.period, asked.resolution or Resolution.QUARTER, asked.zone)
        with ask(membership.members, asked.quantity, grid, as_known_at=asked.as_known_at) as found:
            for batch in found:
                told = [column.take(batch["series"]) for column in head]
                told += [
                    pa.repeat(pa.scalar(text, pa.string()), batch.num_rows)
                    for text in (entry.key, entry.unit)
                ]
                yield pa.record_batch([*told, *(batch[name] for name in values.names[1:])], schema=schema)

    return schema, batches()
