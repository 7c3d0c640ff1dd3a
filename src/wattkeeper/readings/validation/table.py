"""Readings as sorted columns with all that the rules ask about each: its installation, its day, its neighbours."""

import functools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.readings.registers import UNIT, Flags, Integers
from wattkeeper.readings.schemas import SOURCES
from wattkeeper.readings.validation.facts import FactColumns, Floats, MeterFacts
from wattkeeper.readings.validation.parameters import Parameters

NONE = -1
"""No such row."""
HOUR_US = 3_600_000_000


class Readings:
    """The current readings of installed meters in order of meter, quantity and time; values in units of 0.0001.

    Rows are spoken of by their position. A *series* is one quantity of one meter, a *run* its part within one
    installation, a *cell* the part of a run within one civil day.
    """

    def __init__(
        self,
        readings: pa.Table,
        facts: FactColumns,
        parameters: Parameters,
        days: Sequence[tuple[int, int, int]] | None,
    ) -> None:
        self.facts, self.parameters = facts, parameters
        self.keys, columns = _columns(readings)
        fact = facts.of_readings(columns["meter"], columns["at"])
        columns["fact"] = fact
        keep = np.flatnonzero(fact >= 0)
        if len(keep) < len(fact):
            columns = {name: column[keep] for name, column in columns.items()}
        columns = _sorted(columns)
        again = _same_as_next(columns)
        self.lesser = {name: column[again] for name, column in columns.items()}
        current = columns if not again.any() else {name: column[~again] for name, column in columns.items()}
        self.meter, self.code, self.at = current["meter"], current["code"], current["at"]
        self.value, self.status, self.source = current["value"], current["status"], current["source"]
        self.exchange, self.recorded, self.fact = current["exchange"], current["recorded"], current["fact"]
        self.day_start, self.day_end = facts.days(self.fact, self.at)
        self.judged = _within(self.meter, self.day_start, days)

    def __len__(self) -> int:
        return len(self.at)

    # -- parts ------------------------------------------------------------------------------------------------------

    @functools.cached_property
    def series(self) -> Integers:
        """The number of the series of each row, from 0 on."""
        return np.cumsum(_changed(self.meter, self.code)) - 1

    @functools.cached_property
    def first(self) -> Flags:
        """Whether a row is the first of its run."""
        return _changed(self.meter, self.code, self.fact)

    @functools.cached_property
    def run(self) -> Integers:
        """The number of the run of each row."""
        return np.cumsum(self.first) - 1

    @functools.cached_property
    def cell(self) -> Integers:
        """The number of the cell of each row."""
        return np.cumsum(self.first | (np.diff(self.day_start, prepend=-1) != 0)) - 1

    @functools.cached_property
    def heads(self) -> Integers:
        """The first row of each cell."""
        return np.flatnonzero(np.diff(self.cell, prepend=-1) != 0)

    # -- what is asked ----------------------------------------------------------------------------------------------

    def rows_of(self, *keys: str) -> Integers:
        """The rows of some quantities, in order."""
        order, ends = self._by_code
        parts = [order[ends[code] : ends[code + 1]] for code, key in enumerate(self.keys) if key in keys]
        if len(parts) == 1:
            return parts[0]
        return np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.int64)

    def number(self, rule: str, key: str, rows: Integers) -> Floats:
        """A parameter of a rule for each of some rows."""
        return self.parameters.on_days(rule, key, self.facts.kind, self.fact[rows], self.day_start[rows])

    def place_of(self, meter: Integers, code: Integers, at: Integers) -> Integers:
        """Where the current rows of some meters, quantities and instants stand that have one."""
        meters = self.meter[self._starts]
        number = self._meter_number[self._starts[np.searchsorted(meters, meter)]]
        return np.searchsorted(self._place, self._key(self._matrix[number, code], at), "left")

    def same_instant(self, rows: Integers, key: str) -> Integers:
        """For each of some rows the row of another quantity of its meter stamped at the same instant, or NONE."""
        found = self.at_or_before(rows, key)
        return np.where((found != NONE) & (self.at[found] == self.at[rows]), found, NONE)

    def near(self, rows: Integers, key: str, within_us: int) -> Integers:
        """The row of another quantity of its meter nearest in time, at most so far away, or NONE."""
        before = self.at_or_before(rows, key)
        after = self._following(rows, key, before)
        since = np.where(before == NONE, within_us + 1, self.at[rows] - self.at[before])
        until = np.where(after == NONE, within_us + 1, self.at[after] - self.at[rows])
        nearest = np.where(since <= until, before, after)
        return np.where(np.minimum(since, until) <= within_us, nearest, NONE)

    def at_or_after(self, rows: Integers, key: str) -> Integers:
        """The first row of another quantity of its meter at the same instant or later, or NONE."""
        before = self.at_or_before(rows, key)
        exact = (before != NONE) & (self.at[before] == self.at[rows])
        return np.where(exact, before, self._following(rows, key, before))

    def at_or_before(self, rows: Integers, key: str) -> Integers:
        """The last row of another quantity of its meter at the same instant or earlier, or NONE."""
        if key not in self.keys:
            return np.full(len(rows), NONE, np.int64)
        other = self._series_of(rows, key)
        place = np.searchsorted(self._place, self._key(other, self.at[rows]), "right") - 1
        place = np.maximum(place, 0)
        fits = (other != NONE) & (self.series[place] == other) & (self.at[place] <= self.at[rows])
        return np.where(fits, place, NONE)

    def _following(self, rows: Integers, key: str, before: Integers) -> Integers:
        if key not in self.keys:
            return np.full(len(rows), NONE, np.int64)
        other = self._series_of(rows, key)
        start = self._starts[np.maximum(other, 0)]
        following = np.where(before == NONE, start, before + 1)
        following = np.minimum(following, len(self) - 1)
        fits = (other != NONE) & (self.series[following] == other) & (self.at[following] >= self.at[rows])
        return np.where(fits, following, NONE)

    def _series_of(self, rows: Integers, key: str) -> Integers:
        series: Integers = self._matrix[self._meter_number[rows], self.keys.index(key)]
        return series

    @functools.cached_property
    def _by_code(self) -> tuple[Integers, Integers]:
        """The rows in order of quantity, and where each quantity begins among them."""
        order = np.argsort(self.code.astype(np.int16), kind="stable")  # few codes: sorted by radix
        return order, np.searchsorted(self.code[order], np.arange(len(self.keys) + 1))

    @functools.cached_property
    def _starts(self) -> Integers:
        return np.flatnonzero(np.diff(self.series, prepend=-1) != 0)

    @functools.cached_property
    def _meter_number(self) -> Integers:
        return np.cumsum(_changed(self.meter)) - 1

    @functools.cached_property
    def _matrix(self) -> Integers:
        """The series of each meter and quantity, or NONE."""
        matrix = np.full((int(self._meter_number[-1]) + 1, len(self.keys)), NONE, np.int64)
        matrix[self._meter_number[self._starts], self.code[self._starts]] = np.arange(len(self._starts))
        return matrix

    @functools.cached_property
    def _place(self) -> Integers:
        return self._key(self.series, self.at)

    def _key(self, series: Integers, at: Integers) -> Integers:
        """Series and time in one number that sorts as both do; a span of microseconds would be too wide for many."""
        first, last = int(self.at.min()) // 1000, int(self.at.max()) // 1000
        return series * (last - first + 2) + at // 1000 - first

    # -- numbers ----------------------------------------------------------------------------------------------------

    def fact_of(self, row: int) -> MeterFacts:
        """What is known of the meter of one row."""
        return self.facts.rows[int(self.fact[row])]

    def key_of(self, row: int) -> str:
        """The quantity of one row."""
        return self.keys[int(self.code[row])]

    @functools.cached_property
    def primary(self) -> Floats:
        """Values with the ratio applied, in the quantity's unit."""
        return self.value / UNIT * self.facts.ratio[self.fact]


def _columns(readings: pa.Table) -> tuple[list[str], dict[str, Integers]]:
    """The quantities in alphabetical order, and the columns with their places in it as ``code``."""
    rows = readings.num_rows
    quantity = readings["quantity"].combine_chunks().dictionary_encode()
    keys = quantity.dictionary.to_pylist()
    order = np.argsort(np.array(keys, np.str_))
    rank = np.empty(len(keys), np.int64)
    rank[order] = np.arange(len(keys))
    return [keys[place] for place in order], {
        "meter": _integers(readings["meter_id"]),
        "code": rank[quantity.indices.to_numpy(zero_copy_only=False)],
        "at": _integers(readings["read_at"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())),
        "value": units(readings["value"]),
        "status": _optional(readings, "status", 0),
        "source": _sources(readings) if "source" in readings.column_names else np.zeros(rows, np.int64),
        "exchange": _optional(readings, "exchange_id", NONE),
        "recorded": _optional(readings, "recorded_at", NONE),
    }


def _optional(readings: pa.Table, name: str, missing: int) -> Integers:
    if name not in readings.column_names:
        return np.full(readings.num_rows, missing, np.int64)
    return _integers(readings[name].cast(pa.int64()).fill_null(missing))


def _sources(readings: pa.Table) -> Integers:
    return _integers(pc.index_in(readings["source"], pa.array(SOURCES)).cast(pa.int64()).fill_null(0))


def _integers(column: pa.ChunkedArray) -> Integers:
    return np.asarray(column.to_numpy(), np.int64)


def units(column: pa.ChunkedArray) -> Integers:
    """DECIMAL(18,4) as whole units of 0.0001, without a Python object for each."""
    values = column.cast(pa.decimal128(18, 4)).combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    words = np.frombuffer(values.buffers()[1] or b"", "<i8")
    return words[2 * values.offset : 2 * (values.offset + len(values)) : 2].astype(np.int64)


def _sorted(columns: dict[str, Integers]) -> dict[str, Integers]:
    """In order of meter, quantity and time; rows of one key keep their order."""
    meter, code, at = columns["meter"], columns["code"], columns["at"]
    if len(at) < 2:  # noqa: PLR2004  one row is in order
        return columns
    same_series = (meter[1:] == meter[:-1]) & (code[1:] == code[:-1])
    grouped = (meter[1:] > meter[:-1]) | ((meter[1:] == meter[:-1]) & (code[1:] > code[:-1]))
    if bool((grouped | (same_series & (at[1:] >= at[:-1]))).all()):
        return columns
    order = np.lexsort((at, code, meter))
    return {name: column[order] for name, column in columns.items()}


def _same_as_next(columns: dict[str, Integers]) -> Flags:
    again = np.zeros(len(columns["at"]), np.bool_)
    again[:-1] = ~_changed(columns["meter"], columns["code"], columns["at"])[1:]
    return again


def _changed(*columns: Integers) -> Flags:
    """Whether a row differs from the one before it in any of these; the first row does."""
    changed = np.zeros(len(columns[0]), np.bool_)
    changed[:1] = True
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return changed


def _within(meter: Integers, day_start: Integers, days: Sequence[tuple[int, int, int]] | None) -> Flags:
    """Whether the day of a row is to be judged: ``days`` has (meter, first instant, end) that do not overlap."""
    if days is None:
        return np.ones(len(meter), np.bool_)
    if not days:
        return np.zeros(len(meter), np.bool_)
    wanted = np.array(sorted(days), np.int64).reshape(-1, 3)
    numbers, number = np.unique(wanted[:, 0], return_inverse=True)
    own = np.minimum(np.searchsorted(numbers, meter), len(numbers) - 1)
    # Days begin at whole seconds; microseconds times meters would be too large a number.
    origin = min(int(wanted[:, 1].min()), int(day_start.min(initial=wanted[0, 1]))) // 1_000_000
    width = max(int(wanted[:, 2].max()), int(day_start.max(initial=0))) // 1_000_000 - origin + 2
    place = np.searchsorted(
        number * width + wanted[:, 1] // 1_000_000 - origin,
        own * width + day_start // 1_000_000 - origin,
        "right",
    )
    place = np.maximum(place - 1, 0)
    inside: Flags = (
        (wanted[place, 0] == meter) & (wanted[place, 1] <= day_start) & (day_start < wanted[place, 2])
    )
    return inside


ENERGY_KEYS = frozenset(key for key, entry in QUANTITIES.items() if entry.is_energy)
COUNTS_BOTH_WAYS = frozenset(key for key in ENERGY_KEYS if QUANTITIES[key].counts_both_ways)
