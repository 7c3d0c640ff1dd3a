"""Exchanges that change something in a meter: write, freeze, clear, switch (§7.2 to §7.4; 1CH of the supplement).

Each is one request with one acknowledgement. A meter that does not answer may have obeyed all the same: read the
state back (`status.ControlWord`, or what was written) before sending a command again.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from wattkeeper.protocols.dlt645 import requests
from wattkeeper.protocols.dlt645.errors import Dlt645Error, MeterRefused, RequestError
from wattkeeper.protocols.dlt645.frames import BROADCAST, Frame
from wattkeeper.protocols.dlt645.master import Exchange
from wattkeeper.protocols.dlt645.requests import Access

if TYPE_CHECKING:
    from typing import ClassVar

__all__ = [
    "BroadcastFreeze",
    "ChangeBaudExchange",
    "ChangePasswordExchange",
    "ClearDemandExchange",
    "ClearEventsExchange",
    "ClearMeterExchange",
    "CommandExchange",
    "FreezeExchange",
    "RelayExchange",
    "WriteAddressExchange",
    "WriteExchange",
]

_WRITE_ADDRESS = 0x15


class CommandExchange(Exchange):
    """A command to one meter, answered by an acknowledgement or by `MeterRefused`."""

    _acknowledgement = b""
    """What the reply must carry; meters that add bytes to an empty one are believed."""

    def __init__(self, frame: Frame, *, what: str) -> None:
        """`what`: the command in words, for messages ("the trip")."""
        if frame.function != _WRITE_ADDRESS and ("A" in frame.address or frame.address == BROADCAST):
            raise RequestError(f"A command goes to one meter by its whole address, not to {frame.address}.")
        super().__init__(frame, subject=f"meter {frame.address}: {what}")
        self.what = what
        self.acknowledged = False
        """Whether the meter has said that it obeys."""

    def _refusal(self, frame: Frame) -> Dlt645Error:
        return MeterRefused(
            address=frame.address, identifier=self._identifier, bits=frame.body[0], what=self.what
        )

    def _answer(self, frame: Frame) -> bool:
        if not frame.body.startswith(self._acknowledgement):
            return self._stray(frame, f"it confirms {frame.body.hex(' ').upper() or 'nothing'}")
        self.acknowledged = True
        self._ask(None)
        return True


class WriteExchange(CommandExchange):
    """Write the data of an identifier (14H, §7.2.3).

    >>> access = Access(4, "123456", "12345678")
    >>> WriteExchange("000000000161", "04000409", bytes.fromhex("001200"), access=access).request.hex()
    'fefefefe6861010000000068140f3c37333737896745ab8967453345332916'
    """

    def __init__(self, address: str, di: str, payload: bytes, *, access: Access) -> None:
        """`payload`: the data in wire order, as `encode_value` and `encode_body` make it."""
        self.di = di.upper()
        super().__init__(requests.write(address, self.di, payload, access=access), what=f"writing {self.di}")

    @property
    def _identifier(self) -> str:
        return self.di


class WriteAddressExchange(CommandExchange):
    """Give the one meter on the line, whose programming key is pressed, a new address (15H, §7.2.4).

    The reply comes from the new address; a meter that refuses is silent.
    """

    def __init__(self, new_address: str) -> None:
        super().__init__(requests.write_address(new_address), what=f"taking the address {new_address}")
        self.new_address = new_address

    def _answer(self, frame: Frame) -> bool:
        if frame.address != self.new_address:
            return self._stray(frame, f"it comes from {frame.address}, not from the new address")
        return super()._answer(frame)


class FreezeExchange(CommandExchange):
    """Freeze now (`99999999`), or every month, day or hour from now on (16H, §7.2.5).

    `at` is MMDDhhmm, with 99 for every: `99DDhhmm` monthly, `9999hhmm` daily, `999999mm` hourly.
    """

    def __init__(self, address: str, at: str = "99999999") -> None:
        super().__init__(requests.freeze(address, at), what=f"freezing at {at}")


class BroadcastFreeze(Exchange):
    """The same for all meters on the line; nobody answers."""

    expects_reply: ClassVar[bool] = False

    def __init__(self, at: str = "99999999") -> None:
        super().__init__(requests.freeze(BROADCAST, at), subject=f"all meters: freezing at {at}")

    def _answer(self, frame: Frame) -> bool:
        return self._stray(frame, "a broadcast has no reply")


class ChangeBaudExchange(CommandExchange):
    """Another speed of the port that is being used (17H, §7.2.6), in effect after the reply [bit/s]."""

    def __init__(self, address: str, baud: int) -> None:
        super().__init__(requests.change_baud(address, baud), what=f"changing to {baud} bit/s")
        self._acknowledgement = self._asked.body


class ChangePasswordExchange(CommandExchange):
    """A new password (18H, §7.2.7); `old` is the present one, or one of a higher level."""

    def __init__(self, address: str, di: str, *, old: Access, new: Access) -> None:
        """`di`: 04000Cnn, the identifier of the password."""
        super().__init__(
            requests.change_password(address, di, old=old, new=new),
            what=f"changing its password of level {new.level:02d}",
        )
        self._acknowledgement = new.password_bytes


class ClearDemandExchange(CommandExchange):
    """Clear the maximum demands of the present period (19H, §7.2.8)."""

    def __init__(self, address: str, *, access: Access) -> None:
        super().__init__(requests.clear_demand(address, access=access), what="clearing its demands")


class ClearMeterExchange(CommandExchange):
    """Clear energies, demands, freezes, load records and events (1AH, §7.2.9)."""

    def __init__(self, address: str, *, access: Access) -> None:
        super().__init__(requests.clear_meter(address, access=access), what="clearing itself")


class ClearEventsExchange(CommandExchange):
    """Clear all event records, or those of `di` (its DI0 is FF) (1BH, §7.2.10)."""

    def __init__(self, address: str, di: str = "FFFFFFFF", *, access: Access) -> None:
        super().__init__(
            requests.clear_events(address, di, access=access), what=f"clearing its events {di.upper()}"
        )


_RELAY_WORDS = {
    "trip": "the trip",
    "close_allowed": "the leave to close",
    "close": "closing",
    "alarm": "the alarm",
    "alarm_off": "ending the alarm",
    "keep_power": "keeping power",
    "keep_power_off": "ending to keep power",
}


class RelayExchange(CommandExchange):
    """Trip, close, alarm, keep power (1CH, State Grid supplement); `requests.RELAY_ACTIONS` lists the actions.

    >>> access = Access(2, "123456", "12345678")
    >>> exchange = RelayExchange("000000000161", "trip", access=access, valid_until=datetime(2025, 11, 2, 23, 59, 58))
    >>> exchange.what, len(exchange.request)
    ('the trip', 32)
    """

    def __init__(self, address: str, action: str, *, access: Access, valid_until: datetime) -> None:
        """`valid_until`: by the meter's own clock (naive); it drops the command afterwards."""
        super().__init__(
            requests.relay(address, action, access=access, valid_until=valid_until),
            what=_RELAY_WORDS.get(action, action),
        )

    @classmethod
    def ciphered(cls, address: str, cipher: bytes, *, operator: str = "00000000") -> CommandExchange:
        """With PA = 98H: `cipher` is the cipher text and MAC that a security module made."""
        frame = requests.relay_ciphered(address, operator, cipher)
        return CommandExchange(frame, what="the ciphered relay command")
