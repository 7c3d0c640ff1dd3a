"""What findings say, in both languages: made from code and evidence when somebody looks, and for notices.

The room's own small catalogue, since notices are written without any page. Pages use the same sentences.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from wattkeeper.kernel.severity import Severity
from wattkeeper.monitoring.limits import Code
from wattkeeper.monitoring.models import NoticeKind, SubjectKind
from wattkeeper.monitoring.values import FindingView
from wattkeeper.readings.quantities import QUANTITIES

Language = Literal["zh", "en"]
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Words:
    """What a code is called, what it says, which rule it rests on, and what to do; each in Chinese and English."""

    name: Pair
    sentence: Pair
    rule: Pair
    advice: Pair


CODES: Final[Mapping[str, Words]] = {
    Code.METER_SILENT: Words(
        name=("电表无应答", "Meter silent"),
        sentence=("电表 {name} 无应答", "Meter {name} does not answer"),
        rule=(
            "连续多次抄读无应答，而同一通道上的其他电表有应答。",
            "Several reads in a row found no answer, while others on its link were heard.",
        ),
        advice=(
            "请检查电表供电、通信地址、RS-485 接线（A、B 是否接反）和波特率。",
            "Check its power, its address, the wiring (A and B swapped?) and the baud rate.",
        ),
    ),
    Code.LINK_DOWN: Words(
        name=("通道中断", "Link down"),
        sentence=(
            "通道 {name} 中断，影响电表 {meters} 块",
            "Link {name} is down, meters behind it: {meters}",
        ),
        rule=("通道无法打开已超过 30 秒。", "The link could not be opened for more than 30 seconds."),
        advice=(
            "请检查串口或通信网关的电源、网络和地址；系统会自动重连。",
            "Check the port's or gateway's power, network and address; it is tried again by itself.",
        ),
    ),
    Code.LINK_SILENT: Words(
        name=("通道下电表全部无应答", "Nobody answers on a link"),
        sentence=(
            "通道 {name} 已连通，但其下电表无应答（{silent}/{meters} 块）",
            "Link {name} is open, but its meters do not answer ({silent} of {meters})",
        ),
        rule=(
            "同一通道上的电表相继失去应答，期间没有收到任何数据。",
            "Meters of one link fell silent one after another, and nothing was heard in between.",
        ),
        advice=(
            "请检查总线接线、终端电阻、集中器或串口服务器的串口参数。",
            "Check the bus wiring, its termination, and the serial settings of the gateway.",
        ),
    ),
    Code.VOLTAGE_HIGH: Words(
        name=("电压越上限", "Voltage too high"),
        sentence=(
            "电表 {name} {quantity}越上限：{value} V > {limit} V",
            "Meter {name}: {quantity} too high, {value} V > {limit} V",
        ),
        rule=(
            "GB/T 12325-2008 第 4.3 条：220 V 单相供电电压偏差为标称电压的 +7 %、−10 %；连续两次读数越限。",
            "GB/T 12325-2008, 4.3: 220 V single phase, +7 % to −10 %; two readings in a row were beyond it.",
        ),
        advice=(
            "请检查配电变压器分接头和三相负荷是否平衡；电压异常升高时先排查中性线断线。",
            "Check the transformer's tap and the balance of the phases; when it is far too high, look for a broken neutral first.",
        ),
    ),
    Code.VOLTAGE_LOW: Words(
        name=("电压越下限", "Voltage too low"),
        sentence=(
            "电表 {name} {quantity}越下限：{value} V < {limit} V",
            "Meter {name}: {quantity} too low, {value} V < {limit} V",
        ),
        rule=(
            "GB/T 12325-2008 第 4.3 条：220 V 单相供电电压偏差为标称电压的 +7 %、−10 %；连续两次读数越限。",
            "GB/T 12325-2008, 4.3: 220 V single phase, +7 % to −10 %; two readings in a row were beyond it.",
        ),
        advice=(
            "请检查线路负荷、接头和线径，以及配电变压器分接头。",
            "Check the load of the line, its joints and cross-section, and the transformer's tap.",
        ),
    ),
    Code.FREQUENCY_HIGH: Words(
        name=("频率越上限", "Frequency too high"),
        sentence=(
            "电表 {name} 电网频率越上限：{value} Hz > {limit} Hz",
            "Meter {name}: frequency too high, {value} Hz > {limit} Hz",
        ),
        rule=(
            "GB/T 15945-2008：频率偏差限值 ±0.2 Hz，系统容量较小时可放宽到 ±0.5 Hz。",
            "GB/T 15945-2008: ±0.2 Hz, or ±0.5 Hz where the system is small.",
        ),
        advice=(
            "由孤网或自备电源供电时，请检查机组调速；并网运行时请核对电表。",
            "On an island or a generator, check its governor; on the public grid, check the meter.",
        ),
    ),
    Code.FREQUENCY_LOW: Words(
        name=("频率越下限", "Frequency too low"),
        sentence=(
            "电表 {name} 电网频率越下限：{value} Hz < {limit} Hz",
            "Meter {name}: frequency too low, {value} Hz < {limit} Hz",
        ),
        rule=(
            "GB/T 15945-2008：频率偏差限值 ±0.2 Hz，系统容量较小时可放宽到 ±0.5 Hz。",
            "GB/T 15945-2008: ±0.2 Hz, or ±0.5 Hz where the system is small.",
        ),
        advice=(
            "由孤网或自备电源供电时，请检查机组调速；并网运行时请核对电表。",
            "On an island or a generator, check its governor; on the public grid, check the meter.",
        ),
    ),
    Code.CURRENT_HIGH: Words(
        name=("电流超量程", "Current above the meter's maximum"),
        sentence=(
            "电表 {name} {quantity}超过最大电流：{value} A > {limit} A",
            "Meter {name}: {quantity} above its maximum, {value} A > {limit} A",
        ),
        rule=(
            "电表铭牌最大电流 Imax（流过电表的电流，即二次值）。",
            "The meter's own maximum current Imax: what flows through the meter, which is secondary.",
        ),
        advice=(
            "请减小负荷，或更换更大量程的电表或电流互感器。",
            "Reduce the load, or fit a larger meter or current transformer.",
        ),
    ),
    Code.POWER_HIGH: Words(
        name=("超容用电", "Power above the rated power"),
        sentence=(
            "电表 {name} 计量点功率超过额定功率：{value} kW > {limit} kW",
            "Meter {name}: the point draws more than its rated power, {value} kW > {limit} kW",
        ),
        rule=(
            "计量点档案中的额定功率（一次值）；二次读数乘以倍率后比较。",
            "The metering point's rated power, which is primary; a secondary reading is multiplied by the ratio first.",
        ),
        advice=(
            "请核实用户负荷与合同容量，并核对倍率。",
            "Compare the customer's load with the contract, and check the ratio.",
        ),
    ),
    Code.CLOCK_OFF: Words(
        name=("电表时钟超差", "Meter clock off"),
        sentence=(
            "电表 {name} 时钟{direction} {deviation}，超过 {limit}",
            "The clock of meter {name} is {deviation} {direction}, more than {limit}",
        ),
        rule=(
            "DL/T 645-2007：时钟误差超过 5 分钟时，不能用广播校时。",
            "DL/T 645-2007: a clock that is more than five minutes off cannot be set by broadcast.",
        ),
        advice=(
            "分时电量和负荷记录会随之偏移，请对该表单独校时。",
            "Tariff periods and load records are off by as much: set this meter's clock.",
        ),
    ),
}
SEVERITY: Final[Mapping[str, Pair]] = {
    Severity.CRITICAL: ("紧急", "critical"),
    Severity.WARNING: ("重要", "warning"),
    Severity.INFO: ("提示", "info"),
}
REASONS: Final[Mapping[str, Pair]] = {
    "within": ("连续两次读数恢复到限值以内", "two readings in a row are within the limit again"),
    "answers": ("已恢复应答", "answers again"),
    "connected": ("通道已恢复连接", "the link is open again"),
    "link_down": ("通道已中断，另有告警", "the link itself is down, which is an alarm of its own"),
    "not_read": ("已停用或拆除，不再抄读", "disabled or taken down, so that it is not read any more"),
    "removed": ("档案已删除", "removed from the master data"),
    "no_limit": ("档案中已无该限值", "the master data has no such limit any more"),
}


def _choose(pair: Pair, language: Language) -> str:
    return pair[0] if language == "zh" else pair[1]


def name_of(code: str, language: Language) -> str:
    """What a kind of finding is called."""
    words = CODES.get(code)
    return code if words is None else _choose(words.name, language)


def severity_of(severity: str, language: Language) -> str:
    """A severity in words."""
    return _choose(SEVERITY[severity], language)


def reason_of(reason: str | None, language: Language) -> str:
    """Why a finding was cleared."""
    return "" if reason is None else _choose(REASONS.get(reason, (reason, reason)), language)


def rule_of(code: str, language: Language) -> str:
    """The rule and its source."""
    words = CODES.get(code)
    return "" if words is None else _choose(words.rule, language)


def advice_of(code: str, language: Language) -> str:
    """What to do next."""
    words = CODES.get(code)
    return "" if words is None else _choose(words.advice, language)


def sentence_of(finding: FindingView, language: Language) -> str:
    """What a finding says, in one line."""
    words = CODES.get(finding.code)
    if words is None:
        return f"{finding.code} {finding.subject_name}"
    said = _choose(words.sentence, language)
    return said.format_map(_Facts(_facts(finding, language)))


class _Facts(dict[str, str]):
    """What a sentence may name; evidence of an earlier version may lack some of it."""

    def __missing__(self, key: str) -> str:
        return "–"


def _facts(finding: FindingView, language: Language) -> dict[str, str]:
    evidence = finding.evidence
    worst = evidence.get("worst", evidence)
    facts = {key: str(value) for key, value in evidence.items() if isinstance(value, str | int)}
    facts["name"] = finding.subject_name
    if "quantity" in worst:
        facts["quantity"] = quantity_name(worst["quantity"], language)
        facts["value"], facts["limit"] = compared(
            worst["value"], evidence.get("limit", "0"), worst["quantity"]
        )
    if "deviation_s" in evidence:
        facts["deviation"] = duration(abs(evidence["deviation_s"]), language)
        facts["limit"] = duration(evidence["limit_s"], language)
        fast = evidence["deviation_s"] > 0
        facts["direction"] = _choose(("偏快", "fast") if fast else ("偏慢", "slow"), language)
    return facts


def quantity_name(key: str, language: Language) -> str:
    """A quantity's name."""
    entry = QUANTITIES.get(key)
    return key if entry is None else (entry.name_zh if language == "zh" else entry.name_en)


def compared(value: str, limit: str, quantity: str) -> tuple[str, str]:
    """A value and its limit with as many decimals as one of them needs, and at least one.

    >>> compared("189.0", "198", "voltage_l1"), compared("102", "100", "active_power")
    (('189.0', '198.0'), ('102.0', '100.0'))
    >>> compared("6.001", "6", "current_l1")
    ('6.001', '6.000')
    """
    most = QUANTITIES[quantity].decimals if quantity in QUANTITIES else 4
    shown = [f"{Decimal(text):.{most}f}" for text in (value, limit)]
    spare = min(len(text) - len(text.rstrip("0")) for text in shown)
    cut = min(spare, most - 1) if most else 0
    first, second = (text[: len(text) - cut] for text in shown)
    return first, second


def shown_value(text: str, quantity: str) -> str:
    """A value with the digits that its quantity has, and never more zeros than it was read with."""
    entry = QUANTITIES.get(quantity)
    value = Decimal(text)
    return text if entry is None else f"{round(value, entry.decimals):f}"


def duration(seconds: int, language: Language) -> str:
    """A length of time as a person says it."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    units = ((hours, " 小时", " h"), (minutes, " 分", " min"), (rest, " 秒", " s"))
    parts = [f"{count}{_choose((zh, en), language)}" for count, zh, en in units if count]
    return " ".join(parts[:2]) or f"0{_choose((' 秒', ' s'), language)}"


# -- notices ------------------------------------------------------------------------------------------------------------

_HEADS: Final[Mapping[NoticeKind, Pair]] = {
    NoticeKind.RAISED: ("【{severity}告警】{sentence}", "[{severity}] {sentence}"),
    NoticeKind.CLEARED: ("【告警解除】{sentence}", "[cleared] {sentence}"),
}
_LINES: Final[Mapping[str, Pair]] = {
    "place": ("位置：{place}", "Where: {place}"),
    "raised": ("发生时间：{raised}", "Since: {raised}"),
    "cleared": ("解除时间：{cleared}（{reason}）", "Cleared: {cleared} ({reason})"),
    "rule": ("依据：{rule}", "Rule: {rule}"),
    "advice": ("建议：{advice}", "What to do: {advice}"),
    "url": ("详情：{url}", "Details: {url}"),
}
_TRIAL: Final[tuple[Pair, Pair]] = (
    ("【测试】电管家告警通知", "[test] Alarm notices of Wattkeeper"),
    (
        "这是一封测试邮件。收到它说明告警通知可以送达此邮箱。",
        "This is a test. That it came says that notices of alarms reach this address.",
    ),
)
_FOOT: Final = ("电管家 Wattkeeper 自动发送。", "Sent by Wattkeeper.")


def message_of(
    finding: FindingView, kind: NoticeKind, language: Language, *, zone: ZoneInfo, url: str = ""
) -> tuple[str, str]:
    """The subject and the text of a notice."""
    sentence = sentence_of(finding, language)
    head = _choose(_HEADS[kind], language).format(
        severity=severity_of(finding.severity, language), sentence=sentence
    )
    facts: dict[str, Any] = {
        "place": finding.place,
        "raised": _moment(finding.raised_at, zone),
        "rule": rule_of(finding.code, language),
        "url": url,
    }
    if kind is NoticeKind.CLEARED:
        facts |= {
            "cleared": _moment(finding.cleared_at, zone),
            "reason": reason_of(finding.clear_reason, language),
        }
    else:
        facts["advice"] = advice_of(finding.code, language)
    lines = [_choose(line, language).format_map(facts) for key, line in _LINES.items() if facts.get(key)]
    return head, "\n".join([sentence, "", *lines, "", "-- ", _choose(_FOOT, language), ""])


def trial_message(language: Language) -> tuple[str, str]:
    """The subject and the text of a message that only tries the way."""
    head, text = (_choose(pair, language) for pair in _TRIAL)
    return head, "\n".join([text, "", "-- ", _choose(_FOOT, language), ""])


def _moment(instant: datetime | None, zone: ZoneInfo) -> str:
    if instant is None:
        return "–"
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M:%S} ({zone.key})"


def subject_address(finding: FindingView) -> str:
    """The page of what a finding is about."""
    return (
        f"/meters/{finding.subject_id}"
        if finding.subject_kind is SubjectKind.METER
        else f"/links/{finding.subject_name}"
    )
