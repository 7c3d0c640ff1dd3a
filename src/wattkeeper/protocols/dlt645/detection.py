"""Which of the two editions a meter speaks: ask it in both, and listen.

2007 is asked first. Nothing in a meter tells its edition before it has spoken, so the order decides only how long the
search lasts, and nearly all meters in use are of 2007. Asking costs the other one nothing: the numbers of 2007 (11H
and above) are unknown to a meter of 1997 and those of 1997 (01H to 07H, 09H to 10H) are reserved in 2007, so either is
silent, or says in its own words that it does not understand, which tells its edition as well.

How long to wait for each: both editions give a meter 500 ms to begin its reply and allow 500 ms between two bytes
(§5.3 in 2007), so `silence_after` is 0.5 s, the time of the longest reply to the question on the wire, and 0.5 s for
one gap. A meter that was silent to both may be of either edition and simply not there: that is no answer, and must
not be remembered as one.
"""

from __future__ import annotations

from collections.abc import Iterator

from wattkeeper.protocols.dlt645.edition1997 import identifier_bytes as identifier_bytes_1997
from wattkeeper.protocols.dlt645.frames import Frame, check_address
from wattkeeper.protocols.dlt645.master import Exchange, answers
from wattkeeper.protocols.dlt645.requests import read

__all__ = ["EditionProbe", "edition_probes", "silence_after"]

_READ_1997 = 0x01
_ENERGY_1997, _ENERGY_2007 = "9010", "00010000"
_BITS_PER_BYTE = 11
_LONGEST_PROBE_REPLY = 24  # bytes: 4 wake-up, 16 frame, 4 data
_DELAY = _GAP = 0.5  # [s]


class EditionProbe(Exchange):
    """One question in the words of one edition; whatever the meter answers tells which it speaks."""

    def __init__(self, address: str, edition: int) -> None:
        """`edition`: 2007 or 1997, whose words the question is in."""
        if edition == 2007:  # noqa: PLR2004 - the edition's own name
            frame = read(address, _ENERGY_2007)
        else:
            frame = Frame(check_address(address), _READ_1997, identifier_bytes_1997(_ENERGY_1997))
        super().__init__(frame, subject=f"meter {address}: does it speak DL/T 645-{edition}?")
        self.edition: int | None = None
        """What the meter speaks, once it has answered; a refusal is an answer."""
        self.address = address
        """Who is asked; after a question to any meter, who answered."""

    def _take(self, frame: Frame) -> bool:
        if not frame.from_meter or not answers(self._asked.address, frame):
            return self._stray(frame, "it is not from the meter that was asked")
        self.edition, self.address = frame.edition, frame.address
        self._ask(None)
        return True


def edition_probes(address: str) -> Iterator[EditionProbe]:
    """The probes in the order in which to run them; stop at the first that is answered.

    >>> [probe.subject for probe in edition_probes("000000000161")]  # doctest: +NORMALIZE_WHITESPACE
    ['meter 000000000161: does it speak DL/T 645-2007?', 'meter 000000000161: does it speak DL/T 645-1997?']
    """
    for edition in (2007, 1997):
        yield EditionProbe(address, edition)


def silence_after(baud: int) -> float:
    """How long after the last byte of a probe silence means that it was not understood [s]; `baud` [bit/s].

    >>> round(silence_after(2400), 2)
    1.11
    """
    return _DELAY + _LONGEST_PROBE_REPLY * _BITS_PER_BYTE / baud + _GAP
