"""A small curve around something, as a picture: geometry only, so that it needs no script and prints as it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.web.language import Language
from wattkeeper.web.queries.curves import HOUR_US, as_energies, as_instants
from wattkeeper.web.services import Services

WIDTH: Final = 720
HEIGHT: Final = 120
POINTS: Final = 700
"""About as many as the picture has columns; of more, each column keeps its lowest and its highest."""
SHORTEST: Final = timedelta(hours=3)
LONGEST: Final = timedelta(days=3)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spark:
    """A curve in the picture's units; `shade` is what it is drawn for, as left edge and width."""

    path: str
    shade: tuple[str, str]
    limit: str | None
    lowest: str
    highest: str
    start: datetime
    end: datetime

    @property
    def width(self) -> int:
        """The picture's."""
        return WIDTH

    @property
    def height(self) -> int:
        """The picture's."""
        return HEIGHT


def around(period: TimeRange) -> TimeRange:
    """What is shown: half as much again on each side, not too little to compare with, not so much that it vanishes."""
    beside = min(max(period.duration / 2, SHORTEST), LONGEST)
    return TimeRange(period.start - beside, period.closed_end + beside)


def power_spark(
    services: Services, point_id: int, quantity: str, period: TimeRange, say: Language
) -> Spark | None:
    """The mean power of a point's intervals around a period [kW]; None where nothing is known."""
    shown = around(period)
    table = services.store.intervals(point_ids=[point_id], quantity=quantity, period=shown)
    starts, ends = as_instants(table["start_at"]), as_instants(table["end_at"])
    energy, there = as_energies(table["energy"])
    hours = np.maximum(ends - starts, 1) / HOUR_US
    power = np.where(there, energy / 10_000 / hours, np.nan)
    # A step for each interval: its power holds from its start to its end.
    at = np.stack([starts, ends], axis=1).reshape(-1)
    return _drawn(at, np.repeat(power, 2), period, shown, unit="kW", say=say)


def value_spark(
    services: Services,
    meter_id: int,
    quantity: str,
    period: TimeRange,
    say: Language,
    *,
    unit: str,
    limit: float | None,
) -> Spark | None:
    """The readings of a quantity around a period, with a limit as a line; None where there are none."""
    shown = around(period)
    table = services.store.readings(meter_ids=[meter_id], quantities=[quantity], period=shown)
    values = np.asarray(table["value"].cast(pa.float64()).to_numpy(), np.float64)
    return _drawn(as_instants(table["read_at"]), values, period, shown, unit=unit, say=say, limit=limit)


def _drawn(
    at: npt.NDArray[np.int64],
    values: Floats,
    period: TimeRange,
    shown: TimeRange,
    *,
    unit: str,
    say: Language,
    limit: float | None = None,
) -> Spark | None:
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    first, last = (int(moment.timestamp() * 1e6) for moment in (shown.start, shown.closed_end))
    held = [*known.tolist(), *([] if limit is None else [limit])]
    low, high = min(held), max(held)
    low, high = (0.0, high) if low >= 0 and low < high / 2 else (low, high)
    room = (high - low) or abs(high) or 1.0
    x = (at - first) / (last - first) * WIDTH
    y = HEIGHT - 8 - (values - low) / room * (HEIGHT - 16)
    x, y = _thinned(x, y)
    left, right = (
        (int(moment.timestamp() * 1e6) - first) / (last - first) * WIDTH
        for moment in (period.start, period.closed_end)
    )
    return Spark(
        path=_path(x, y),
        shade=(f"{left:.1f}", f"{max(right - left, 3):.1f}"),
        limit=None if limit is None else f"{HEIGHT - 8 - (limit - low) / room * (HEIGHT - 16):.1f}",
        lowest=f"{say.number(Decimal(str(round(low, 3))), 2)} {unit}",
        highest=f"{say.number(Decimal(str(round(high, 3))), 2)} {unit}",
        start=shown.start,
        end=shown.closed_end,
    )


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """At most two of each column of the picture: the lowest and the highest."""
    if len(x) <= POINTS:
        return x, y
    column = np.floor(x * POINTS / 2 / WIDTH).astype(np.int64)
    order = np.lexsort((y, column))
    edge = np.diff(column[order], prepend=-1) != 0
    keep = np.sort(np.unique(np.concatenate([order[edge], order[np.roll(edge, -1)]])))
    return x[keep], y[keep]


def _path(x: Sequence[float] | Floats, y: Sequence[float] | Floats) -> str:
    """The line as SVG draws it, broken where nothing is known."""
    parts, pen = [], "M"
    for across, down in zip(x, y, strict=True):
        if np.isfinite(down):
            parts.append(f"{pen}{across:.1f} {down:.1f}")
            pen = "L"
        else:
            pen = "M"
    return "".join(parts)
