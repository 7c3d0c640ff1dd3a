"""The register at the boundaries of the grid: read, estimated between two readings, or unknown; and how sure that is."""

from dataclasses import dataclass

import numpy as np

from wattkeeper.readings.bridges import Bridges
from wattkeeper.readings.estimation.values import Floats
from wattkeeper.readings.registers import Flags, Integers, Registers

AT_BOUNDARY = 30_000_000
"""A reading within 30 s of a boundary is the register at the boundary."""
LONGEST_LINE = 3 * 86_400_000_000
"""Three days, a weekend's outage: a line through more would only pretend to know when energy was used, and would be
drawn again and again while the meter's load record is still being fetched."""
_MILLISECOND = 1_000
_EXACT_MILLISECONDS = 2_000_000_000
"""Up to this length of gap (23 days) the weights of an interpolation fit 64 bits in milliseconds, else in seconds."""
_LINE_ERROR = 0.5
"""Half the 90 % band of the register half way between two readings, as part of half the energy between them.

Measured over half an hour (docs/explanation/cleaning.md): it held for 96 % of apartments' slots, 94 % of ten substations'
and a steel plant's, and all of a region's; over an hour for 74 % of homes'.
"""


@dataclass(frozen=True, slots=True)
class Ends:
    """The register at some boundaries."""

    known: Flags
    read: Flags
    """A reading stands for the boundary; otherwise it is estimated."""
    bridged: Flags
    """It is estimated from like days; otherwise by a straight line."""
    energy: Integers
    before: Integers
    """The last reading that counts at or before the boundary."""
    after: Integers
    """The first at or after it; equal to ``before`` where one is read."""


def ends(registers: Registers, bridges: Bridges, group: Integers, boundary: Integers) -> Ends:
    """The register at the boundaries: read, estimated or unknown."""
    if not len(registers.at):
        nothing = np.zeros(len(group), dtype=np.int64)
        no = nothing.astype(bool)
        return Ends(no, no, no, nothing, nothing, nothing)
    origin = min(int(registers.at.min()), int(boundary.min(initial=registers.at.min()))) // _MILLISECOND
    top = max(int(registers.at.max()), int(boundary.max(initial=registers.at.max()))) // _MILLISECOND
    span = top - origin + 2
    right = np.searchsorted(
        registers.group * span + registers.at // _MILLISECOND - origin,
        group * span + boundary // _MILLISECOND - origin,
        "right",
    )
    last = len(registers.at) - 1
    left, right = np.maximum(right - 1, 0), np.minimum(right, last)
    has_left = (registers.group[left] == group) & (
        registers.at[left] // _MILLISECOND <= boundary // _MILLISECOND
    )
    has_right = (registers.group[right] == group) & (
        registers.at[right] // _MILLISECOND > boundary // _MILLISECOND
    )
    since = np.where(has_left, boundary - registers.at[left], AT_BOUNDARY + 1)
    until = np.where(has_right, registers.at[right] - boundary, AT_BOUNDARY + 1)
    read = np.minimum(since, until) <= AT_BOUNDARY
    nearest = np.where(since <= until, left, right)
    between = has_left & has_right & ~read
    bridged = between & bridges.bridged[left]
    lined = between & ~bridged & (registers.at[right] - registers.at[left] <= LONGEST_LINE)
    line = _interpolated(registers, left, right, boundary, lined)
    estimated = np.where(bridged, bridges.register_at(left, boundary), line)
    return Ends(
        known=read | bridged | lined,
        read=read,
        bridged=bridged,
        energy=np.where(read, registers.energy[nearest], estimated),
        before=np.where(read, nearest, left),
        after=np.where(read, nearest, right),
    )


def _interpolated(
    registers: Registers, left: Integers, right: Integers, boundary: Integers, between: Flags
) -> Integers:
    """The straight line between two readings, in whole units, with integers only."""
    part = np.where(between, boundary - registers.at[left], 0) // _MILLISECOND
    whole = np.where(between, registers.at[right] - registers.at[left], _MILLISECOND) // _MILLISECOND
    scale = np.where(whole > _EXACT_MILLISECONDS, 1_000, 1)
    part, whole = part // scale, whole // scale
    # a * part / whole without the product of two large numbers
    quotient, remainder = np.divmod(registers.energy[right] - registers.energy[left], whole)
    line: Integers = registers.energy[left] + quotient * part + remainder * part // whole
    return line


def squared_errors(
    registers: Registers, bridges: Bridges, begin: Ends, end: Ends, span: tuple[Integers, Integers]
) -> Floats:
    """The squared error bounds of the energies between two boundaries each, in squared units; 0 where both are read.

    Along a straight line the register is taken as a random walk between its ends: its error at a part p of the way
    goes as the root of p (1 - p), and that of the energy over a part p of the way as well.
    """
    if not len(registers.at):
        return np.zeros(len(begin.known))
    start, stop = span
    of_gaps = bridges.error_of(begin.before, stop) ** 2
    of_gaps += np.where(end.before != begin.before, bridges.error_of(end.before, stop) ** 2, 0)
    line_begin, line_end = (at.known & ~at.read & ~at.bridged for at in (begin, end))
    together = line_begin & line_end & (begin.before == end.before)
    lengths = (registers.at[begin.after] - registers.at[begin.before]).astype(float)
    part = np.where(together, stop - start, 0) / np.where(together, lengths, 1)
    of_lines = np.where(together, _walk(registers, begin, part), 0)
    for ends_, lined, at in ((begin, line_begin, start), (end, line_end, stop)):
        alone = lined & ~together
        length = np.where(alone, registers.at[ends_.after] - registers.at[ends_.before], 1)
        of_lines += np.where(alone, _walk(registers, ends_, (at - registers.at[ends_.before]) / length), 0)
    return of_gaps + of_lines


def _walk(registers: Registers, between: Ends, part: Floats) -> Floats:
    energy = (registers.energy[between.after] - registers.energy[between.before]).astype(float)
    inside = np.clip(part, 0, 1)
    squared: Floats = (_LINE_ERROR * energy) ** 2 * inside * (1 - inside)
    return squared
