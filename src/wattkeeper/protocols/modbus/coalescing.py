"""Which registers to read with which requests: the fewest that a meter allows.

A request reads one range. It may be at most so long, may read over at most so many registers that nobody asked for,
must not touch a forbidden one, and must not hold a range that the meter has refused. Each of these rules holds for
every part of a range for which it holds, so taking as many as will go, from the lowest on, is never worse than any
other way: if a best plan's first request ends earlier than ours, ours may take its place and the rest only gets shorter.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Limits", "Span", "coalesce", "span_of"]


class Span(NamedTuple):
    """Registers from `start` to before `end`, addresses as on the wire, read with one function."""

    function: int
    start: int
    end: int

    @property
    def key(self) -> str:
        """Its name: function, first and last register.

        >>> Span(4, 0, 80).key
        '4:0-79'
        """
        return f"{self.function}:{self.start}-{self.end - 1}"

    def holds(self, other: Span) -> bool:
        """Whether all of `other` lies within."""
        return self.function == other.function and self.start <= other.start and other.end <= self.end


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request to a meter may be.

    Attributes:
        largest: registers in one request.
        read_over: unlisted registers in a row that may be read along.
        forbidden: ranges that must not be touched by reading over them.

    """

    largest: int = 125
    read_over: int = 0
    forbidden: tuple[Span, ...] = ()


def span_of(key: str) -> Span | None:
    """The span that a key names; None when it names none.

    >>> span_of("4:0-79")
    Span(function=4, start=0, end=80)
    """
    function, colon, ends = key.partition(":")
    first, dash, last = ends.partition("-")
    if not (colon and dash and function.isdecimal() and first.isdecimal() and last.isdecimal()):
        return None
    return Span(int(function), int(first), int(last) + 1)


def coalesce(
    items: Collection[Span], limits: Limits, *, refused: Collection[Span] = ()
) -> list[tuple[Span, ...]]:
    """The items in groups, one request each; those that cannot be read without a refused range are left out.

    >>> items = [Span(4, 0, 2), Span(4, 2, 4), Span(4, 6, 8)]
    >>> [[span.key for span in group] for group in coalesce(items, Limits(read_over=1))]
    [['4:0-1', '4:2-3'], ['4:6-7']]
    """
    groups: list[list[Span]] = []
    end = 0
    for item in sorted(set(items)):
        if any(item.holds(range_) for range_ in refused):
            continue
        if groups and _fits(groups[-1][0], end, item, limits, refused):
            groups[-1].append(item)
            end = max(end, item.end)
        else:
            groups.append([item])
            end = item.end
    return [tuple(group) for group in groups]


def whole(group: Sequence[Span]) -> Span:
    """The range that a group's request reads."""
    return Span(group[0].function, group[0].start, max(span.end for span in group))


def walls(refused: Collection[Span], items: Collection[Span]) -> list[Span]:
    """What of the refused ranges no request may hold again.

    The smallest ranges say which registers are bad. A longer one whose bad register is not known yet is cut in the
    middle, so that the next plan asks for its halves.
    """
    found = []
    for range_ in refused:
        inside = sorted(item for item in items if range_.holds(item))
        if len(inside) < 3:  # noqa: PLR2004 - one, or two with something bad between them
            found.append(range_)
        elif not any(range_ != other and range_.holds(other) for other in refused):
            middle = len(inside) // 2
            found.append(Span(range_.function, inside[middle - 1].start, inside[middle].end))
    return found


def _fits(first: Span, end: int, item: Span, limits: Limits, refused: Collection[Span]) -> bool:
    """Whether `item` may join the request that begins with `first` and ends at `end`."""
    joined = Span(first.function, first.start, max(end, item.end))
    if item.function != first.function or joined.end - joined.start > limits.largest:
        return False
    if item.start - end > limits.read_over or any(joined.holds(range_) for range_ in refused):
        return False
    if item.start <= end:  # nothing is read over
        return True
    return not any(
        range_.function == item.function and range_.start < item.start and end < range_.end
        for range_ in limits.forbidden
    )
