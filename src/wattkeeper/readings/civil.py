"""The civil day of an instant, as SQL that is as quick as counting.

DuckDB's own ``AT TIME ZONE`` took four times as long as everything else about a month of 10,000 points (9.5 s, not 2.3).
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.batches import microseconds

_DAY = timedelta(days=1)
_DAY_US = _DAY // timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)


def civil_day(column: str, period: TimeRange, zone: ZoneInfo) -> str:
    """The civil day of instants within a closed period, as SQL."""
    (_, first), *changes = utc_offsets(period, zone)
    offset = str(first)
    for instant, then in changes:
        offset = f"CASE WHEN epoch_us({column}) < {instant} THEN {offset} ELSE {then} END"
    return f"(DATE '1970-01-01' + ((epoch_us({column}) + {offset}) // {_DAY_US})::INTEGER)"


def utc_offsets(period: TimeRange, zone: ZoneInfo) -> list[tuple[int, int]]:
    """From when on clocks of the zone are how far from UTC, both in microseconds; the first holds from the start."""
    at, found = period.start, [(microseconds(period.start), _offset(period.start, zone))]
    while at < period.closed_end:
        then = min(at + _DAY, period.closed_end)
        if _offset(then, zone) != found[-1][1]:
            found.append((microseconds(_change(at, then, zone)), _offset(then, zone)))
        at = then
    return found


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The second between two instants at which the clocks change."""
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        if _offset(middle, zone) == _offset(before, zone):
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def _offset(instant: datetime, zone: ZoneInfo) -> int:
    offset = instant.astimezone(UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return offset // timedelta(microseconds=1)
