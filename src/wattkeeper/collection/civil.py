"""A meter's civil clock and true instants: the hour that comes twice, and the one that never comes.

A meter stamps with naive civil time. In a zone with clock changes a stamp can mean two instants, or none.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_LONGEST_FOLD = timedelta(hours=3)
"""More than any zone has set its clocks back by since meters have memories."""
_STEP = timedelta(minutes=15)
_KNOWN_STAMPS = 8192
"""More than the quarter hours of 80 days: back-fill asks meter after meter for the same ones."""


@lru_cache(_KNOWN_STAMPS)
def candidates(stamp: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """The instants (UTC, in order) that a naive stamp can mean.

    Two when the clocks were set back over it, none when they were set forward over it.
    """
    early, late = (stamp.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early == late:
        return (early,)
    # PEP 495: inside the skipped hour fold=0 keeps the old offset, so the instants come in the wrong order.
    return (early, late) if early < late else ()


def resolve(stamp: datetime, zone: ZoneInfo, *, near: datetime) -> datetime | None:
    """The instant (UTC) of a stamp: of two the one closer to `near`; None when there is none."""
    return min(candidates(stamp, zone), key=lambda instant: abs(instant - near), default=None)


def resolve_sequence(stamps: Sequence[datetime], zone: ZoneInfo) -> list[datetime | None]:
    """The instants of stamps that follow each other in time, as in a load record.

    Where a stamp could mean two instants it is the first one later than the stamp before it: records of
    01:00, 01:15 ... 02:45, 02:00, 02:15 go through the hour that comes twice.
    """
    instants: list[datetime | None] = []
    last: datetime | None = None
    for stamp in stamps:
        possible = candidates(stamp, zone)
        later = [instant for instant in possible if last is None or instant > last]
        chosen = (later or possible or (None,))[0]
        instants.append(chosen)
        last = chosen or last
    return instants


def stamp_to_ask(start: datetime, zone: ZoneInfo) -> datetime:
    """The naive stamp to ask a load record from so that the record at `start` (UTC) is in the answer.

    A stamp that comes twice finds its first record; the question then begins before the hour that comes twice,
    and the sequence tells the two apart.
    """
    asked = start
    while len(candidates(_civil(asked, zone), zone)) > 1 and start - asked < _LONGEST_FOLD:
        asked -= _STEP
    return _civil(asked, zone)


def _civil(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)
