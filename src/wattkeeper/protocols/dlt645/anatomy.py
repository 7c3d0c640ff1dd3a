"""The data field of every control code, cut into its parts and named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from wattkeeper.protocols.dlt645 import edition1997
from wattkeeper.protocols.dlt645.errors import BodyError, error_reasons
from wattkeeper.protocols.dlt645.frames import Frame
from wattkeeper.protocols.dlt645.freezes import is_whole_freeze
from wattkeeper.protocols.dlt645.identifiers import Identifier, lookup
from wattkeeper.protocols.dlt645.layouts import Value, layout_of
from wattkeeper.protocols.dlt645.load_records import read_blocks
from wattkeeper.protocols.dlt645.requests import BAUD_WORDS, RELAY_ACTIONS
from wattkeeper.protocols.dlt645.status import describe_bits
from wattkeeper.protocols.dlt645.values import decode_body

__all__ = ["Anatomy", "Piece", "dissect", "function_name"]


class Piece(NamedTuple):
    """Some bytes of the data field that mean one thing."""

    size: int
    key: str
    en: str
    zh: str
    value: str


class Anatomy(NamedTuple):
    """What a data field says."""

    pieces: tuple[Piece, ...]
    identifier: str | None = None
    values: tuple[Value, ...] = ()
    problem: str = ""
    """Why the data behind the identifier could not be read as values."""

    @property
    def fields(self) -> dict[str, str]:
        """The pieces by their keys."""
        return {piece.key: piece.value for piece in self.pieces}


class _Part(NamedTuple):
    size: int
    key: str
    en: str
    zh: str
    say: Callable[[bytes], str]


def _reversed(wire: bytes) -> str:
    return wire[::-1].hex().upper()


def _baud(wire: bytes) -> str:
    speed = next((baud for baud, word in BAUD_WORDS.items() if word == wire[0]), None)
    return f"{wire[0]:02X} ({speed} bit/s)" if speed else f"{wire[0]:02X} (no speed of the standard)"


def _action(wire: bytes) -> str:
    name = next((action for action, code in RELAY_ACTIONS.items() if code == wire[0]), "unknown")
    return f"{wire[0]:02X} ({name})"


_DI = _Part(4, "di", "identifier", "数据标识", _reversed)
_DI_1997 = _Part(2, "di", "identifier", "数据标识", _reversed)
_SEQ = _Part(1, "seq", "follow-up number", "帧序号", lambda wire: str(wire[0]))
_PA = _Part(1, "pa", "password level", "密码权限", _reversed)
_PASSWORD = _Part(3, "password", "password", "密码", _reversed)
_OPERATOR = _Part(4, "operator", "operator code", "操作者代码", _reversed)
_ACCESS = (_PA, _PASSWORD, _OPERATOR)
_NEW_ADDRESS = _Part(6, "new_address", "new address", "新通信地址", _reversed)
_NEW_PASSWORD = (
    _Part(1, "new_pa", "new password level", "新密码权限", _reversed),
    _Part(3, "new_password", "new password", "新密码", _reversed),
)
_TIME = _Part(6, "time", "time YYMMDDhhmmss", "时间 YYMMDDhhmmss", _reversed)
_BAUD_WORD = _Part(1, "baud_word", "baud word", "通信速率特征字", _baud)
_LOAD_TAIL = (
    _Part(1, "records", "number of load records", "负荷记录块数", _reversed),
    _Part(5, "start", "from YYMMDDhhmm", "起始时间 YYMMDDhhmm", _reversed),
)
_ERR = _Part(1, "err", "error bits", "错误信息字", _reversed)
_SERR = _Part(2, "serr", "security error", "安全认证错误信息字", _reversed)

# (edition, function): name, parts of a request, parts of a normal reply. What is left is data.
_FUNCTIONS: dict[tuple[int, int], tuple[str, tuple[_Part, ...], tuple[_Part, ...]]] = {
    (2007, 0x03): ("security", (_DI, _OPERATOR), (_DI,)),
    (2007, 0x08): ("broadcast_time", (_TIME,), ()),
    (2007, 0x11): ("read", (_DI, *_LOAD_TAIL), (_DI,)),
    (2007, 0x12): ("read_follow_up", (_DI, _SEQ), (_DI,)),
    (2007, 0x13): ("read_address", (), (_Part(6, "meter_address", "meter address", "通信地址", _reversed),)),
    (2007, 0x14): ("write", (_DI, *_ACCESS), ()),
    (2007, 0x15): ("write_address", (_NEW_ADDRESS,), ()),
    (2007, 0x16): (
        "freeze",
        (_Part(4, "freeze_at", "freeze at MMDDhhmm", "冻结时间 MMDDhhmm", _reversed),),
        (),
    ),
    (2007, 0x17): ("change_baud", (_BAUD_WORD,), (_BAUD_WORD,)),
    (2007, 0x18): ("change_password", (_DI, _PA, _PASSWORD, *_NEW_PASSWORD), _NEW_PASSWORD),
    (2007, 0x19): ("demand_clear", _ACCESS, ()),
    (2007, 0x1A): ("meter_clear", _ACCESS, ()),
    (2007, 0x1B): ("event_clear", (*_ACCESS, _Part(4, "events", "events", "事件", _reversed)), ()),
    (2007, 0x1C): (
        "relay_control",
        (
            *_ACCESS,
            _Part(1, "action", "action N1", "控制命令类型 N1", _action),
            _Part(1, "n2", "reserved N2", "保留 N2", _reversed),
            _Part(6, "valid_until", "valid until YYMMDDhhmmss", "命令有效截止时间", _reversed),
        ),
        (),
    ),
    (1997, 0x01): ("read", (_DI_1997,), (_DI_1997,)),
    (1997, 0x02): ("read_follow_up", (_DI_1997,), (_DI_1997,)),
    (1997, 0x03): ("re_read", (_DI_1997,), (_DI_1997,)),
    (1997, 0x04): ("write", (_DI_1997, _PA, _PASSWORD), ()),
    (1997, 0x0A): ("write_address", (_NEW_ADDRESS,), ()),
    (1997, 0x0C): ("change_baud", (), ()),
    (1997, 0x0F): ("change_password", (), ()),
    (1997, 0x10): ("demand_clear", (), ()),
}
_READS = frozenset({(2007, 0x11), (2007, 0x12), (1997, 0x01), (1997, 0x02), (1997, 0x03)})
_WRITES = frozenset({(2007, 0x14), (1997, 0x04)})
_SEPARATOR = 0xAA
_DIGITS_1997 = 4  # of an identifier; 2007 has 8
_RECORD_HEAD = 8  # A0 A0, length and time of a load record
_ESAM_LEVEL = 0x98  # PA 98H: what follows the operator code is cipher text and MAC
_NAMES_ZH = {
    "security": "安全认证",
    "broadcast_time": "广播校时",
    "read": "读数据",
    "read_follow_up": "读后续数据",
    "re_read": "重读数据",
    "read_address": "读通信地址",
    "write": "写数据",
    "write_address": "写通信地址",
    "freeze": "冻结命令",
    "change_baud": "更改通信速率",
    "change_password": "修改密码",
    "demand_clear": "最大需量清零",
    "meter_clear": "电表清零",
    "event_clear": "事件清零",
    "relay_control": "跳合闸、报警、保电",
}


def function_name(frame: Frame) -> tuple[str, str]:
    """The function of a frame: (key, Chinese name).

    >>> function_name(Frame("000000000161", 0x91))
    ('read', '读数据')
    """
    entry = _FUNCTIONS.get((frame.edition, frame.function))
    key = entry[0] if entry else f"0x{frame.function:02X}"
    return key, _NAMES_ZH.get(key, "未知功能")


def dissect(frame: Frame) -> Anatomy:
    """What the data field of a frame says; never raises."""
    kind = (frame.edition, frame.function)
    if frame.is_error:
        return Anatomy(tuple(_error_pieces(frame)))
    _, request, reply = _FUNCTIONS.get(kind, ("", (), ()))
    parts = reply if frame.from_meter else request
    body = frame.body
    if kind == (2007, 0x1C) and body[:1] == bytes([_ESAM_LEVEL]):
        parts = _ACCESS
    seq: tuple[Piece, ...] = ()
    if kind == (2007, 0x12) and frame.from_meter and len(body) > _DI.size:
        seq = (_piece(_SEQ, body[-1:]),)
        body = body[:-1]
    pieces, rest = _cut(parts, body)
    identifier = next((piece.value for piece in pieces if piece.key == "di"), None)
    carries_values = kind in (_READS if frame.from_meter else _WRITES)
    if rest and identifier and carries_values:
        values, problem = _values(kind[0], identifier, rest)
        if problem and (frame.has_more or seq):
            problem = "a piece of a longer reply"
        pieces += _value_pieces(identifier, values, rest, problem)
        return Anatomy((*pieces, *seq), identifier, values, problem)
    if rest:
        pieces.append(Piece(len(rest), "data", "data", "数据", rest.hex().upper()))
    return Anatomy((*pieces, *seq), identifier)


def _cut(parts: Iterable[_Part], body: bytes) -> tuple[list[Piece], bytes]:
    pieces = []
    for part in parts:
        if len(body) < part.size:
            break
        pieces.append(_piece(part, body[: part.size]))
        body = body[part.size :]
    return pieces, body


def _piece(part: _Part, wire: bytes) -> Piece:
    return Piece(part.size, part.key, part.en, part.zh, part.say(wire))


def _error_pieces(frame: Frame) -> Iterator[Piece]:
    part = _SERR if len(frame.body) == _SERR.size else _ERR
    pieces, rest = _cut((part,), frame.body)
    for piece in pieces:
        reasons = error_reasons(frame.body[0], edition=frame.edition) if part is _ERR else ()
        en = "; ".join(reason.en for reason in reasons)
        zh = "；".join(reason.zh for reason in reasons)
        yield piece._replace(en=f"error bits: {en}" if en else piece.en, zh=f"错误: {zh}" if zh else piece.zh)
    if rest:
        yield Piece(len(rest), "data", "data", "数据", rest.hex().upper())


def _values(edition: int, di: str, body: bytes) -> tuple[tuple[Value, ...], str]:
    try:
        return (decode_body if edition == 2007 else edition1997.decode_body)(di, body), ""  # noqa: PLR2004
    except BodyError as error:
        return (), error.reason


def _value_pieces(di: str, values: tuple[Value, ...], body: bytes, problem: str) -> list[Piece]:
    """The data behind an identifier, value by value, with what stands between them."""
    if problem or not values:
        note_en, note_zh = (f" ({problem})", f"({problem})") if problem else ("", "")
        return [Piece(len(body), "data", f"data{note_en}", f"数据{note_zh}", body.hex().upper())]
    pieces: list[Piece] = []
    if di.startswith("06"):
        for record, block in read_blocks(di, body):
            pieces += _record_head(block)
            pieces += _walk(record.values, block, _RECORD_HEAD, grouped=True)
        return pieces
    return _walk(values, body, 0, grouped=is_whole_freeze(di))


def _record_head(block: bytes) -> list[Piece]:
    return [
        Piece(2, "mark", "start of load record", "负荷记录起始", block[:2].hex().upper()),
        Piece(1, "record_length", "its length", "负荷记录字节数", str(block[2])),
        Piece(
            5,
            "recorded_at",
            "recorded at YYMMDDhhmm",
            "存储时间 YYMMDDhhmm",
            _reversed(block[3:_RECORD_HEAD]),
        ),
    ]


def _walk(values: tuple[Value, ...], body: bytes, at: int, *, grouped: bool) -> list[Piece]:
    """Each value with its own size; between groups stands AA, what is left closes the data."""
    pieces = []
    for value in values:
        while grouped and body[at] == _SEPARATOR:
            pieces.append(Piece(1, "separator", "end of group", "数据组结束", "AA"))
            at += 1
        size, en, zh = _described(value)
        pieces.append(Piece(size, f"value_{value.identifier}", en, zh, say(value)))
        at += size
    while body[at : at + 1] == b"\xaa":
        pieces.append(Piece(1, "separator", "end of group", "数据组结束", "AA"))
        at += 1
    if body[at:]:
        pieces.append(
            Piece(
                len(body) - at,
                "closing",
                "checksum and end of record",
                "记录校验与结束",
                body[at:].hex().upper(),
            )
        )
    return pieces


def _described(value: Value) -> tuple[int, str, str]:
    """Size [byte] and names of the field a value came from."""
    named = name_of(value.identifier)
    en, zh = (named.name_en, named.name_zh) if named else ("value", "值")
    layout = (edition1997.layout_of if len(value.identifier) == _DIGITS_1997 else layout_of)(value.identifier)
    assert layout is not None  # it has just been decoded
    field = next(field for field in layout.fields if field.part == value.part)
    if value.part:
        en, zh = f"{en}: {value.part.replace('_', ' ')}", f"{zh}: {field.name_zh or value.part}"
    return field.codec.size or len(str(value.value)) // 2, en, zh


def name_of(di: str) -> Identifier | None:
    """The table's entry for an identifier of either edition."""
    return (edition1997.lookup if len(di) == _DIGITS_1997 else lookup)(di)


def plain(value: Value) -> str | None:
    """A value as text: an exact decimal, ISO time, digits, or the hexadecimal of a bit word; None for no value."""
    match value.value:
        case None:
            return None
        case int() as word if not isinstance(word, bool):
            return f"0x{word:04X}"
        case found if hasattr(found, "isoformat"):
            return str(found.isoformat(sep=" "))
        case found:
            return format(found, "f") if not isinstance(found, str) else found


def say(value: Value) -> str:
    """A value with its unit and time, or its set bits, for people."""
    text = plain(value)
    if text is None:
        return "-"
    if isinstance(value.value, int):
        said = [item.en for item in describe_bits(value.identifier, value.value) if item.value]
        return f"{text} ({'; '.join(said)})" if said else text
    when = f" @ {value.occurred_at:%Y-%m-%d %H:%M}" if value.occurred_at else ""
    return f"{text} {value.unit}".rstrip() + when
