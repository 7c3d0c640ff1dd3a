"""What is heard on a line, frame by frame: chunks put together or taken apart, and what is known of each frame."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from wattkeeper.links.timing import BYTE_GAP_MAX
from wattkeeper.links.traffic import Traffic
from wattkeeper.protocols.dlt645.frames import BrokenFrame, Frame, FrameReader
from wattkeeper.protocols.modbus.explain import explain, looks_like_modbus
from wattkeeper.protocols.modbus.lengths import rtu_length

Check = Literal["ok", "wrong", "none"]
"""The checksum of a frame: right, wrong, or there is no whole frame to have one."""
Family = Literal["dlt645", "modbus"]
_GAP: Final = timedelta(seconds=BYTE_GAP_MAX)
_MOST: Final = 4096
"""Bytes that are put together at most: babble is shown in pieces. [bytes]"""
_WAKE: Final = b"\xfe"
_MBAP: Final = 6
_WRONG: Final = ("checksum", "last byte")
_UNKNOWN: Final = "no frame of a known protocol"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardFrame:
    """One frame as it passed, or bytes that are none."""

    link: str
    at: datetime
    """When its last byte passed (aware UTC)."""
    direction: Literal["tx", "rx"]
    raw: bytes
    """Without the wake-up bytes before it."""
    check: Check
    protocol: Family | None
    """The family whose frame it is, or was to be; None: of none that is known."""
    reason: str = ""
    """Why it is no sound frame."""
    note: str | None = None
    """What the bus made of it: `echo` or `unasked`."""
    gap: timedelta | None = None
    """Since the frame before on this link; None for the first."""

    @property
    def valid(self) -> bool:
        """Whether it is a sound frame."""
        return self.check == "ok"


@dataclass(slots=True)
class Ear:
    """Listens to one link: takes chunks, gives frames."""

    _pending: bytes = b""
    _last: Traffic | None = None
    """The chunk that `_pending` ends with."""
    _before: datetime | None = None
    _given: list[HeardFrame] = field(default_factory=list)

    def take(self, chunk: Traffic) -> list[HeardFrame]:
        """What has become certain with this chunk."""
        last = self._last
        if last is not None and (
            (last.direction, last.note) != (chunk.direction, chunk.note)
            or chunk.at - last.at > _GAP
            or len(self._pending) > _MOST
        ):
            self._end()
        self._pending += chunk.data
        self._last = chunk
        self._cut()
        return self._give()

    def silence(self, now: datetime) -> list[HeardFrame]:
        """What has become certain because nothing follows: bytes of one frame are never further apart."""
        if self._last is not None and now - self._last.at > _GAP:
            self._end()
        return self._give()

    def end(self) -> list[HeardFrame]:
        """What is left when listening ends."""
        if self._last is not None:
            self._end()
        return self._give()

    def _give(self) -> list[HeardFrame]:
        given, self._given = self._given, []
        return given

    def _cut(self) -> None:
        """Take from the front what is whole."""
        events = FrameReader().feed(self._pending)
        if not events:
            for frame in _modbus_frames(self._pending):
                self._add(frame, check="ok", protocol="modbus")
                self._pending = self._pending[len(frame) :]
        self._add_events(events)
        if not self._pending.strip(_WAKE):
            self._pending, self._last = b"", None

    def _end(self) -> None:
        """Nothing more comes: the rest is what it is."""
        reader = FrameReader()
        self._add_events(reader.feed(self._pending) + reader.flush())
        if looks_like_modbus(self._pending):
            reason = explain(self._pending).error
            self._add(self._pending, check="wrong", protocol="modbus", reason=reason)
        elif rest := self._pending.strip(_WAKE):
            self._add(rest, check="none", protocol=None, reason=_UNKNOWN)
        self._pending, self._last = b"", None

    def _add_events(self, events: list[Frame | BrokenFrame]) -> None:
        """Give frames and what stands between them; a sound frame may begin within a broken one."""
        buffer, at, done = self._pending, 0, 0
        for event in events:
            raw, reason = (
                (event.raw, event.reason) if isinstance(event, BrokenFrame) else (event.encode(0), "")
            )
            at = buffer.find(raw, at)
            if noise := buffer[done:at].strip(_WAKE):
                self._add(noise, check="none", protocol=None, reason=_UNKNOWN)
            broken: Check = "wrong" if reason.startswith(_WRONG) else "none"
            self._add(raw, check=broken if reason else "ok", protocol="dlt645", reason=reason)
            done = max(done, at + len(raw))
        self._pending = buffer[done:]

    def _add(self, raw: bytes, *, check: Check, protocol: Family | None, reason: str = "") -> None:
        last = self._last
        assert last is not None
        gap = None if self._before is None else last.at - self._before
        self._before = last.at
        self._given.append(
            HeardFrame(
                link=last.link,
                at=last.at,
                direction=last.direction,
                raw=raw,
                check=check,
                protocol=protocol,
                reason=reason,
                note=last.note,
                gap=gap,
            )
        )


def _modbus_frames(buffer: bytes) -> Iterator[bytes]:
    """The sound Modbus frames that a buffer begins with, RTU or TCP."""
    while buffer:
        ends = [end for end in rtu_length(buffer, 0, "both") if end]
        if buffer[2:4] == b"\0\0" and len(buffer) > _MBAP:
            ends.append(_MBAP + int.from_bytes(buffer[4:6]))
        end = next((end for end in ends if end <= len(buffer) and explain(buffer[:end]).valid), None)
        if end is None:
            return
        yield buffer[:end]
        buffer = buffer[end:]
