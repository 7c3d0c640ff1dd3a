"""Time in the simulated world: real, faster than real, or standing still for tests."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- civil time as a meter knows it, without a zone


class Clock(Protocol):
    """What tells the simulated world its time."""

    def now(self) -> datetime:
        """The moment, aware UTC."""


class RealClock:
    """The machine's time."""

    def now(self) -> datetime:
        """The machine's time."""
        return datetime.now(UTC)


class ScaledClock:
    """Time that starts at a given moment and runs ``speed`` times as fast as ours."""

    def __init__(self, start: datetime, *, speed: float) -> None:
        self._start = start
        self._speed = speed
        self._began = time.monotonic()

    def now(self) -> datetime:
        """The start and what has passed since, times the speed."""
        return self._start + timedelta(seconds=(time.monotonic() - self._began) * self._speed)


@dataclass(slots=True)
class FixedClock:
    """Time that stands until somebody moves it."""

    at: datetime

    def now(self) -> datetime:
        """The moment it was set to."""
        return self.at


def civil_seconds(civil: datetime) -> float:
    """Seconds from 1970-01-01 00:00 to a naive civil time, both of the same wall clock."""
    return (civil - _EPOCH).total_seconds()


def civil_time(seconds: float) -> datetime:
    """The naive civil time of a count of seconds."""
    return _EPOCH + timedelta(seconds=seconds)
