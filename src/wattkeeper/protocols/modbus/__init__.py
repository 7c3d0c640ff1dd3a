"""Modbus RTU and TCP, usable alone. Bytes in, values out, no sockets.

Reading two registers takes these lines; `send` and `receive` are yours (a serial port, or a TCP socket):

>>> from wattkeeper.protocols.modbus import ReadRegisters, decode
>>> def send(data): pass
>>> def receive(): return bytes.fromhex("010404436633341B38")
>>> exchange = ReadRegisters(1, 0, 2, function=4)  # address 0 as on the wire; framing="tcp" over Modbus TCP
>>> while exchange.request:
...     send(exchange.request)
...     while not exchange.feed(receive()):
...         pass
>>> print(decode("float32", exchange.octets))
230.20001
"""

from wattkeeper.protocols.modbus.errors import (
    EXCEPTIONS,
    FrameError,
    MapError,
    MeterRefused,
    ModbusError,
    RequestError,
    UnexpectedReply,
    WrongUnit,
)
from wattkeeper.protocols.modbus.frames import BrokenFrame, Frame, RtuReader, TcpReader
from wattkeeper.protocols.modbus.master import (
    Exchange,
    IdentificationExchange,
    ReadBits,
    ReadFile,
    ReadRegisters,
    WriteCoil,
    WriteCoils,
    WriteRegister,
    WriteRegisters,
)
from wattkeeper.protocols.modbus.meter import MeterDevice, MeterSide, Refusal
from wattkeeper.protocols.modbus.requests import FilePart
from wattkeeper.protocols.modbus.values import decode, encode, reorder

__all__ = [
    "EXCEPTIONS",
    "BrokenFrame",
    "Exchange",
    "FilePart",
    "Frame",
    "FrameError",
    "IdentificationExchange",
    "MapError",
    "MeterDevice",
    "MeterRefused",
    "MeterSide",
    "ModbusError",
    "ReadBits",
    "ReadFile",
    "ReadRegisters",
    "Refusal",
    "RequestError",
    "RtuReader",
    "TcpReader",
    "UnexpectedReply",
    "WriteCoil",
    "WriteCoils",
    "WriteRegister",
    "WriteRegisters",
    "WrongUnit",
    "decode",
    "encode",
    "reorder",
]
