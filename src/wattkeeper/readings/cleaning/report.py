"""What a person reads after a cleaning: what the file was taken for, what is wrong with it, what was done."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from wattkeeper.readings.cleaning.kinds import Kind, Stamp
from wattkeeper.readings.cleaning.values import Cleaned, Facts
from wattkeeper.readings.validation.rules import RULES

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_KINDS: Final = {
    Kind.REGISTERS: ("电表示数", "registers"),
    Kind.ENERGIES: ("区间电量", "energies of steps"),
    Kind.POWER: ("功率均值", "mean powers of steps"),
}
_STAMPS: Final = {
    Stamp.START: ("区间起点", "the start of its step"),
    Stamp.END: ("区间终点", "the end of its step"),
}
_ROLES: Final = {
    "time": ("时间", "time"),
    "clock": ("时刻", "time of day"),
    "meter": ("电表", "meter"),
    "value": ("数值", "value"),
}
_METHODS: Final = {
    "measured": ("实测", "measured"),
    "linear": ("两示数间直线插补", "estimated, straight line between registers"),
    "profile": ("按自身相似日分摊示数差", "estimated, like days scaled to the registers"),
    "history": ("按自身相似日估计", "estimated from its own like days"),
    "peers": ("按其他电表估计", "estimated from the other meters"),
    "none": ("仍缺失", "still missing"),
}
_WRONG: Final = {
    "torn": ("单元格数与表头不符", "another number of cells than the headings"),
    "time": ("不是日期时间", "no date and time"),
    "gap": ("该时刻不存在（夏令时跳过）", "a time that never was: the clocks went forward over it"),
    "range": ("不在 2000 至 2099 年之间", "not within the years 2000 to 2099"),
    "unnamed": ("没有电表名", "no meter named"),
    "value": ("不是可用的数字", "no number"),
}
_SEVERITIES: Final = {
    "info": ("提示", "info"),
    "warning": ("警告", "warning"),
    "critical": ("严重", "critical"),
}


def report(cleaned: Cleaned, zone: ZoneInfo, *, chinese: bool) -> list[str]:
    """The lines of the report, in one of the two languages."""
    pick = 0 if chinese else 1
    facts = cleaned.facts
    return [
        *_taken_for(facts, cleaned, zone, pick),
        "",
        *_unreadable(facts, pick),
        *_doubted(facts, pick),
        "",
        *_done(facts, cleaned, zone, pick),
    ]


def _taken_for(facts: Facts, cleaned: Cleaned, zone: ZoneInfo, pick: int) -> Iterator[str]:
    found = ("（自动识别）", " (found out)")[pick]
    said = ("（指定）", " (as you said)")[pick]

    def how(by_itself: bool) -> str:  # noqa: FBT001  beside its uses
        return found if by_itself else said

    table = cleaned.table
    columns = ", ".join(
        f"{heading} = {_ROLES[role][pick]}" for heading, role in facts.columns.items() if role in _ROLES
    )
    yield (f"清洗报告：{facts.name}", f"Cleaning report: {facts.name}")[pick]
    yield (
        f"  行数 {facts.rows:,}，电表 {len(cleaned.names):,} 块",
        f"  {facts.rows:,} rows, {len(cleaned.names):,} meters",
    )[pick]
    if table.num_rows:
        first, last = (
            _civil(edge, zone)
            for edge in (
                table["time"].cast("int64").to_numpy().min(),
                table["time"].cast("int64").to_numpy().max(),
            )
        )
        yield (f"  时段 {first} 至 {last}，时区 {zone.key}", f"  from {first} to {last}, zone {zone.key}")[
            pick
        ]
    yield (f"  列：{columns}", f"  columns: {columns}")[pick]
    yield (
        f"  数值：{_KINDS[facts.kind][0]}{how(facts.kind_found)}",
        f"  values: {_KINDS[facts.kind][1]}{how(facts.kind_found)}",
    )[pick]
    yield (
        f"  间隔：{facts.step_minutes} 分钟{how(facts.step_found)}",
        f"  step: {facts.step_minutes} minutes{how(facts.step_found)}",
    )[pick]
    if facts.kind is not Kind.REGISTERS:
        why = (
            ("（每日 00:00 排在当日最后，视为 24:00）", " (each 00:00 stands last in its date: it is 24:00)")[
                pick
            ]
            if facts.stamp_found
            else ""
        )
        yield (f"  时标：{_STAMPS[facts.stamp][0]}{why}", f"  a time names {_STAMPS[facts.stamp][1]}{why}")[
            pick
        ]


def _unreadable(facts: Facts, pick: int) -> Iterator[str]:
    if facts.wrong:
        yield (
            f"无法读取的行：{facts.wrong:,}（其余照常处理）",
            f"Rows that cannot be read: {facts.wrong:,} (the others were used)",
        )[pick]
        for row in facts.wrong_rows:
            place = f" {row.column}" if row.column else ""
            reason = _WRONG.get(row.code, (row.code, row.code))[pick]
            yield (
                f"  第 {row.row:,} 行{place}：{row.text!r}，{reason}",
                f"  row {row.row:,}{place}: {row.text!r}: {reason}",
            )[pick]
        if facts.wrong > len(facts.wrong_rows):
            yield "  …"
    for count, words in (
        (facts.repeated, ("重复且数值相同的时间", "times given twice with the same value")),
        (
            facts.contradicted,
            (
                "重复但数值不同的时间（以后一行为准）",
                "times given twice with different values (the later row counts)",
            ),
        ),
        (facts.off_grid, ("不在间隔网格上的时间", "times beside the grid of steps")),
    ):
        if count:
            yield f"{words[pick]}{('：', ': ')[pick]}{count:,}"


def _doubted(facts: Facts, pick: int) -> Iterator[str]:
    yield ("校验发现", "What validation found")[pick]
    if not facts.findings:
        yield ("  无", "  nothing")[pick]
    for code in RULES:
        if code in facts.findings:
            count, meters = facts.findings[code]
            rule = RULES[code]
            severity = _SEVERITIES.get(rule.severity.value, (rule.severity.value,) * 2)[pick]
            name = (rule.name_zh, rule.name_en)[pick]
            yield (
                f"  {name}（{code}，{severity}）：{count:,} 条，{meters:,} 块表",
                f"  {name} ({code}, {severity}): {count:,}, on {meters:,} meters",
            )[pick]


def _done(facts: Facts, cleaned: Cleaned, zone: ZoneInfo, pick: int) -> Iterator[str]:
    total = max(cleaned.table.num_rows, 1)
    yield (f"结果：{cleaned.table.num_rows:,} 个值", f"The result: {cleaned.table.num_rows:,} values")[pick]
    for method, words in _METHODS.items():
        if count := facts.methods.get(method, 0):
            yield f"  {words[pick]}{('：', ': ')[pick]}{count:,} ({100 * count / total:.2f} %)"
    suspect = cleaned.table["status"].to_pylist().count("suspect")
    if suspect:
        yield (
            f"  其中可疑但保留：{suspect:,}（--replace-suspect 可改为估计）",
            f"  of the measured, doubted and kept: {suspect:,} (--replace-suspect estimates them)",
        )[pick]
    if facts.gap_count:
        yield (f"缺口 {facts.gap_count:,} 处，最长：", f"{facts.gap_count:,} gaps, the longest:")[pick]
        for meter, start, slots in facts.gaps:
            length = timedelta(minutes=facts.step_minutes * slots)
            yield (
                f"  {meter}：{_civil(start, zone)} 起 {slots:,} 个间隔（{_days(length, pick)}）",
                f"  {meter}: {slots:,} steps from {_civil(start, zone)} ({_days(length, pick)})",
            )[pick]
    if facts.methods.get("none"):
        yield (
            "  超过 35 天或可参照的日子不足的缺口保持缺失。",
            "  Gaps of more than 35 days, or with too few days to go by, stay missing.",
        )[pick]
    yield (
        "误差为 90 % 区间的半宽；估计值从不标为实测。",
        "The error is half the width of a 90 % band; nothing estimated is called measured.",
    )[pick]


def _civil(microseconds: int, zone: ZoneInfo) -> str:
    return f"{(_EPOCH + timedelta(microseconds=int(microseconds))).astimezone(zone):%Y-%m-%d %H:%M}"


def _days(length: timedelta, pick: int) -> str:
    hours = length / timedelta(hours=1)
    if hours < 48:  # noqa: PLR2004  two days read best in hours
        return (f"{hours:g} 小时", f"{hours:g} h")[pick]
    return (f"{hours / 24:.1f} 天", f"{hours / 24:.1f} days")[pick]
