"""What the bits of status and mode words mean (appendix C; State Grid supplements where marked)."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CONTROL_WORD", "BitMeaning", "ControlWord", "describe_bits"]

CONTROL_WORD = "04000503"
"""Status word 3: what the relay does and what the meter was told about it."""


class BitMeaning(NamedTuple):
    """One item of a bit word, with what it says now."""

    key: str
    value: int
    en: str
    zh: str


class _Item(NamedTuple):
    low: int
    width: int
    key: str
    en: str
    zh: str


def _flags(*items: tuple[int, str, str, str]) -> tuple[_Item, ...]:
    return tuple(_Item(bit, 1, key, en, zh) for bit, key, en, zh in items)


_PHASES = (("a", "phase A", "A相"), ("b", "phase B", "B相"), ("c", "phase C", "C相"))
_PHASE_WORD = _flags(
    (0, "voltage_loss", "voltage loss", "失压"),
    (1, "undervoltage", "undervoltage", "欠压"),
    (2, "overvoltage", "overvoltage", "过压"),
    (3, "current_loss", "current loss", "失流"),
    (4, "overcurrent", "overcurrent", "过流"),
    (5, "overload", "overload", "过载"),
    (6, "reverse_flow", "reverse power flow", "潮流反向"),
    (7, "phase_failure", "phase failure", "断相"),
    (8, "current_interruption", "current interruption", "断流"),
)
_ACTIVE_COMBINATION = _flags(
    (0, "add_forward", "+ forward active", "正向有功(加)"),
    (1, "subtract_forward", "- forward active", "正向有功(减)"),
    (2, "add_reverse", "+ reverse active", "反向有功(加)"),
    (3, "subtract_reverse", "- reverse active", "反向有功(减)"),
)
_REACTIVE_COMBINATION = _flags(
    *(
        (
            2 * quadrant + sign,
            f"{verb}_q{quadrant + 1}",
            f"{symbol} Q{quadrant + 1}",
            f"第{quadrant + 1}象限({zh})",
        )
        for quadrant in range(4)
        for sign, (verb, symbol, zh) in enumerate((("add", "+", "加"), ("subtract", "-", "减")))
    )
)
_BAUD = _flags(
    *(
        (bit, f"baud_{baud}", f"{baud} bit/s", f"{baud}bps")
        for bit, baud in enumerate((600, 1200, 2400, 4800, 9600, 19200), 1)
    )
)
_WEEKEND = _flags(
    *(
        (bit, f"works_{en[:3].lower()}", f"{en} is a workday", f"星期{zh}工作")
        for bit, (en, zh) in enumerate(
            zip(
                ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"),
                "日一二三四五六",
                strict=True,
            )
        )
    )
)
_LOAD_MODE = _flags(
    (0, "voltage_current_frequency", "voltage, current, frequency", "电压、电流、频率"),
    (1, "power", "active and reactive power", "有、无功功率"),
    (2, "power_factor", "power factor", "功率因数"),
    (3, "energy", "active and reactive energy", "有、无功总电能"),
    (4, "quadrants", "four-quadrant reactive energy", "四象限无功总电能"),
    (5, "demand", "present demand", "当前需量"),
)
_FREEZE_MODE = _flags(
    (0, "forward_active", "forward active energy", "正向有功电能"),
    (1, "reverse_active", "reverse active energy", "反向有功电能"),
    (2, "combined_reactive_1", "combined reactive 1 energy", "组合无功1电能"),
    (3, "combined_reactive_2", "combined reactive 2 energy", "组合无功2电能"),
    (4, "quadrants", "four-quadrant reactive energy", "四象限无功电能"),
    (5, "forward_demand", "forward active maximum demand", "正向有功最大需量"),
    (6, "reverse_demand", "reverse active maximum demand", "反向有功最大需量"),
    (7, "variables", "variables", "变量"),
)
_WORDS: dict[str, tuple[_Item, ...]] = {
    "04000501": _flags(
        (1, "demand_by_interval", "demand by intervals (0: sliding)", "需量积算方式:区间(0滑差)"),
        (2, "clock_battery_low", "clock battery low", "时钟电池欠压"),
        (3, "reading_battery_low", "outage-reading battery low", "停电抄表电池欠压"),
        (4, "active_reverse", "active power direction reverse", "有功功率方向反向"),
        (5, "reactive_reverse", "reactive power direction reverse", "无功功率方向反向"),
    ),
    "04000502": _flags(
        *(
            (bit, f"active_{p}_reverse", f"{en} active reverse", f"{zh}有功反向")
            for bit, (p, en, zh) in enumerate(_PHASES)
        ),
        *(
            (bit, f"reactive_{p}_reverse", f"{en} reactive reverse", f"{zh}无功反向")
            for bit, (p, en, zh) in enumerate(_PHASES, 4)
        ),
    ),
    "04000503": (
        _Item(0, 1, "day_table_set", "day-table set in use (0: first)", "当前运行时段(0第一套)"),
        _Item(1, 2, "supply", "supply (0 main, 1 auxiliary, 2 battery)", "供电方式(0主电源 1辅助电源 2电池)"),
        _Item(3, 1, "programming_allowed", "programming allowed", "编程允许"),
        _Item(4, 1, "relay_open", "relay open", "继电器断开"),
        _Item(5, 1, "season_set", "season set in use (0: first)", "当前运行时区(0第一套)"),
        _Item(6, 1, "relay_command_open", "relay commanded open", "继电器命令断"),
        _Item(7, 1, "trip_alarm", "alarm before trip", "预跳闸报警"),
        _Item(8, 2, "prepayment_type", "prepayment type", "电能表类型(预付费)"),
        _Item(10, 1, "price_set", "price set in use (0: first)", "当前运行分时费率(0第一套)"),
        _Item(11, 1, "ladder_set", "ladder set in use (0: first)", "当前阶梯(0第一套)"),
        _Item(12, 1, "keep_power", "keep power", "保电"),
        _Item(13, 1, "authenticated", "authentication valid", "身份认证有效"),
        _Item(14, 1, "local_account_missing", "no account opened locally", "本地未开户"),
        _Item(15, 1, "remote_account_missing", "no account opened remotely", "远程未开户"),
    ),
    "04000504": _PHASE_WORD,
    "04000505": _PHASE_WORD,
    "04000506": _PHASE_WORD,
    "04000507": _flags(
        (0, "voltage_sequence", "voltage reverse sequence", "电压逆相序"),
        (1, "current_sequence", "current reverse sequence", "电流逆相序"),
        (2, "voltage_unbalance", "voltage unbalance", "电压不平衡"),
        (3, "current_unbalance", "current unbalance", "电流不平衡"),
        (4, "auxiliary_lost", "auxiliary supply lost", "辅助电源失电"),
        (5, "power_down", "power-down", "掉电"),
        (6, "demand_over_limit", "demand over limit", "需量超限"),
        (7, "power_factor_low", "total power factor under limit", "总功率因数超下限"),
        (8, "severe_current_unbalance", "severe current unbalance", "电流严重不平衡"),
    ),
    "04000601": _ACTIVE_COMBINATION,
    "04000602": _REACTIVE_COMBINATION,
    "04000603": _REACTIVE_COMBINATION,
    **{f"0400070{port}": _BAUD for port in range(1, 6)},
    "04000801": _WEEKEND,
    "04000901": _LOAD_MODE,
    **{f"0400090{kind}": _FREEZE_MODE for kind in range(2, 7)},
}


def describe_bits(di: str, word: int) -> tuple[BitMeaning, ...]:
    """Every known item of a bit word, lowest bit first; unknown words have none.

    >>> [item.key for item in describe_bits("04000504", 0x0084) if item.value]
    ['overvoltage', 'phase_failure']
    """
    return tuple(
        BitMeaning(item.key, word >> item.low & (1 << item.width) - 1, item.en, item.zh)
        for item in _WORDS.get(di, ())
    )


class ControlWord(NamedTuple):
    """Status word 3 as far as commands (1CH) change it."""

    relay_open: bool
    """The relay is open: no power behind the meter (bit 4)."""
    ordered_open: bool
    """The last order was to trip (bit 6); with `relay_open`, 0 means that the key may close it."""
    alarm: bool
    """The alarm before a trip is on (bit 7)."""
    keep_power: bool
    """Trips are refused (bit 12). The standard of 2007 leaves this bit reserved, so meters without the State Grid
    supplement always say no."""

    @property
    def close_allowed(self) -> bool:
        """The relay is open and waits for somebody to press the meter's key."""
        return self.relay_open and not self.ordered_open

    @classmethod
    def of(cls, word: int) -> ControlWord:
        """Taken from the 16 bits of identifier 04000503.

        >>> ControlWord.of(0x0050)
        ControlWord(relay_open=True, ordered_open=True, alarm=False, keep_power=False)
        >>> ControlWord.of(0x0010).close_allowed
        True
        """
        return cls(bool(word & 0x0010), bool(word & 0x0040), bool(word & 0x0080), bool(word & 0x1000))
