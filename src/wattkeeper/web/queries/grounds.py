"""What a value rests on, in words: where a reading came from, how an interval came about, what is known against them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any, Final, Literal

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.schemas import IntervalStatus, ReadingStatus
from wattkeeper.web.language import Language
from wattkeeper.web.queries.states import N_
from wattkeeper.web.services import Services

Ground = Literal["measured", "estimated", "edited", "untold", "missing", "ahead"]
GROUNDS: Final[Mapping[Ground, str]] = {
    "measured": N_("measured"),
    "estimated": N_("estimated"),
    "edited": N_("entered by a person"),
    "untold": N_("read, but no energy can be told"),
    "missing": N_("missing"),
    "ahead": N_("still to come"),
}
METHODS: Final[Mapping[str, str]] = {
    "none": N_("no energy can be told"),
    "imported": N_("from a file"),
    "linear": N_("a straight line between two readings"),
    "profile": N_("like days of the same point, scaled to what the register counted"),
    "history": N_("like days of the same point"),
    "peers": N_("points like it at the same time"),
    "measured": N_("the difference of two readings"),
    "edited": N_("entered by a person"),
}
SOURCES: Final[Mapping[str, str]] = {
    "imported": N_("from a file"),
    "polled": N_("read and stamped by us"),
    "meter": N_("stamped by the meter"),
    "edited": N_("entered by a person"),
}
INTERVAL_NOTES: Final[Mapping[IntervalStatus, str]] = {
    IntervalStatus.ROLLOVER: N_("the register ran over inside"),
    IntervalStatus.EXCHANGED: N_("the meter was exchanged inside; each side counts with its own ratio"),
    IntervalStatus.PARTIAL: N_("a meter hung there for only a part of it"),
    IntervalStatus.BACKWARDS: N_("the register ran backwards"),
    IntervalStatus.IMPLAUSIBLE: N_("more than the point's rated power allows"),
}
READING_NOTES: Final[Mapping[ReadingStatus, str]] = {
    ReadingStatus.CLOCK_UNSURE: N_("the meter's clock was off"),
    ReadingStatus.METER_FLAGGED: N_("the meter itself marked it"),
    ReadingStatus.SUSPECT: N_("validation doubts it"),
}


def ground_of(energy: Decimal | None, status: int) -> Ground:
    """What an interval that is there rests on."""
    if energy is None:
        return "untold"
    if status & IntervalStatus.ESTIMATED:
        return "estimated"
    return "edited" if status & IntervalStatus.EDITED else "measured"


def interval_notes(status: int, say: Language) -> list[str]:
    """What is to be said of an interval besides its ground."""
    return [say.text(text) for flag, text in INTERVAL_NOTES.items() if status & flag]


def reading_notes(status: int, say: Language) -> list[str]:
    """What is known against a reading."""
    return [say.text(text) for flag, text in READING_NOTES.items() if status & flag]


@dataclass(frozen=True, slots=True)
class Slot:
    """An interval of a point's grid, or the place where it would be."""

    start: datetime
    end: datetime
    ground: Ground
    energy: Decimal | None
    told: str
    """All that is known of it, in a sentence."""

    @property
    def instant(self) -> str:
        """Its start as addresses name it."""
        return f"{self.start:%Y-%m-%dT%H:%M:%SZ}"


def day_slots(
    services: Services, point_id: int, day: date, say: Language, *, quantity: str, minutes: int
) -> list[list[Slot]]:
    """The grid of a civil day, a row for each hour of its clock; an hour that comes twice has two rows."""
    period = TimeRange.day(day, say.zone)
    table = services.store.intervals(point_ids=[point_id], quantity=quantity, period=period)
    there = {row["start_at"]: row for row in table.to_pylist()}
    slots = [
        _slot(slot, there.get(slot.start), say, services.clock())
        for slot in period.slots(timedelta(minutes=minutes), say.zone)
    ]

    def hour(slot: Slot) -> tuple[int, timedelta | None]:
        civil = slot.start.astimezone(say.zone)
        return civil.hour, civil.utcoffset()

    return [list(row) for _, row in groupby(slots, key=hour)]


def _slot(slot: TimeRange, row: Mapping[str, Any] | None, say: Language, now: datetime) -> Slot:
    if row is None:
        ground: Ground = "missing" if slot.closed_end <= now else "ahead"
        return Slot(slot.start, slot.closed_end, ground, None, say.text(GROUNDS[ground]))
    ground = ground_of(row["energy"], row["status"])
    parts = [say.text(GROUNDS[ground])]
    if ground == "estimated":
        parts.append(say.text(METHODS[row["method"]]))
        if row["error"] is not None:
            parts.append(say.text("± %(error)s kWh", error=say.number(row["error"], 3)))
    return Slot(
        slot.start,
        row["end_at"],
        ground,
        row["energy"],
        say.listed([*parts, *interval_notes(row["status"], say)]),
    )
