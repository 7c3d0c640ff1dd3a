"""The table of rules: each has a code, a severity, words, parameters with their defaults, and where it comes from.

What a rule computes is a function of the same code in one of `stamps`, `steps`, `loads`, `electrics`, `sums` and
`presence`. Every rule has the parameter ``enabled`` (1 or 0) beside its own, so that a class of metering point can do
without it from a date on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from wattkeeper.kernel.severity import Severity
from wattkeeper.registry.models import PointKind

INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number a rule is run with."""

    key: str
    default: Decimal
    unit: str
    name_zh: str
    name_en: str
    by_kind: Mapping[PointKind, Decimal] = field(default_factory=dict)
    """Defaults of classes of metering point that differ."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One named rule."""

    code: str
    severity: Severity
    name_zh: str
    name_en: str
    about_zh: str
    about_en: str
    source: str
    parameters: tuple[Parameter, ...]

    def parameter(self, key: str) -> Parameter | None:
        """The parameter of this key, if the rule has it."""
        return next((parameter for parameter in self.parameters if parameter.key == key), None)


def _p(key: str, default: str, unit: str, name_zh: str, name_en: str, **by_kind: str) -> Parameter:
    kinds = {PointKind(kind): Decimal(value) for kind, value in by_kind.items()}
    return Parameter(key, Decimal(default), unit, name_zh, name_en, kinds)


def _rule(
    code: str,
    severity: Severity,
    names: tuple[str, str],
    about: tuple[str, str],
    source: str,
    *parameters: Parameter,
) -> Rule:
    enabled = _p("enabled", "1", "", "启用", "Enabled")
    return Rule(code, severity, *names, *about, source, (enabled, *parameters))


_IN_A_ROW = _p("readings", "2", "", "连续次数", "Readings in a row")
_UBP: Final = "EEI Uniform Business Practices for Unbundled Electricity Metering, vol. 2 (2000), VEE"

_TABLE: Final = (
    # -- what should be there, and when it came ----------------------------------------------------------------------
    _rule(
        "missing", WARNING, ("缺数", "Missing readings"),
        ("计量点时间网格上应有而没有的示数。", "The grid of the metering point asks for readings that are not there."),
        f"{_UBP}: time and gap check",
        _p("grace_hours", "6", "h", "宽限时间", "Time to arrive after the day"),
        _p("share", "0", "", "容许缺失比例", "Share of the day that may be missing"),
    ),
    _rule(
        "duplicate_value", WARNING, ("重复且数值不同", "Two values for one instant"),
        ("同一电表、量和时刻收到过不同的数值; 等级高的现行, 另一个保留。",
         "One meter told two values of a quantity for one instant; the one of higher rank is current, both are kept."),
        f"{_UBP}: duplicate interval check",
        _p("digits", "0", "", "容许差(末位)", "Difference allowed, in last digits"),
    ),
    _rule(
        "late", INFO, ("迟到的示数", "Late readings"),
        ("时刻过去很久才收到, 已算出的结果可能因此改变。首次接入的历史数据不算。",
         "Received long after their instant, so what was computed may change. The past of a meter that was unknown is not late."),
        "practice",
        _p("hours", "24", "h", "迟到界限", "Late after"),
    ),
    _rule(
        "future", WARNING, ("未来的时刻", "Stamp in the future"),
        ("示数的时刻晚于收到它的时刻。", "The reading is stamped later than it was received."),
        "practice",
        _p("minutes", "5", "min", "容许提前", "Allowed"),
    ),
    _rule(
        "clock_drift", WARNING, ("电表时钟偏差", "Meter clock off"),
        ("电表时钟与标准时间相差过大, 或读数已标记时钟可疑。",
         "The meter's clock differs from true time by too much, or its stamps are marked unsure."),
        "DL/T 645-2007 7.8: broadcast sets a clock at most five minutes off",
        _p("seconds", "300", "s", "容许偏差", "Deviation allowed"),
    ),
    _rule(
        "off_grid", INFO, ("时刻偏离网格", "Stamps beside the grid"),
        ("电表自己打的时刻不在计量点的时间网格上, 或逐渐漂移。",
         "Stamps of the meter lie beside the grid of its metering point, or drift along it."),
        f"{_UBP}: time tolerance check",
        _p("seconds", "30", "s", "容许偏离", "Distance allowed"),
        _p("readings", "4", "", "一天内次数", "Readings in a day"),
    ),
    _rule(
        "meter_flag", WARNING, ("电表状态标志", "Status bits of the meter"),
        ("电表自己把读数标为可疑 (状态字, 或不完整的冻结)。",
         "The meter itself marked the value: its status word, or an incomplete freeze."),
        "DL/T 645-2007 appendix C, status words",
    ),
    # -- registers ---------------------------------------------------------------------------------------------------
    _rule(
        "register_outlier", WARNING, ("孤立错误示数", "Single wrong register"),
        ("一个示数同时与前后相矛盾, 推导电量时不采用。",
         "One reading contradicts both its neighbours; intervals are derived without it."),
        "practice",
    ),
    _rule(
        "register_backwards", CRITICAL, ("示数倒走", "Register backwards"),
        ("示数减小, 既不是翻转也不是清零。", "The register went down, and neither a rollover nor a reset explains it."),
        "practice",
    ),
    _rule(
        "register_rollover", INFO, ("示数翻转", "Register rollover"),
        ("示数走满位数后从零开始, 额定功率证实。",
         "The register passed its last digit and began again, which the rated power confirms."),
        f"{_UBP}: register rollover",
        _p("factor", "1.2", "", "额定功率倍数", "Times the rated power"),
    ),
    _rule(
        "register_reset", CRITICAL, ("示数清零", "Register reset"),
        ("示数突然接近零, 不是翻转: 电表被清零或更换而未登记。",
         "The register is suddenly near zero and did not roll over: cleared, or exchanged without a record."),
        "DL/T 645-2007 7.13: clearing a meter is a recorded event",
        _p("share", "0.05", "", "剩余比例", "Share of the register left"),
    ),
    _rule(
        "register_capacity", WARNING, ("示数超出位数", "Register beyond its digits"),
        ("示数为负或超过登记的位数。", "The register is negative, or has more digits than the meter."),
        "practice",
    ),
    _rule(
        "exchange_mismatch", CRITICAL, ("换表示数不符", "Meter exchange does not match"),
        ("装表或拆表登记的底数与前后示数不符。",
         "The register noted when the meter was put up or taken down does not fit the readings beside it."),
        "practice",
        _p("kwh", "1", "kWh", "登记取整", "Rounding of what was noted, as the meter shows it"),
        _p("factor", "1.2", "", "额定功率倍数", "Times the rated power"),
    ),
    _rule(
        "spike_rating", CRITICAL, ("电量超出额定", "More energy than the rating allows"),
        ("两次示数之间的电量 (已乘倍率) 超过额定功率所能用的。",
         "Between two readings more was counted, ratio applied, than the rated power can draw."),
        "GB/T 20840.2: a current transformer carries 120 % for good",
        _p("factor", "1.2", "", "额定功率倍数", "Times the rated power"),
    ),
    # -- load --------------------------------------------------------------------------------------------------------
    _rule(
        "spike_day", INFO, ("日内尖峰", "Spike within the day"),
        ("当天最高负荷远高于第三高的负荷。", "The day's highest load is far above its third highest."),
        f"{_UBP}: spike check, (P1 - P3) / P3",
        _p("ratio", "1.8", "", "(P1 - P3) / P3", "(P1 - P3) / P3", household="5"),
        _p("least_kw", "3", "kW", "最小负荷", "Least load judged"),
    ),
    _rule(
        "spike_history", WARNING, ("高于自身历史", "Above its own history"),
        ("当天最高负荷远高于前七天的最高负荷。", "The day's highest load is far above the highest of the seven days before."),
        f"{_UBP}: high usage check",
        _p("factor", "3", "", "倍数", "Times"),
        _p("least_kw", "3", "kW", "最小负荷", "Least load judged"),
        _p("days", "3", "d", "至少历史天数", "Days of history needed"),
    ),
    _rule(
        "low_history", INFO, ("低于自身历史", "Below its own history"),
        ("当天负荷的中位数远低于前七天中最低的一天。", "The median load of the day is far below that of each of the seven days before."),
        f"{_UBP}: low usage check",
        _p("share", "0.3", "", "前七天最低中位数的比例", "Share of the lowest median of the days before"),
        _p("least_kw", "0.5", "kW", "最小中位数", "Least median judged"),
        _p("days", "3", "d", "至少历史天数", "Days of history needed"),
    ),
    _rule(
        "dip", WARNING, ("短时跌零", "Dip to nearly zero"),
        ("少数时段的负荷突然跌到当天中位数的一小部分。", "For a few readings the load falls to a small part of the day's median."),
        "practice",
        _p("share", "0.1", "", "中位数比例", "Share of the median", household="0.02"),
        _p("readings", "8", "", "一天内最多次数", "Readings in a day at most"),
        _p("least_kw", "0.5", "kW", "最小中位数", "Least median judged"),
    ),
    _rule(
        "stuck", WARNING, ("数值不变", "Stuck value"),
        ("示数在走过之后整天不动, 或电压、频率多次一字不差。",
         "A register that was counting stands still for a day, or voltage or frequency repeats to the digit."),
        f"{_UBP}: zero usage check",
        _p("hours", "24", "h", "示数不动", "Register stands still for"),
        _p("readings", "12", "", "相同次数", "Equal readings in a row"),
        _p("minutes", "180", "min", "相同持续", "Equal for"),
    ),
    _rule(
        "zero_with_current", CRITICAL, ("有流无电量", "No energy with current flowing"),
        ("有电流而正向有功示数不走, 也没有反送。", "Current flows, the import register stands still, and nothing is exported."),
        "Q/GDW 10373 (用电信息采集系统): abnormal energy, current without energy",
        _p("current_a", "0.5", "A", "最小电流", "Least current, as the meter shows it"),
        _p("hours", "1", "h", "至少持续", "For at least"),
        _p("readings", "3", "", "电流读数", "Readings of current"),
    ),
    _rule(
        "vacant_use", WARNING, ("空户用电", "Use without an account"),
        ("户号已销或无人承担期间仍有用电。", "Energy was used while no open account paid for the point."),
        "practice",
        _p("kwh", "0.1", "kWh", "一天内电量", "Energy in a day"),
    ),
    _rule(
        "negative_import_only", WARNING, ("单向计量点反向", "Negative on an import-only point"),
        ("从未反送过的计量点出现反向功率或反向电量: 接线错误或未登记的发电。",
         "A point that never exported shows negative power or exported energy: wrong wiring or unknown generation."),
        "practice",
        _p("kwh", "0.1", "kWh", "一天反向电量", "Exported in a day"),
        _p("known_kwh", "1", "kWh", "视为双向的反向示数", "Export register of a two-way point"),
        _IN_A_ROW,
    ),
    _rule(
        "demand_rating", WARNING, ("需量超出额定", "Demand above the rating"),
        ("需量或有功功率 (已乘倍率) 超过额定功率。", "A demand or active power, ratio applied, is above the rated power."),
        "GB/T 20840.2: a current transformer carries 120 % for good",
        _p("factor", "1.2", "", "额定功率倍数", "Times the rated power"),
    ),
    # -- sums --------------------------------------------------------------------------------------------------------
    _rule(
        "tariff_sum", WARNING, ("总不等于费率之和", "Total is not the sum of tariffs"),
        ("同一时刻总电能示数与四个费率示数之和不符。", "At one instant the total register is not the sum of its four tariffs."),
        "DL/T 614-2007: the tariffs add up to the total within rounding",
        _p("digits", "5", "", "容许差(末位)", "Difference allowed, in last digits"),
    ),
    _rule(
        "phase_sum", WARNING, ("总不等于各相之和", "Total is not the sum of phases"),
        ("同一时刻总有功功率与三相之和不符。", "At one instant total active power is not the sum of the three phases."),
        "practice",
        _p("share", "0.01", "", "容许差比例", "Share of the total allowed"),
        _p("kw", "0.05", "kW", "容许差", "Difference allowed, as the meter shows it"),
        _IN_A_ROW,
    ),
    _rule(
        "interval_sum", CRITICAL, ("区间之和与示数不符", "Intervals do not add up to the registers"),
        ("一整天的区间电量之和不等于示数之差乘倍率。",
         "The intervals of a whole day are not what the register counted times the ratio."),
        f"{_UBP}: sum check",
        _p("share", "0.001", "", "容许差比例", "Share allowed"),
        _p("digits", "2", "", "容许差(末位)", "Difference allowed, in last digits"),
    ),
    # -- electrical limits -------------------------------------------------------------------------------------------
    _rule(
        "voltage_high", WARNING, ("电压过高", "Voltage high"),
        ("相电压高于供电允许的上限。", "A phase voltage is above what supply may have."),
        "GB/T 12325-2008 4.3: 220 V +7 %",
        _p("limit_v", "235.4", "V", "上限", "Limit"),
        _IN_A_ROW,
    ),
    _rule(
        "voltage_low", WARNING, ("电压过低", "Voltage low"),
        ("相电压低于供电允许的下限。", "A phase voltage is below what supply may have."),
        "GB/T 12325-2008 4.3: 220 V -10 %",
        _p("limit_v", "198", "V", "下限", "Limit"),
        _p("connected_v", "22", "V", "视为接入", "Taken as connected from"),
        _IN_A_ROW,
    ),
    _rule(
        "voltage_lost", CRITICAL, ("失压", "Phase voltage lost"),
        ("一相没有电压, 而它当天有过电压, 或其他相有电压且它有电流。",
         "A phase has no voltage, though it had some that day, or other phases have it and current flows in this one."),
        "DL/T 566-1995: voltage-loss timers, loss of voltage",
        _p("connected_v", "22", "V", "视为接入", "Taken as connected from"),
        _p("current_a", "0.1", "A", "视为有流", "Taken as current from"),
    ),
    _rule(
        "current_high", WARNING, ("电流过大", "Current high"),
        ("流过电表的电流超过其最大电流。", "More current flows through the meter than its maximum current."),
        "GB/T 17215.321: maximum current Imax",
        _p("factor", "1", "", "最大电流倍数", "Times the maximum current"),
        _IN_A_ROW,
    ),
    _rule(
        "power_factor", INFO, ("功率因数", "Power factor"),
        ("功率因数不可能 (大于 1), 或带负荷时低于考核标准。",
         "The power factor is impossible (above 1), or below the standard while there is load."),
        "(83) 水电财字第215号: 0.90 or 0.85 by class of customer",
        _p("limit", "0", "", "下限", "Limit", factory="0.9", shop="0.85"),
        _p("least_kw", "5", "kW", "最小负荷", "Least load judged"),
        _IN_A_ROW,
    ),
    _rule(
        "frequency", WARNING, ("频率偏差", "Frequency"),
        ("频率偏离额定值过多。", "The frequency is too far from the nominal one."),
        "GB/T 15945-2008: 50 Hz +/-0.2 Hz, +/-0.5 Hz in a small system",
        _p("nominal_hz", "50", "Hz", "额定频率", "Nominal"),
        _p("band_hz", "0.2", "Hz", "容许偏差", "Band"),
        _IN_A_ROW,
    ),
    _rule(
        "voltage_unbalance", WARNING, ("电压不平衡", "Voltage unbalance"),
        ("三相电压偏离其平均值过多。", "A phase voltage is too far from the mean of the three."),
        "GB/T 15543-2008: 2 % (as the largest deviation from the mean, NEMA MG-1)",
        _p("share", "0.02", "", "容许不平衡", "Unbalance allowed"),
        _p("connected_v", "22", "V", "视为接入", "Taken as connected from"),
        _IN_A_ROW,
    ),
    _rule(
        "current_unbalance", INFO, ("电流不平衡", "Current unbalance"),
        ("三相电流相差过大: (最大 - 最小) / 最大。", "Phase currents differ too much: (largest - smallest) / largest."),
        "Q/GDW 1519-2014: 15 % (Yyn0) or 25 % (Dyn11) at a distribution transformer",
        _p("share", "0.25", "", "容许不平衡", "Unbalance allowed",
           household="1", shop="1", office="1", street_light="1"),
        _p("least_a", "1", "A", "最小平均电流", "Least mean current, as the meter shows it"),
        _p("readings", "8", "", "连续次数", "Readings in a row"),
    ),
)  # fmt: skip

RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.code: rule for rule in _TABLE})
"""Every rule by its code, in the order a person would list them."""
