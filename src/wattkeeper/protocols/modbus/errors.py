"""What can go wrong in a Modbus conversation, as classes that carry the facts.

Two families: `RequestError` and `MapError` are local (we asked for something Modbus has no words for, or a register
map says something impossible); everything else is remote (bytes that came from the wire).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wattkeeper.protocols.modbus.frames import Frame

__all__ = [
    "EXCEPTIONS",
    "ExceptionReason",
    "FrameError",
    "MapError",
    "MeterRefused",
    "ModbusError",
    "RequestError",
    "UnexpectedReply",
    "WrongUnit",
    "exception_reason",
]


class ExceptionReason(NamedTuple):
    """One exception code, in words."""

    key: str
    en: str
    zh: str


# MODBUS Application Protocol Specification V1.1b3, section 7; 07 is of its forerunner (PI-MBUS-300), 09 of none.
EXCEPTIONS = {
    0x01: ExceptionReason("illegal_function", "the meter does not know this function", "非法功能"),
    0x02: ExceptionReason("illegal_data_address", "the meter has no such register", "非法数据地址"),
    0x03: ExceptionReason(
        "illegal_data_value", "the meter does not accept this number or value", "非法数据值"
    ),
    0x04: ExceptionReason("server_device_failure", "the meter failed while it did this", "从站设备故障"),
    0x05: ExceptionReason("acknowledge", "the meter has begun and needs more time", "确认, 处理中"),
    0x06: ExceptionReason("server_device_busy", "the meter is busy; ask again later", "从站设备忙"),
    0x07: ExceptionReason("negative_acknowledge", "the meter cannot do this", "否定确认"),
    0x08: ExceptionReason("memory_parity_error", "the meter's memory is damaged", "存储奇偶性差错"),
    0x0A: ExceptionReason(
        "gateway_path_unavailable", "the gateway has no way to this meter", "网关路径不可用"
    ),
    0x0B: ExceptionReason(
        "gateway_target_failed", "the meter behind the gateway did not answer", "网关目标设备无响应"
    ),
}


def exception_reason(code: int) -> ExceptionReason:
    """What an exception code says.

    >>> exception_reason(2).en
    'the meter has no such register'
    """
    return EXCEPTIONS.get(
        code, ExceptionReason("unknown", f"exception {code:02X}H, which no standard names", "未知异常码")
    )


class ModbusError(Exception):
    """Base of every error of this package."""


class RequestError(ModbusError, ValueError):
    """We were asked to send something that Modbus cannot carry. Nothing was sent."""


class MapError(ModbusError):
    """A register map says something impossible; `problems` has one line each, with file, line and key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class FrameError(ModbusError):
    """These bytes are not one whole, sound frame."""

    def __init__(self, reason: str, *, raw: bytes = b"") -> None:
        super().__init__(f"Not a Modbus frame: {reason}.")
        self.reason = reason
        self.raw = raw


class WrongUnit(ModbusError):
    """Another meter than the one asked has answered."""

    def __init__(self, *, asked: int, frame: Frame) -> None:
        super().__init__(f"Unit {asked} was asked, unit {frame.unit} answered.")
        self.asked = asked
        self.frame = frame


class UnexpectedReply(ModbusError):
    """The right meter sent a frame that does not answer the outstanding request."""

    def __init__(self, subject: str, reason: str, *, frame: Frame) -> None:
        super().__init__(f"The reply to {subject} does not fit: {reason}.")
        self.subject = subject
        self.reason = reason
        self.frame = frame


class MeterRefused(ModbusError):
    """The meter answered with an exception."""

    def __init__(self, subject: str, *, code: int) -> None:
        self.subject = subject
        self.code = code
        self.reason = exception_reason(code)
        super().__init__(f"Refused: {subject}: {self.reason.en} (exception {code:02X}).")
