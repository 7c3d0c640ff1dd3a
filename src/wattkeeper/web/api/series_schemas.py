"""What the API's answers about series look like."""

from typing import Literal

from pydantic import Field

from wattkeeper.readings.grids import Resolution
from wattkeeper.web.api.schemas import DecimalText, InstantText, Shape

Ground = Literal["missing", "partial", "measured", "shared", "edited", "estimated"]


class Reduced(Shape):
    """That an answer is coarser than was asked, why, and what was done with the values of a slot."""

    asked: Resolution
    why: Literal["limit", "intervals"] = Field(
        description="limit: finer would be more than 10,000 values. intervals: the points measure no finer."
    )
    how: Literal["sum", "mean"] = Field(description="What became of the values of a slot.")
    kept: list[str] = Field(description="What of them is kept beside it, so that no peak is lost.")


class OneSeries(Shape):
    """One series: columns with an entry per slot, null where nothing is known. Samples have no energy, energies no readings."""

    kind: Literal["meter", "point", "area", "site", "together"]
    id: int | None
    code: str = Field(description="A meter's address, a point's or an area's code.")
    name: str
    energy: list[DecimalText | None] | None = Field(default=None, description="Energy, in the answer's unit.")
    mean: list[DecimalText | None] = Field(
        description="Mean power of an energy [unit per hour], or mean of the samples."
    )
    lowest: list[DecimalText | None] = Field(
        description="Of the powers of single intervals, or of the samples."
    )
    highest: list[DecimalText | None]
    first: list[DecimalText | None] | None = None
    last: list[DecimalText | None] | None = None
    status: list[Ground] | None = Field(
        default=None,
        description="The weakest ground each slot stands on; shared: out of an interval longer than the slot.",
    )
    coverage: list[float] | None = Field(
        default=None, description="Which part of what could be known is known, from 0 to 1."
    )
    readings: list[int] | None = None
    doubtful: list[int] | None = Field(default=None, description="Readings with anything against them.")
    total: DecimalText | None = Field(description="The sum of all energies that are known.")


class SeriesPeriod(Shape):
    """All series over one period."""

    start: InstantText
    end: InstantText
    starts: list[InstantText]
    series: list[OneSeries]


class SeriesAnswer(Shape):
    """Series over a period, and over the one it is compared with."""

    quantity: str
    unit: str
    kind: str
    zone: str
    resolution: Resolution
    reduced: Reduced | None = Field(description="Null where the answer is as fine as was asked.")
    as_known_at: InstantText | None
    shown: SeriesPeriod
    before: SeriesPeriod | None
