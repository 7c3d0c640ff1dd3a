"""Rules about when readings were taken and came, and what the meter said of them."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from wattkeeper.readings.registers import UNIT
from wattkeeper.readings.schemas import SOURCES, ReadingStatus
from wattkeeper.readings.validation.found import Found, Hits, enough
from wattkeeper.readings.validation.table import HOUR_US, NONE, Readings

IMPORT: Final = "active_energy_import"
EXPORT: Final = "active_energy_export"
GRID_QUANTITIES: Final = (IMPORT, "active_power")
"""What tells whether a meter was read, and its load; rules may look at a week of it."""
HISTORY_US: Final = (7 * 24 + 1) * HOUR_US
"""How far back a rule may look for the history of a reading's day: a week, also one in which clocks were set back."""
_METER, _EDITED = SOURCES.index("meter"), SOURCES.index("edited")
_IMPORTED = SOURCES.index("imported")


def late(readings: Readings) -> Iterator[Found]:
    """Recorded long after its instant, though the meter was known then: an earlier reading had been recorded by that time.

    A register whose readings all came late, as in the first back-fill of a new meter, is not late but past.
    """
    rows = readings.rows_of(IMPORT)
    rows = rows[(readings.recorded[rows] != NONE) & (readings.source[rows] != _IMPORTED)]
    if not len(rows):
        return
    delay = readings.recorded[rows] - readings.at[rows]
    allowed = readings.number("late", "hours", rows) * HOUR_US
    prompt = delay <= allowed
    last_prompt = np.maximum.accumulate(np.where(prompt, np.arange(len(rows)), NONE))
    place = np.maximum(last_prompt, 0)
    known = (last_prompt != NONE) & (readings.run[rows[place]] == readings.run[rows])
    known &= readings.at[rows[place]] >= readings.day_start[rows] - HISTORY_US
    hit = ~prompt & known & (readings.source[rows] != _EDITED)
    yield Hits(rows[hit], figures={"delay_h": delay[hit] / HOUR_US}, limit="hours", worst=delay[hit])


def future(readings: Readings) -> Iterator[Found]:
    """Stamped later than it was recorded."""
    rows = np.flatnonzero(readings.recorded != NONE)
    ahead = readings.at[rows] - readings.recorded[rows]
    possible = ahead > 0
    rows, ahead = rows[possible], ahead[possible]
    hit = ahead > readings.number("future", "minutes", rows) * 60_000_000
    yield Hits(rows[hit], figures={"ahead_min": ahead[hit] / 60_000_000}, limit="minutes", worst=ahead[hit])


def clock_drift(readings: Readings) -> Iterator[Found]:
    """The clock that the meter told beside the moment it was told; and stamps that are marked unsure."""
    rows = readings.rows_of("clock")
    offset = readings.value[rows] / UNIT - readings.at[rows] / 1_000_000
    hit = np.abs(offset) > readings.number("clock_drift", "seconds", rows)
    yield Hits(rows[hit], figures={"offset_s": offset[hit]}, limit="seconds", worst=np.abs(offset[hit]))
    unsure = readings.status & ReadingStatus.CLOCK_UNSURE.value != 0
    yield Hits(np.flatnonzero(unsure))


def off_grid(readings: Readings) -> Iterator[Found]:
    """Stamped by the meter, or by who sent the file, beside the grid of its point."""
    rows = readings.rows_of(*GRID_QUANTITIES)
    step = readings.facts.step[readings.fact[rows]]
    own = (step > 0) & np.isin(readings.source[rows], (_METER, _IMPORTED))
    rows, step = rows[own], step[own]
    beside = (readings.at[rows] - readings.day_start[rows] + step // 2) % np.maximum(step, 1) - step // 2
    hit = np.abs(beside) > readings.number("off_grid", "seconds", rows) * 1_000_000
    hit = enough(rows, hit, readings.cell[rows], readings.number("off_grid", "readings", rows))
    yield Hits(
        rows[hit],
        figures={"offset_s": beside[hit] / 1_000_000},
        limit="seconds",
        worst=np.abs(beside[hit]),
    )


def meter_flag(readings: Readings) -> Iterator[Found]:
    """Marked by the meter itself."""
    yield Hits(np.flatnonzero(readings.status & ReadingStatus.METER_FLAGGED.value))


def duplicate_value(readings: Readings) -> Iterator[Found]:
    """Another value for the same instant; a person's entry is meant to differ."""
    lesser = readings.lesser
    if not len(lesser["at"]):
        return
    place = readings.place_of(lesser["meter"], lesser["code"], lesser["at"])
    digit = readings.facts.digit[readings.fact[place]] * readings.number("duplicate_value", "digits", place)
    apart = np.abs(lesser["value"] - readings.value[place])
    hit = (apart > digit) & (readings.source[place] != _EDITED) & (lesser["source"] != _EDITED)
    yield Hits(
        place[hit],
        figures={
            "other_value": lesser["value"][hit] / UNIT,
            "difference": (readings.value[place] - lesser["value"])[hit] / UNIT,
        },
        limit="digits",
        worst=apart[hit],
        also=lesser["value"][hit],
    )
