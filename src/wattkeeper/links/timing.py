"""How long things take on a bus: from the standard, and from the speed of the line."""

from dataclasses import dataclass
from typing import Self

from wattkeeper.links.url import LinkUrl

REPLY_DELAY_MIN = 0.020
"""A meter waits this long at least before it answers, DL/T 645-2007 §5.2.7. [s]"""
REPLY_DELAY_MAX = 0.500
"""And this long at most, §5.2.7. [s]"""
BYTE_GAP_MAX = 0.500
"""Bytes of one frame follow each other within this time, §5.2.7. [s]"""
FRAME_MAX = 12 + 200 + 4
"""The longest frame: head, data field of a read reply, preamble, §5.2. [bytes]"""
_SILENCE_MIN = 0.00175  # between Modbus frames [s]


@dataclass(frozen=True, slots=True)
class Timing:
    """The waits of one bus.

    Attributes:
        reply_timeout: from the last byte of a request to the first byte of its reply: the standard's
            500 ms and as much again for adapters and clocks that are slow. [s]
        byte_gap: longest silence inside a reply. [s]
        byte_time: of one byte on the line, for the time a request takes to leave. [s]
        turnaround: from a reply's last byte to the next request, while the meter lets go of the line. [s]
        quiet: silence that ends a wait for late bytes. [s]
        longest_reply: a reply that is not whole by then never will be (babble on the line). [s]
        attempts: how often a request is sent before its meter counts as silent.
        rest_time: of one byte where the speed of the line is known, for silences between frames; 0 behind a gateway
            of unknown speed, which keeps them itself. [s]
        spacing: from one request to the next at least, where the link has a limit. [s]

    """

    reply_timeout: float = 2 * REPLY_DELAY_MAX
    byte_gap: float = BYTE_GAP_MAX
    byte_time: float = 0.0
    turnaround: float = 0.0
    quiet: float = 0.02
    longest_reply: float = 10.0
    attempts: int = 3
    rest_time: float = 0.0
    spacing: float = 0.0

    def silence(self, octets: float) -> float:
        """Seconds for which the line rests before a frame whose protocol asks for the time of so many bytes.

        Modbus asks for 3.5, and for 1.75 ms above 19200 baud (MODBUS over Serial Line V1.02, section 2.5.1.1).
        """
        if not octets or not self.rest_time:
            return 0.0
        return max(octets * self.rest_time, _SILENCE_MIN)

    @classmethod
    def of(cls, url: LinkUrl) -> Self:
        """The waits that suit a link.

        A serial line hands bytes over as they come. A gateway keeps them until the frame is whole, so
        the first byte may come a whole frame later, and the network takes its time too; where the line
        behind it is unknown it is taken for 2400 baud, the standard's default.
        """
        if url.scheme == "serial":
            byte_time = url.byte_time
            patience = 2 * REPLY_DELAY_MAX
            turnaround = byte_time
        else:
            byte_time = url.byte_time or url.bits_per_byte / 2400
            patience = 2 * REPLY_DELAY_MAX + FRAME_MAX * byte_time
            turnaround = 0.0
        longest = patience + 2 * FRAME_MAX * byte_time + 10 * BYTE_GAP_MAX
        return cls(
            reply_timeout=url.timeout or patience,
            byte_time=byte_time,
            turnaround=turnaround,
            longest_reply=longest,
            rest_time=url.byte_time,
            spacing=60 / url.rate if url.rate else 0.0,
        )
