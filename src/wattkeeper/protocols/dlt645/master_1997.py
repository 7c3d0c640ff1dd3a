"""The asking side of DL/T 645-1997: the same exchanges as in `master`, with identifiers of 2 bytes and no SEQ.

The frame is that of 2007. There is no address AA..AA to ask by: a read to 99..99 is answered by a single meter on the
line, from its own address.
"""

from __future__ import annotations

from wattkeeper.protocols.dlt645 import edition1997
from wattkeeper.protocols.dlt645.errors import Dlt645Error, MeterRefused, RequestError, UnexpectedReply
from wattkeeper.protocols.dlt645.frames import BROADCAST, Frame, check_address
from wattkeeper.protocols.dlt645.layouts import Value
from wattkeeper.protocols.dlt645.master import Exchange
from wattkeeper.protocols.dlt645.requests import Access

__all__ = ["ReadExchange1997", "WriteAddressExchange1997", "WriteExchange1997"]

_READ, _READ_NEXT, _WRITE, _WRITE_ADDRESS = 0x01, 0x02, 0x04, 0x0A
_MAX_PIECES = 256  # as many as 2007 can number
_MAX_BEGINNINGS = 3
_LONGEST_WRITE = 50


class Exchange1997(Exchange):
    """One question to one meter; refusals are in the words of 1997."""

    di = ""

    def _refusal(self, frame: Frame) -> Dlt645Error:
        return MeterRefused(address=frame.address, identifier=self.di, bits=frame.body[0], edition=1997)


class ReadExchange1997(Exchange1997):
    """Read one identifier (01H), with its follow-up frames (02H).

    >>> exchange = ReadExchange1997("000000000414", "9010")
    >>> exchange.request.hex()
    'fefefefe6814040000000068010243c3f116'
    >>> exchange.feed(bytes.fromhex("6814040000000068810643C348B3C8336B16"))
    True
    >>> exchange.values[0].value, exchange.values[0].unit
    (Decimal('9580.15'), 'kWh')

    Follow-up frames have no number, so one that comes after its request was repeated may be the wanted one or its
    successor. Then the whole read begins anew: slower, and never wrong.
    """

    def __init__(self, address: str, di: str) -> None:
        """`address`: 12 digits, or 99..99 for the one meter on the line; `di`: 4 hexadecimal digits."""
        self.di = di.upper()
        self._head = edition1997.identifier_bytes(self.di)
        super().__init__(
            Frame(check_address(address), _READ, self._head), subject=f"meter {address} reading {self.di}"
        )
        self.address = address
        """Who is asked; after a read to 99..99, who answered."""
        self.body = b""
        """The data of all frames, without identifier."""
        self._pieces = 0
        self._beginnings = 1
        self._repeated = False

    @property
    def values(self) -> tuple[Value, ...]:
        """What the meter said; `BodyError` when the data does not fit the identifier."""
        return edition1997.decode_body(self.di, self.body)

    def restart(self) -> None:
        """Forget the half-received reply; the same request is about to be sent again."""
        super().restart()
        self._repeated = True

    def _answer(self, frame: Frame) -> bool:
        body = frame.body
        if body[:2] != self._head:
            return self._stray(frame, f"it carries {body[1::-1].hex().upper() or 'no identifier'}")
        if self._pieces and self._repeated:
            return self._begin_anew(frame)
        self.address = frame.address
        self.body += body[2:]
        self._pieces += 1
        self._repeated = False
        if not frame.has_more:
            self._ask(None)
        elif self._pieces == _MAX_PIECES:
            self.request = None
            raise UnexpectedReply(self.subject, f"it goes on after {_MAX_PIECES} frames", frame=frame)
        else:
            self._ask(Frame(self.address, _READ_NEXT, self._head))
        return True

    def _begin_anew(self, frame: Frame) -> bool:
        if self._beginnings == _MAX_BEGINNINGS:
            self.request = None
            raise UnexpectedReply(
                self.subject, f"its follow-up frames were lost {_MAX_BEGINNINGS} times", frame=frame
            )
        self._beginnings += 1
        self.body, self._pieces, self._repeated = b"", 0, False
        self._ask(Frame(self.address, _READ, self._head))
        return True


class CommandExchange1997(Exchange1997):
    """What a meter acknowledges with an empty reply."""

    acknowledged = False
    """Whether the meter has said that it obeys."""

    def _answer(self, _frame: Frame) -> bool:
        self.acknowledged = True
        self._ask(None)
        return True


class WriteExchange1997(CommandExchange1997):
    """Write the data of an identifier (04H): password, no operator code.

    >>> exchange = WriteExchange1997("000000000414", "C011", bytes.fromhex("585923"), access=Access(0, "000000"))
    >>> exchange.request.hex()
    'fefefefe6814040000000068040944f3333333338b8c566516'
    """

    def __init__(self, address: str, di: str, payload: bytes, *, access: Access) -> None:
        """`payload`: the data in wire order, as `edition1997.encode_body` makes it."""
        self.di = di.upper()
        body = edition1997.identifier_bytes(self.di) + access.password_bytes + payload
        if len(body) > _LONGEST_WRITE:
            raise RequestError(f"A write carries at most {_LONGEST_WRITE} bytes, not {len(body)}.")
        if "A" in address or address == BROADCAST:
            raise RequestError(f"A write goes to one meter by its whole address, not to {address}.")
        super().__init__(
            Frame(check_address(address), _WRITE, body), subject=f"meter {address} writing {self.di}"
        )


class WriteAddressExchange1997(CommandExchange1997):
    """Give the one meter on the line, its key pressed, a new address (0AH); the reply comes from the new one."""

    def __init__(self, new_address: str) -> None:
        if "A" in check_address(new_address):
            raise RequestError("A meter's own address has 12 digits and no wildcard.")
        super().__init__(
            Frame(BROADCAST, _WRITE_ADDRESS, bytes.fromhex(new_address)[::-1]),
            subject=f"the one meter on the line: taking the address {new_address}",
        )
        self.new_address = new_address

    def _answer(self, frame: Frame) -> bool:
        if frame.address != self.new_address:
            return self._stray(frame, f"it comes from {frame.address}, not from the new address")
        return super()._answer(frame)
