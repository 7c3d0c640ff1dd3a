"""What can go wrong in a DL/T 645 conversation, as classes that carry the facts.

Two families: `RequestError` is local (we asked for something the standard has no words for); everything else
is remote (bytes that came from the wire).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wattkeeper.protocols.dlt645.frames import Frame

__all__ = [
    "ERROR_BITS_1997",
    "ERROR_BITS_2007",
    "BodyError",
    "Dlt645Error",
    "ErrorReason",
    "FrameError",
    "MeterRefused",
    "RequestError",
    "UnexpectedReply",
    "WrongAddress",
    "error_reasons",
]


class ErrorReason(NamedTuple):
    """One bit of the ERR byte, in words."""

    key: str
    en: str
    zh: str


# DL/T 645-2007 §7 "ERR": a bit mask, never a code; several bits may be set.
ERROR_BITS_2007 = (
    ErrorReason("other", "other error", "其他错误"),
    ErrorReason("no_such_data", "the meter has no such data", "无请求数据"),
    ErrorReason("password_or_unauthorised", "wrong password or not authorised", "密码错/未授权"),
    ErrorReason("baud_cannot_change", "the baud rate cannot be changed", "通信速率不能更改"),
    ErrorReason("too_many_seasons", "too many seasons in the year table", "年时区数超"),
    ErrorReason("too_many_periods", "too many periods in the day table", "日时段数超"),
    ErrorReason("too_many_tariffs", "too many tariffs", "费率数超"),
    ErrorReason("reserved", "reserved bit 7", "保留"),
)
# DL/T 645-1997: same place, other meanings.
ERROR_BITS_1997 = (
    ErrorReason("illegal_data", "illegal data", "非法数据"),
    ErrorReason("data_identifier", "the meter does not know this data identifier", "数据标识错"),
    ErrorReason("password_or_unauthorised", "wrong password or not authorised", "密码错/未授权"),
    ErrorReason("reserved_3", "reserved bit 3", "保留"),
    ErrorReason("too_many_seasons", "too many seasons in the year table", "年时区数超"),
    ErrorReason("too_many_periods", "too many periods in the day table", "日时段数超"),
    ErrorReason("too_many_tariffs", "too many tariffs", "费率数超"),
    ErrorReason("reserved", "reserved bit 7", "保留"),
)


def error_reasons(bits: int, *, edition: int = 2007) -> tuple[ErrorReason, ...]:
    """The set bits of an ERR byte, lowest first.

    >>> [reason.key for reason in error_reasons(0x05)]
    ['other', 'password_or_unauthorised']
    """
    table = ERROR_BITS_2007 if edition == 2007 else ERROR_BITS_1997  # noqa: PLR2004 - the edition's own name
    return tuple(reason for bit, reason in enumerate(table) if bits >> bit & 1)


class Dlt645Error(Exception):
    """Base of every error of this package."""


class RequestError(Dlt645Error, ValueError):
    """We were asked to send something that DL/T 645 cannot carry. Nothing was sent."""


class FrameError(Dlt645Error):
    """These bytes are not one whole, sound frame."""

    def __init__(self, reason: str, *, raw: bytes = b"") -> None:
        super().__init__(f"Not a DL/T 645 frame: {reason}.")
        self.reason = reason
        self.raw = raw


class BodyError(Dlt645Error):
    """A sound frame carries data that its identifier does not allow."""

    def __init__(self, identifier: str, reason: str, *, body: bytes = b"") -> None:
        super().__init__(f"Data of {identifier} cannot be read: {reason}.")
        self.identifier = identifier
        self.reason = reason
        self.body = body


class WrongAddress(Dlt645Error):
    """Another meter than the one asked has answered."""

    def __init__(self, *, asked: str, frame: Frame) -> None:
        super().__init__(f"Meter {asked} was asked, meter {frame.address} answered.")
        self.asked = asked
        self.frame = frame


class UnexpectedReply(Dlt645Error):
    """The right meter sent a frame that does not answer the outstanding request."""

    def __init__(self, subject: str, reason: str, *, frame: Frame) -> None:
        super().__init__(f"The reply to {subject} does not fit: {reason}.")
        self.subject = subject
        self.reason = reason
        self.frame = frame


class MeterRefused(Dlt645Error):
    """The meter answered with an error reply. Repeating the same request will not help."""

    def __init__(
        self, *, address: str, identifier: str, bits: int, edition: int = 2007, what: str = ""
    ) -> None:
        """`what`: the command in words, where the request was none for an identifier."""
        self.address = address
        self.identifier = identifier
        self.bits = bits
        self.edition = edition
        self.reasons = error_reasons(bits, edition=edition)
        said = "; ".join(reason.en for reason in self.reasons) or "no reason given"
        self.zh = "; ".join(reason.zh for reason in self.reasons) or "未说明原因"
        """The reasons in Chinese, as in `reasons`."""
        refused = f" {what or identifier}" if what or identifier else ""
        super().__init__(f"Meter {address} refused{refused}: {said} (ERR {bits:02X}H).")
