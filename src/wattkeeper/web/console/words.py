"""Words that several pages use, and that the browser's islands show."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.web.language import Language
from wattkeeper.web.sayings import said

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Notice:
    """What became of something a person did."""

    kind: Literal["good", "bad"]
    text: str
    hint: str | None = None
    raw: str | None = None
    """The sentence of the room it comes from, in English."""

    @classmethod
    def of(cls, error: WattkeeperError, say: Language) -> "Notice":
        """An error, told on the page where it happened."""
        told = said(error, say)
        return cls("bad", told.text, told.hint, told.raw)


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """One page of a list, and its foot."""

    rows: Sequence[T]
    after: str | None
    before_first: bool
    label: str
    first_label: str
    next_label: str


def pager(
    say: Language, rows: Sequence[T], *, after: str | None, asked: str | None, total: int | None = None
) -> Listed[T]:
    """A page of a list; `asked` is the cursor it began at, `after` where it goes on."""
    shown = say.number(len(rows))
    label = (
        say.text("%(n)s shown", n=shown)
        if total is None
        else say.text("%(n)s of %(total)s", n=shown, total=say.number(total))
    )
    return Listed(rows, after, asked is not None, label, say.text("First page"), say.text("Next page"))


def chart_words(say: Language) -> dict[str, str]:
    """What charts say."""
    return {
        "now": say.text("this period"),
        "before": say.text("period before"),
        "load": say.text("Load"),
        "none": say.text("not known"),
        "empty": say.text("No energy is known for this period yet."),
        "estimated": say.text("estimated"),
        "partial": say.text("partly known"),
    }


def carpet_words(say: Language) -> dict[str, str]:
    """What a heat map says; the browser fills in the braces."""
    return {
        "summary": say.text(
            "{days} days. Highest: {kw} kW on {day} at {time}. Known: {known} of {expected} quarter hours, {estimated} of "
            "them estimated."
        ),
        "nothing": say.text("No energy is known for these days yet."),
        "missing": say.text("not known"),
        "estimated": say.text("estimated"),
        "edited": say.text("entered by a person"),
        "skipped": say.text("the clocks go forward: this time did not exist"),
        "ahead": say.text("still to come"),
        "power": say.text("Mean power"),
        "energy": say.text("Energy"),
        "keys": say.text("Arrow keys move through it, Enter opens the day."),
    }


def monitor_words(say: Language) -> dict[str, str]:
    """What the bus monitor says."""
    return {
        "tx": say.text("sent"),
        "rx": say.text("received"),
        "pause": say.text("Pause"),
        "resume": say.text("Go on"),
        "passed": say.text("{n} frames"),
        "held": say.text("{n} frames wait"),
        "ok": say.text("checksum right"),
        "wrong": say.text("checksum wrong"),
        "none": say.text("no whole frame"),
        "columns": say.text("Time,Gap (ms),Link,Direction,Octets,Checksum,Mark,Meaning"),
    }
