"""Bars as SVG: geometry only, so that a slow phone needs no chart library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

WIDTH: Final = 720
TOP: Final = 30
BASE: Final = 322
HEIGHT: Final = 360
LEFT: Final = 46
"""Room for the writing of the lines; none is needed on the right."""
STEPS: Final = (Decimal(1), Decimal(2), Decimal(5), Decimal(10))
GRIDLINES: Final = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a bar: a share of its height, in a tone."""

    tone: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class Given:
    """A bar to be drawn; without a value it stays empty."""

    value: Decimal | None
    label: str
    title: str
    link: str | None = None
    before: Decimal | None = None
    pieces: tuple[Piece, ...] = ()
    faint: bool = False


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle in the picture's units."""

    x: str
    y: str
    width: str
    height: str
    tone: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar as it is drawn."""

    rects: tuple[Rect, ...]
    ghost: Rect | None
    area: Rect
    """The whole height, so that a small bar can be touched."""
    label: str
    label_x: str
    title: str
    link: str | None
    faint: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """All bars, and the lines behind them."""

    bars: tuple[Bar, ...]
    lines: tuple[tuple[str, str], ...]
    """Height and text of each line."""
    width: int = WIDTH
    height: int = HEIGHT
    base: int = BASE


def picture(given: Sequence[Given]) -> Picture:
    """The bars side by side on one scale."""
    values = [value for bar in given for value in (bar.value, bar.before) if value is not None]
    step, top = _scale(max(values, default=Decimal(0)))
    slot = (WIDTH - LEFT) / max(len(given), 1)
    bars = tuple(_bar(bar, LEFT + number * slot, slot, top) for number, bar in enumerate(given))
    lines = tuple(
        (_text(_y(step * n, top)), f"{(step * n).normalize():,f}") for n in range(1, int(top / step) + 1)
    )
    return Picture(bars, lines)


def _scale(highest: Decimal) -> tuple[Decimal, Decimal]:
    """The distance of lines and the top of the scale, in round numbers."""
    if highest <= 0:
        return Decimal(1), Decimal(1)
    rough = highest / GRIDLINES
    power = Decimal(10) ** math.floor(rough.log10())
    step = next(factor * power for factor in STEPS if factor * power >= rough)
    return step, step * math.ceil(highest / step)


def _y(value: Decimal, top: Decimal) -> float:
    return BASE - float(value / top) * (BASE - TOP)


def _bar(bar: Given, x: float, slot: float, top: Decimal) -> Bar:
    left, width = x + slot * 0.14, slot * 0.72
    ghost = None
    if bar.before is not None:
        ghost = _Column(left, width * 0.62, top).rect(Decimal(0), bar.before, "before")
        left, width = left + width * 0.3, width * 0.7
    return Bar(
        rects=tuple(_stack(bar, _Column(left, width, top))),
        ghost=ghost,
        area=Rect(_text(x), _text(TOP), _text(slot), _text(HEIGHT - TOP), ""),
        label=bar.label,
        label_x=_text(x + slot / 2),
        title=bar.title,
        link=bar.link,
        faint=bar.faint,
    )


@dataclass(frozen=True, slots=True)
class _Column:
    """Where a bar stands, and the top of the scale."""

    left: float
    width: float
    top: Decimal

    def rect(self, low: Decimal, high: Decimal, tone: str) -> Rect:
        """The bar, or a part of it, between two values."""
        y = _y(high, self.top)
        height = max(_y(low, self.top) - y, 0)
        return Rect(_text(self.left), _text(y), _text(self.width), _text(height), tone)


def _stack(bar: Given, column: _Column) -> list[Rect]:
    if bar.value is None:
        return []
    if not bar.pieces:
        return [column.rect(Decimal(0), bar.value, "")]
    rects, at = [], Decimal(0)
    for piece in bar.pieces:
        rects.append(column.rect(at, at + piece.value, piece.tone))
        at += piece.value
    return rects


def _text(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
