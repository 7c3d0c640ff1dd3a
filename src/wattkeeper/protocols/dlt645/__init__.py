"""DL/T 645: the protocol of Chinese electricity meters, usable alone. Bytes in, values out, no sockets.

Reading a meter takes these lines; `send` and `receive` are yours (a serial port at 2400 baud, 8 data bits, even
parity, 1 stop bit, or a TCP socket):

>>> from wattkeeper.protocols.dlt645 import ReadExchange
>>> def send(data): pass
>>> def receive(): return bytes.fromhex("fefefefe 68610100000000689108 33333433 59333333 8A16")
>>> exchange = ReadExchange("000000000161", "00010000")
>>> while exchange.request:
...     send(exchange.request)
...     while not exchange.feed(receive()):
...         pass
>>> for value in exchange.values:
...     print(value.identifier, value.value, value.unit)
00010000 0.26 kWh
"""

from wattkeeper.protocols.dlt645.commands import (
    BroadcastFreeze,
    ChangeBaudExchange,
    ChangePasswordExchange,
    ClearDemandExchange,
    ClearEventsExchange,
    ClearMeterExchange,
    CommandExchange,
    FreezeExchange,
    RelayExchange,
    WriteAddressExchange,
    WriteExchange,
)
from wattkeeper.protocols.dlt645.errors import (
    BodyError,
    Dlt645Error,
    ErrorReason,
    FrameError,
    MeterRefused,
    RequestError,
    UnexpectedReply,
    WrongAddress,
)
from wattkeeper.protocols.dlt645.frames import BROADCAST, WILDCARD, BrokenFrame, Frame, FrameReader
from wattkeeper.protocols.dlt645.identifiers import Identifier, lookup
from wattkeeper.protocols.dlt645.load_records import LoadRecord, decode_load_records, encode_load_record
from wattkeeper.protocols.dlt645.master import (
    BroadcastTime,
    Exchange,
    LoadRecordExchange,
    ReadAddressExchange,
    ReadExchange,
)
from wattkeeper.protocols.dlt645.meter import MeterDevice, MeterSide
from wattkeeper.protocols.dlt645.planning import plan_reads
from wattkeeper.protocols.dlt645.requests import Access
from wattkeeper.protocols.dlt645.status import ControlWord
from wattkeeper.protocols.dlt645.values import Value, decode_body, encode_body, encode_value

__all__ = [
    "BROADCAST",
    "WILDCARD",
    "Access",
    "BodyError",
    "BroadcastFreeze",
    "BroadcastTime",
    "BrokenFrame",
    "ChangeBaudExchange",
    "ChangePasswordExchange",
    "ClearDemandExchange",
    "ClearEventsExchange",
    "ClearMeterExchange",
    "CommandExchange",
    "ControlWord",
    "Dlt645Error",
    "ErrorReason",
    "Exchange",
    "Frame",
    "FrameError",
    "FrameReader",
    "FreezeExchange",
    "Identifier",
    "LoadRecord",
    "LoadRecordExchange",
    "MeterDevice",
    "MeterRefused",
    "MeterSide",
    "ReadAddressExchange",
    "ReadExchange",
    "RelayExchange",
    "RequestError",
    "UnexpectedReply",
    "Value",
    "WriteAddressExchange",
    "WriteExchange",
    "WrongAddress",
    "decode_body",
    "decode_load_records",
    "encode_body",
    "encode_load_record",
    "encode_value",
    "lookup",
    "plan_reads",
]
