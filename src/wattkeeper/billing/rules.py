"""Why a line has its price, as sentences in Chinese and English."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from wattkeeper.billing.tariff import Component, Cycle, PartMonth, Tariff, Version
from wattkeeper.kernel.timerange import TimeRange

RuleText = Callable[[int | None, str | None], tuple[str, str]]

_PART_MONTH = {
    PartMonth.WHOLE: ("按月收取", "Per month begun"),
    PartMonth.DAYS: ("按当月实际天数折算，{days}天", "By the days of the month, {days} days"),
    PartMonth.THIRTIETHS: (
        "每日按三十分之一月计，{days}天",
        "One thirtieth of a month for each of {days} days",
    ),
}
_CYCLE = {Cycle.YEAR: ("本年", "this year"), Cycle.MONTH: ("本月", "this month")}


def price_rule(
    tariff: Tariff, version: Version, period: TimeRange, *, before: Decimal, limits: Sequence[Decimal]
) -> RuleText:
    """Explains prices of one use; `before` and `limits` [kWh] are those of its tier cycle."""
    month = period.start.astimezone(tariff.zone).month

    def text(tier: int | None, tou: str | None) -> tuple[str, str]:
        parts = []
        if tier is not None and version.tiers is not None:
            parts.append(_tier_rule(version.tiers.cycle, tier, before, limits))
        if tou is not None and version.tou is not None:
            hours = version.tou.hours(tou, month)
            entry = version.tou.period(tou)
            parts.append(
                (
                    f"{entry.zh}时段{'' if hours is None else ' ' + hours}",
                    f"{entry.en}{'' if hours is None else ' ' + hours}",
                )
            )
        if tier is not None and tou is not None:
            parts.append(("各档按时段电量比例分摊", "tiers share the periods in proportion"))
        if not parts:
            return "全部电量", "All energy"
        return "；".join(zh for zh, _ in parts), "; ".join(en for _, en in parts)

    return text


def fixed_rule(component: Component, days: int) -> tuple[str, str]:
    """Explains a charge per month."""
    assert component.part_month is not None
    zh, en = _PART_MONTH[component.part_month]
    return zh.format(days=days), en.format(days=days)


def _tier_rule(cycle: Cycle, tier: int, before: Decimal, limits: Sequence[Decimal]) -> tuple[str, str]:
    lower = kwh(limits[tier - 2]) if tier > 1 else "0"
    zh, en = _CYCLE[cycle]
    if tier <= len(limits):
        band_zh = band_en = f"{lower}–{kwh(limits[tier - 1])} kWh"
    else:
        band_zh, band_en = f"{lower} kWh以上", f"above {lower} kWh"
    return (
        f"第{tier}档：{zh}累计 {band_zh}，此前已用 {kwh(before)} kWh",
        f"Tier {tier}: {band_en} {en}, {kwh(before)} kWh used before",
    )


def kwh(value: Decimal) -> str:
    """Energy for people: no trailing zeros."""
    text = f"{value:.4f}"
    return text.rstrip("0").rstrip(".")
