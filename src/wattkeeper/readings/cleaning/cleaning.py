"""Cleaning as a whole: lay the values of a file on a grid, validate, estimate, and keep account of it."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wattkeeper.kernel.timerange import TimeRange, slot_starts
from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.bridges import LONGEST
from wattkeeper.readings.cleaning.kinds import Kind, Stamp
from wattkeeper.readings.cleaning.reading import read_file, unit_kind
from wattkeeper.readings.cleaning.values import CLEAN_SCHEMA, Choices, Cleaned, CleaningError, Facts, Raw
from wattkeeper.readings.estimation.open_gaps import METHODS, Filled, fill, gaps_of
from wattkeeper.readings.estimation.values import Flags, Floats, Integers
from wattkeeper.readings.estimation.windows import Clock
from wattkeeper.readings.intervals import decimals, derive_intervals
from wattkeeper.readings.registers import UNIT
from wattkeeper.readings.schemas import INSTANT, READING_SCHEMA
from wattkeeper.readings.validation.checking import FINDING_SCHEMA, Context, MeterFacts, check
from wattkeeper.registry.values import InstalledMeter

QUANTITY: Final = "active_energy_import"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_US: Final = 60_000_000
_DAY_MINUTES: Final = 1440
_TOLERANCE_US: Final = 30_000_000
_MONOTONOUS: Final = 0.995
"""Registers hardly ever run back; energies and powers do half of the time."""
_MOST_CELLS: Final = 100_000_000
"""Cells of the grid of all series: 0.8 GB."""
_GAPS_TOLD: Final = 5
SUSPECT: Final = frozenset(
    {
        "register_outlier",
        "register_reset",
        "spike_rating",
        "spike_day",
        "spike_history",
        "dip",
        "duplicate_value",
    }
)
"""Rules whose finding doubts the single value, not the day or the meter."""


def clean(
    path: Path, choices: Choices, progress: Callable[[str, int], None] = lambda _what, _done: None
) -> Cleaned:
    """Read, validate and estimate a file; raises ReadingsError where it cannot be."""
    facts = Facts(path.name)
    raw = read_file(path, choices, facts, lambda done: progress("reading", done))
    raw = _once(raw, facts)
    _find_out(raw, choices, facts)
    progress("estimating", 0)
    if facts.kind is Kind.REGISTERS:
        return _registers(raw, choices, facts, progress)
    return _values(raw, choices, facts, progress)


def _once(raw: Raw, facts: Facts) -> Raw:
    """Each time once: the later row counts."""
    same = (np.diff(raw.number) == 0) & (np.diff(raw.at) == 0)
    equal = np.diff(raw.value) == 0
    facts.repeated, facts.contradicted = int((same & equal).sum()), int((same & ~equal).sum())
    keep = np.append(~same, True)
    return replace(raw, number=raw.number[keep], at=raw.at[keep], value=raw.value[keep])


def _find_out(raw: Raw, choices: Choices, facts: Facts) -> None:
    """What the values are and how far apart; what a person said goes first."""
    own = np.diff(raw.number) == 0
    steps = np.diff(raw.at)[own]
    if choices.kind is None:
        rising = np.diff(raw.value)[own] >= 0
        grown = len(rising) > 0 and rising.mean() > _MONOTONOUS and int(np.ptp(raw.value)) > 0
        facts.kind = Kind.REGISTERS if grown else unit_kind(facts.columns) or Kind.ENERGIES
        facts.kind_found = True
    else:
        facts.kind = choices.kind
    if choices.stamp is not None:
        facts.stamp = choices.stamp
    facts.step_minutes = choices.step_minutes or _step(steps)
    facts.step_found = choices.step_minutes is None
    if not 1 <= facts.step_minutes < _DAY_MINUTES or _DAY_MINUTES % facts.step_minutes:
        raise CleaningError(
            f"The values lie {facts.step_minutes} minutes apart, which does not divide a day.",
            hint="Give the step of the result, such as --step 15.",
        )


def _step(steps: Integers) -> int:
    if not len(steps):
        raise CleaningError(
            "No meter in the file has two values.", hint="One value tells nothing of a course."
        )
    lengths, counts = np.unique(steps, return_counts=True)
    minutes = round(int(lengths[counts.argmax()]) / _MINUTE_US)
    return max(minutes, 1)


def _period(raw: Raw, step: timedelta) -> TimeRange:
    first = _EPOCH + timedelta(microseconds=int(raw.at.min()))
    last = _EPOCH + timedelta(microseconds=int(raw.at.max()))
    return TimeRange(first - step, last + 2 * step)


def _values(raw: Raw, choices: Choices, facts: Facts, progress: Callable[[str, int], None]) -> Cleaned:
    """Energies and powers: on a grid, gaps filled from like days, then judged as the register they make up."""
    step_us = facts.step_minutes * _MINUTE_US
    starts = slot_starts(
        _period(raw, timedelta(minutes=facts.step_minutes)),
        timedelta(minutes=facts.step_minutes),
        choices.zone,
    )
    clock = Clock.of(starts.astype(np.int64), step_us, choices.zone)
    if len(raw.names) * len(clock.day) > _MOST_CELLS:
        raise CleaningError(
            f"{len(raw.names):,} meters with {len(clock.day):,} steps each are too many for one run.",
            hint="Split the file by meters.",
        )
    grid = _laid(raw, clock, facts, step_us)
    filled = _filled(grid, clock, choices)
    progress("validating", 0)
    findings = _judged(filled.value, np.isfinite(grid), clock, choices)
    suspect = _suspects(findings, clock, grid.shape)
    suspect &= np.isfinite(grid)
    if choices.replace_suspect and suspect.any():
        filled = _filled(np.where(suspect, np.nan, grid), clock, choices)
        suspect = np.zeros_like(suspect)
    _tell_gaps(facts, gaps_of(np.isfinite(grid)), raw, clock)
    within = _between_ends(np.isfinite(grid))
    number, slot = np.nonzero(within)
    method = filled.method[number, slot]
    status = np.where(method > 1, "estimated", np.where(method == 1, "measured", "missing")).astype(object)
    status[suspect[number, slot]] = "suspect"
    value, error = filled.value[number, slot], filled.error[number, slot]
    table = pa.table(
        [
            pa.array(clock.starts[slot]).cast(INSTANT),
            pa.array(np.array(raw.names, dtype=object)[number], pa.string()),
            decimals(np.rint(np.nan_to_num(value)).astype(np.int64), ~np.isfinite(value)),
            pa.array(status, pa.string()),
            pa.array(np.array(METHODS, dtype=object)[method], pa.string()),
            decimals(np.ceil(np.nan_to_num(error)).astype(np.int64), ~np.isfinite(error)),
        ],
        schema=CLEAN_SCHEMA,
    )
    return _finished(table, findings, raw, facts)


def _filled(grid: Floats, clock: Clock, choices: Choices) -> Filled:
    """All of the file is there at once, so days after a gap count as those before it."""
    return fill(grid, gaps_of(np.isfinite(grid)), clock, choices.zone, only_before=False)


def _laid(raw: Raw, clock: Clock, facts: Facts, step_us: int) -> Floats:
    """The values on the grid; of several powers in one step their mean."""
    at = raw.at - (step_us if facts.stamp is Stamp.END else 0)
    slot = clock.slot_of(at + _TOLERANCE_US)
    beside = np.abs(at - clock.starts[slot]) > _TOLERANCE_US
    facts.off_grid = int(beside.sum())
    keep = ~beside if facts.kind is Kind.ENERGIES else np.ones(len(at), dtype=bool)
    cell = raw.number[keep] * len(clock.day) + slot[keep]
    size = len(raw.names) * len(clock.day)
    total = np.bincount(cell, weights=raw.value[keep].astype(float), minlength=size)
    count = np.bincount(cell, minlength=size)
    grid = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return grid.reshape(len(raw.names), len(clock.day))


def _judged(value: Floats, known: Flags, clock: Clock, choices: Choices) -> pa.Table:
    """The findings about the register that the values make up, stamped where a step ends."""
    counted = np.cumsum(np.nan_to_num(value), axis=1)
    # A load that turns negative would be a register that runs back; its findings would be about nothing.
    number, slot = np.nonzero(known & (np.nanmin(np.nan_to_num(value), axis=1) >= 0)[:, None])
    most = float(np.abs(counted).max(initial=0))
    scale = max(1.0, most / 1e17)
    readings = pa.table(
        {
            "meter_id": pa.array(number),
            "quantity": pa.array([QUANTITY]).take(pa.array(np.zeros(len(number), np.int32))),
            "read_at": pa.array(clock.starts[slot + 1]).cast(INSTANT),
            "value": decimals(np.rint(counted[number, slot] / scale).astype(np.int64)),
        }
    )
    facts = [
        MeterFacts(meter_id=n, zone=choices.zone, interval_minutes=_DAY_MINUTES // clock.per_day)
        for n in range(len(value))
    ]
    return check(readings, Context(facts=facts)) if len(number) else FINDING_SCHEMA.empty_table()


def _suspects(findings: pa.Table, clock: Clock, shape: tuple[int, ...]) -> Flags:
    """The single values that validation doubts, by the instants its evidence names: they end the steps.

    A finding about a day tells how many of its readings are meant, the first and the last: where these are all that lie
    between, it is clear which; where they are not, none is marked and the finding alone tells of it.
    """
    marked = np.zeros(shape, dtype=bool)
    doubted = findings.filter(pc.is_in(findings["code"], pa.array(sorted(SUSPECT))))
    for meter, start, evidence in zip(
        doubted["meter_id"].to_pylist(),
        doubted["start_at"].to_pylist(),
        doubted["evidence"].to_pylist(),
        strict=True,
    ):
        told = json.loads(evidence)
        moments = [
            datetime.fromisoformat(told[key]) if key in told else start for key in ("first_at", "last_at")
        ]
        first, last = clock.slot_of(np.array([microseconds(moment) for moment in moments]) - 1).tolist()
        if last - first + 1 == told.get("count", 1):
            marked[meter, first : last + 1] = True
    return marked


def _registers(raw: Raw, choices: Choices, facts: Facts, progress: Callable[[str, int], None]) -> Cleaned:
    """Registers: derived as everywhere, so that the energies add up to what the meters counted."""
    readings = pa.table(
        [
            pa.array(raw.number),
            pa.array([QUANTITY]).take(pa.array(np.zeros(len(raw.number), np.int32))),
            pa.array(raw.at).cast(INSTANT),
            decimals(raw.value),
            pa.array(np.zeros(len(raw.number), np.int32)),
            pa.array(["meter"]).take(pa.array(np.zeros(len(raw.number), np.int32))),
            pa.nulls(len(raw.number), pa.int64()),
        ],
        schema=READING_SCHEMA,
    )
    installed = _installed(raw, choices, facts)
    period = _period(raw, timedelta(minutes=facts.step_minutes))
    plain = derive_intervals(readings, installed, period)
    derived = derive_intervals(readings, installed, period, history=_history(plain))
    progress("validating", 0)
    meters = [
        MeterFacts(meter_id=n, zone=choices.zone, interval_minutes=facts.step_minutes)
        for n in range(len(raw.names))
    ]
    findings = check(readings, Context(facts=meters))
    step = timedelta(minutes=facts.step_minutes)
    starts = slot_starts(period, step, choices.zone).astype(np.int64)
    clock = Clock.of(starts, facts.step_minutes * _MINUTE_US, choices.zone)
    suspect = _suspects(findings, clock, (len(raw.names), len(clock.day)))
    point = derived["point_id"].to_numpy()
    slot = clock.slot_of(derived["start_at"].cast(pa.int64()).to_numpy())
    known = np.zeros((len(raw.names), len(clock.day)), dtype=bool)
    measured = pc.equal(derived["method"], "measured").to_numpy(zero_copy_only=False)
    known[point[measured], slot[measured]] = True
    _tell_gaps(facts, gaps_of(known), raw, clock)
    method = derived["method"].to_pylist()
    status = [
        "suspect" if doubted else {"measured": "measured", "none": "missing"}.get(how, "estimated")
        for how, doubted in zip(method, suspect[point, slot].tolist(), strict=True)
    ]
    table = pa.table(
        [
            derived["start_at"],
            pa.array(np.array(raw.names, dtype=object)[point], pa.string()),
            derived["energy"],
            pa.array(status, pa.string()),
            derived["method"],
            derived["error"],
        ],
        schema=CLEAN_SCHEMA,
    )
    return _finished(table, findings, raw, facts)


def _installed(raw: Raw, choices: Choices, facts: Facts) -> list[InstalledMeter]:
    """Each meter of the file as if it hung from its first reading on."""
    heads = np.flatnonzero(np.diff(raw.number, prepend=-1))
    digits = max(6, len(str(int(raw.value.max()) // UNIT)))
    return [
        InstalledMeter(
            installation_id=number,
            point_id=number,
            meter_id=number,
            period=TimeRange(_EPOCH + timedelta(microseconds=int(raw.at[head])), None),
            ratio=Decimal(1),
            register_digits=digits,
            register_decimals=4,
            first_register=Decimal(int(raw.value[head])) / UNIT,
            last_register=None,
            interval_minutes=facts.step_minutes,
            zone=choices.zone,
            rated_power_kw=None,
        )
        for number, head in enumerate(heads.tolist())
    ]


def _history(plain: pa.Table) -> Callable[[pa.Table], pa.Table]:
    """What was measured, for `bridges`."""
    measured = plain.filter(pc.equal(plain["method"], "measured"))
    point = measured["point_id"].to_numpy()
    start = measured["start_at"].cast(pa.int64()).to_numpy()
    energy = measured["energy"].cast(pa.float64()).to_numpy() * UNIT

    def fetch(asked: pa.Table) -> pa.Table:
        parts = []
        for row in asked.to_pylist():
            mine = (
                (point == row["point_id"])
                & (start >= row["start_at"])
                & (start + row["step"] <= row["end_at"])
            )
            count = int(mine.sum())
            parts.append((np.full(count, row["number"]), start[mine], energy[mine]))
        columns = (np.concatenate(column) for column in zip(*parts, strict=True))
        return pa.table(list(map(pa.array, columns)), names=["number", "start_at", "energy"])

    return fetch


def _between_ends(known: Flags) -> Flags:
    """From the first to the last value of each series."""
    begun = np.maximum.accumulate(known, axis=1)
    ends = np.maximum.accumulate(known[:, ::-1], axis=1)[:, ::-1]
    within: Flags = begun & ends
    return within


def _tell_gaps(facts: Facts, gaps: Integers, raw: Raw, clock: Clock) -> None:
    facts.gap_count = len(gaps)
    longest = np.argsort(gaps[:, 1] - gaps[:, 2], kind="stable")[:_GAPS_TOLD]
    facts.gaps = [
        (raw.names[number], int(clock.starts[begin]), end - begin)
        for number, begin, end in gaps[longest].tolist()
    ]


def _finished(table: pa.Table, findings: pa.Table, raw: Raw, facts: Facts) -> Cleaned:
    facts.methods = dict(Counter(table["method"].to_pylist()))
    codes = findings.group_by("code").aggregate([("meter_id", "count"), ("meter_id", "count_distinct")])
    facts.findings = {
        row["code"]: (row["meter_id_count"], row["meter_id_count_distinct"]) for row in codes.to_pylist()
    }
    return Cleaned(table, findings, raw.names, facts)


assert timedelta(microseconds=LONGEST) == timedelta(days=35), "the report says five weeks"
