"""The words that files of readings have for their columns and for what was measured, in both languages."""

import re
from typing import Final

from wattkeeper.readings.files.units import parsed_unit
from wattkeeper.readings.quantities import QUANTITIES

_WORDS: Final = {
    "time": "time, timestamp, datetime, date time, date, read_at, read at, start_at, start, from, ts, zeit, datum, zeitstempel,"
    " 时间, 日期, 抄表时间, 采集时间, 数据时间, 数据日期, 冻结时间, 时标, 抄表日期, 开始时间, 起始时间",
    "clock": "time of day, clock, 时刻, 时分, 时点",
    "until": "end_at, end, until, to, 结束时间, 终止时间",
    "meter": "meter, meter_id, meter address, address, meter number, meter no, serial, device, point, metering point, point code,"
    " zähler, zählernummer, 表号, 电表, 电表号, 电表地址, 表地址, 通信地址, 通讯地址, 资产编号, 计量点, 计量点编号, 计量点号, 电能表",
    "quantity": "quantity, item, register, obis, channel, 量, 数据项, 数据项名称, 项目, 指标, 测量项",
    "unit": "unit, units, uom, einheit, 单位",
    "value": "value, reading, energy, wert, zählerstand, stand, 示数, 读数, 数值, 值, 表码, 示值, 电量, 止码",
    "ignore": "status, source, method, error, recorded_at, note, remark, name, 状态, 来源, 备注, 名称, 户名, 序号, no, id, index",
}
NAMES: Final[dict[str, str]] = {
    word.strip(): role for role, words in _WORDS.items() for word in words.split(",")
}
"""Which role a heading has, in lower case; what is known to be ignored is among them."""

_UNIT_AT_END: Final = re.compile(
    r"^(?P<name>.*?)[\s_]*[(\[（【]\s*(?P<unit>[^()\[\]（）【】]*?)\s*[)\]）】]\s*$"
)
_BARE_UNIT: Final = re.compile(r"^(?P<name>.+?)[\s_]+(?P<unit>[A-Za-z°]+)\s*$")
_ALSO: Final = {
    "import": "active_energy_import", "正向有功总": "active_energy_import", "正向有功": "active_energy_import",
    "正向有功总电能": "active_energy_import", "正向有功电能示值": "active_energy_import", "bezug": "active_energy_import",
    "consumption": "active_energy_import", "usage": "active_energy_import", "export": "active_energy_export",
    "反向有功总": "active_energy_export", "反向有功": "active_energy_export", "反向有功总电能": "active_energy_export",
    "einspeisung": "active_energy_export", "power": "active_power", "功率": "active_power", "有功功率": "active_power",
    "voltage": "voltage_l1", "电压": "voltage_l1", "current": "current_l1", "电流": "current_l1", "频率": "frequency",
}  # fmt: skip


def _lookup() -> dict[str, str]:
    found = dict(_ALSO)
    for entry in QUANTITIES.values():
        if entry.kind == "moment":
            continue
        for word in (entry.obis, entry.name_zh, entry.name_en, entry.key):
            found.setdefault(word.lower(), entry.key)
    return found


_QUANTITY_BY_WORD: Final = _lookup()


def quantity_named(text: str) -> str | None:
    """The key of a quantity by its key, OBIS code (also without its medium), or name in either language."""
    word = re.sub(r"\s+", " ", text).strip().lower()
    return _QUANTITY_BY_WORD.get(word) or _QUANTITY_BY_WORD.get(f"1-0:{word}")


def split_unit(heading: str) -> tuple[str, str]:
    """A heading and the unit it ends with: ``Import (kWh)``, ``voltage_l1 V``; the unit is empty where there is none."""
    text = re.sub(r"\s+", " ", heading).strip()
    for pattern in (_UNIT_AT_END, _BARE_UNIT):
        found = pattern.match(text)
        if found and found["unit"] and parsed_unit(found["unit"]) is not None:
            return found["name"].strip(), found["unit"]
    return text, ""
