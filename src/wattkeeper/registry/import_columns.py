"""The columns of an import file: their headings in both languages, and how a cell becomes a value."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from wattkeeper.registry.errors import BadValue
from wattkeeper.registry.models import AccountKind, PointKind
from wattkeeper.registry.rules import checked_ratio
from wattkeeper.registry.sides import Shows

_DLT645_DIGITS = 12
_LONGEST_TEXT = 200
_TOO_MUCH = 10**12
_YEARS = range(1970, 2100)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its key, headings, how a cell is read, and what the template says about it."""

    key: str
    zh: str
    en: str
    parse: Callable[[Any], Any]
    example: str
    note_zh: str
    note_en: str
    required: bool = False


def text(cell: Any) -> str:
    """A cell as text; a spreadsheet's 12.0 is 12."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    written = str(cell).strip()
    if len(written) > _LONGEST_TEXT or not written.isprintable():
        raise BadValue(
            "", "The text is longer than a line of 200 characters.", hint="Shorten it to one line."
        )
    return written


def address(cell: Any) -> str:
    """A meter's address; a spreadsheet that took it for a number has dropped the zeros in front."""
    if isinstance(cell, int | float) and not isinstance(cell, bool) and float(cell).is_integer():
        return str(int(cell)).zfill(_DLT645_DIGITS)
    return text(cell)


def number(cell: Any) -> Decimal:
    """An exact number; a spreadsheet's float is taken as it is shown."""
    try:
        value = Decimal(text(cell).replace(",", ""))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not 0 <= value < _TOO_MUCH or value != round(value, 4):
        raise BadValue(
            "", f"{text(cell)!r} is not a number with at most 4 decimals.", hint="Write it like 40 or 123.45."
        )
    return value


def ratio(cell: Any) -> Decimal:
    """A transformer's ratio: primary over secondary."""
    return checked_ratio("", number(cell))


def positive(cell: Any) -> Decimal:
    """An exact number above zero with at most 3 decimals."""
    value = number(cell)
    if value <= 0 or value != round(value, 3):
        raise BadValue(
            "",
            f"{text(cell)!r} is not a number above zero with at most 3 decimals.",
            hint="Write it like 7.5.",
        )
    return value


def whole(lowest: int, highest: int) -> Callable[[Any], int]:
    """A parser of whole numbers within bounds."""

    def parse(cell: Any) -> int:
        written = text(cell)
        if not (written.isascii() and written.isdigit() and lowest <= int(written) <= highest):
            raise BadValue(
                "",
                f"{written!r} is not a whole number from {lowest} to {highest}.",
                hint="Correct the number.",
            )
        return int(written)

    return parse


def interval(cell: Any) -> int:
    """The length of a point's intervals [min]."""
    written = text(cell)
    if written not in {"1", "5", "10", "15", "30", "60"}:
        raise BadValue("", f"Intervals cannot last {written} minutes.", hint="Use 1, 5, 10, 15, 30 or 60.")
    return int(written)


def local_time(cell: Any) -> datetime:
    """A date, or date and time, on the clock of the site (without a zone)."""
    read = _read_time(cell)
    if read is None or read.year not in _YEARS:
        raise BadValue(
            "", f"{text(cell)!r} is not a date.", hint="Write it like 2026-03-01 or 2026-03-01 14:30."
        )
    return read


def _read_time(cell: Any) -> datetime | None:
    if isinstance(cell, datetime):
        return cell.replace(tzinfo=None)
    if isinstance(cell, date):
        return datetime.combine(cell, time(0))
    written = text(cell).replace("/", "-").replace("年", "-").replace("月", "-").replace("日", "")
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"):
        try:
            return datetime.strptime(written, form)  # noqa: DTZ007 - the site's zone is added where the site is known
        except ValueError:
            continue
    return None


def choice(kind: type[enum.StrEnum], zh: dict[str, str]) -> Callable[[Any], enum.StrEnum]:
    """A parser of one of the values of an enumeration, written in English or Chinese."""
    words = {member.value.lower(): member for member in kind} | {
        word: kind(value) for value, word in zh.items()
    }

    def parse(cell: Any) -> enum.StrEnum:
        written = text(cell)
        if (found := words.get(written.lower().replace(" ", "_"))) is None:
            raise BadValue(
                "", f"{written!r} is not one of the choices.", hint=f"Use one of {', '.join(words)}."
            )
        return found

    return parse


_POINT_KINDS = {
    "household": "居民",
    "shop": "商铺",
    "factory": "工厂",
    "street_light": "路灯",
    "office": "办公",
}
_ACCOUNT_KINDS = {"residential": "居民", "commercial": "商业", "industrial": "工业"}
_SHOWS = {"primary": "一次", "secondary": "二次"}

COLUMNS = (
    Column("site_code", "站点编码", "Site code", text, "", "只有一个站点时可不填", "May be empty when there is one site"),
    Column("link_code", "通道编码", "Link code", text, "BUS-1", "电表所在的通道", "The link the meter answers on", required=True),
    Column("link_url", "通道地址", "Link URL", text, "tcp://192.168.1.50:8899", "新通道必填", "Needed for a new link"),
    Column("address", "表地址", "Meter address", address, "000000000161", "铭牌上的12位数字，设为文本格式；Modbus 表填从站地址 1 至 247", "The 12 digits of the label, as text; of a Modbus meter its unit, 1 to 247", required=True),
    Column("protocol", "通信规约", "Protocol", text, "dlt645-2007", "默认 dlt645-2007；旧表 dlt645-1997，不知版本填 dlt645（自动识别）；Modbus 表填 modbus-rtu 或 modbus-tcp", "dlt645-2007 when empty; dlt645-1997, dlt645 when unknown (the meter is asked); modbus-rtu, modbus-tcp"),
    Column("model", "型号", "Model", text, "DDZY-1", "电表型号；Modbus 表填寄存器表名", "The meter's model; of a Modbus meter its register map"),
    Column("register_digits", "整数位数", "Register digits", whole(1, 12), "6", "默认 6", "6 when empty"),
    Column("register_decimals", "小数位数", "Register decimals", whole(0, 4), "2", "默认 2", "2 when empty"),
    Column("shows", "示值侧", "Shows", choice(Shows, _SHOWS), "二次", "一次 或 二次，默认二次；Modbus 表默认按寄存器表", "primary or secondary (when empty; of a Modbus meter as its map says)"),
    Column("max_current_a", "最大电流(A)", "Max current (A)", positive, "60", "", ""),
    Column("point_code", "计量点编码", "Point code", text, "P-0161", "", "", required=True),
    Column("point_name", "计量点名称", "Point name", text, "1栋101", "默认同编码", "The code when empty"),
    Column("point_kind", "计量点类型", "Point kind", choice(PointKind, _POINT_KINDS), "居民", "居民、商铺、工厂、路灯、办公，默认居民", "household (when empty), shop, factory, street_light, office"),
    Column("area_code", "台区编码", "Area code", text, "", "", ""),
    Column("area_name", "台区名称", "Area name", text, "", "新台区必填", "Needed for a new area"),
    Column("interval_minutes", "区间(分钟)", "Interval (min)", interval, "15", "默认 15", "15 when empty"),
    Column("rated_power_kw", "额定功率(kW)", "Rated power (kW)", positive, "15", "用于数据合理性检查", "Bounds what is believed of the readings"),
    Column("installed_at", "安装时间", "Installed at", local_time, "2026-01-01 00:00", "新装必填，站点当地时间", "Needed for a new installation; the site's time"),
    Column("ct_ratio", "电流互感器变比", "CT ratio", ratio, "1", "一次比二次，如 200/5 填 40，默认 1", "Primary over secondary: 40 for 200/5; 1 when empty"),
    Column("pt_ratio", "电压互感器变比", "PT ratio", ratio, "1", "默认 1", "1 when empty"),
    Column("first_register", "安装底度(kWh)", "First register (kWh)", number, "0", "安装时的正向有功总示数，默认 0", "The display when installed; 0 when empty"),
    Column("account_code", "户号", "Account code", text, "1000000161", "", ""),
    Column("account_name", "户名", "Account name", text, "张三", "新户必填", "Needed for a new account"),
    Column("account_kind", "用电类别", "Account kind", choice(AccountKind, _ACCOUNT_KINDS), "居民", "居民、商业、工业，默认居民", "residential (when empty), commercial, industrial"),
    Column("account_address", "用电地址", "Account address", text, "", "", ""),
    Column("customer_code", "用户编号", "Customer code", text, "", "默认同户号", "The account code when empty"),
    Column("customer_name", "用户名称", "Customer name", text, "", "默认同户名", "The account name when empty"),
    Column("phone", "联系电话", "Phone", text, "", "", ""),
    Column("email", "电子邮箱", "E-mail", text, "", "", ""),
)  # fmt: skip
BY_KEY = {column.key: column for column in COLUMNS}


def column_of(heading: str) -> Column | None:
    """The column a heading means, in either language or by its key; case, blanks and signs do not matter."""
    return _BY_HEADING.get(_plain(heading))


def _plain(heading: str) -> str:
    return "".join(letter for letter in heading.lower() if letter.isalnum())


_BY_HEADING = {
    _plain(heading): column for column in COLUMNS for heading in (column.key, column.zh, column.en)
}
