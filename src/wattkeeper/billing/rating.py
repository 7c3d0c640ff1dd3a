"""From energy to money: pure functions, Decimal throughout, rounded once where the tariff says.

A bill is rated in uses: energy of a stretch of time within one version and one tier cycle. Tiers fill in order of
time from the running total of the cycle, so a bill that passes a limit is split where it passes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from wattkeeper.billing.models import LINE_DIGITS
from wattkeeper.billing.rules import RuleText, fixed_rule, price_rule
from wattkeeper.billing.tariff import KWH_UNIT, Component, Kind, PartMonth, RoundAt, Rounding, Tariff, Version
from wattkeeper.billing.values import Basis, Line
from wattkeeper.kernel.timerange import TimeRange

_LINE_UNIT = Decimal(1).scaleb(-LINE_DIGITS)
_MONTH_DAYS = Decimal(30)


@dataclass(frozen=True, slots=True)
class Use:
    """Energy of a stretch of time [kWh], ratio applied; `by_tou` adds up to `kwh`, empty where no clock is needed.

    `references` name the readings or intervals it stands on; `estimated` says that part of it was not measured.
    """

    period: TimeRange
    kwh: Decimal
    by_tou: tuple[tuple[str, Decimal], ...] = ()
    basis: Basis = Basis.INTERVALS
    references: tuple[str, ...] = ()
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Rated:
    """Lines and their total in the tariff's currency, rounded by its rule."""

    lines: tuple[Line, ...]
    total: Decimal


def rate(
    tariff: Tariff,
    uses: Sequence[Use],
    *,
    in_force: TimeRange,
    used_before: Mapping[datetime, Decimal],
) -> Rated:
    """The lines of consecutive uses, oldest first.

    `in_force` is the period the account has this tariff for; `used_before` is the energy [kWh] already billed in
    each tier cycle, by the cycle's start; a cycle that is not named has used none.
    """
    running = dict(used_before)
    charges = [
        (line, line.price * line.quantity, tariff.version_at(use.period.start).rounding)
        for use in uses
        for line in _rate_use(tariff, use, in_force, running)
    ]
    charges += [(line, amount, version.rounding) for line, amount, version in _fixed(tariff, uses, in_force)]
    lines = [_with_amount(line, amount, rounding) for line, amount, rounding in charges]
    return Rated(tuple(_numbered(lines)), _total(charges))


def split_by_tier(used_before: Decimal, kwh: Decimal, limits: Sequence[Decimal]) -> list[Decimal]:
    """How much of `kwh`, coming after `used_before` in the cycle, falls in each tier [kWh]; the last is open."""
    edges = [Decimal(0), *limits]
    end = used_before + kwh
    parts = [
        max(Decimal(0), min(end, upper) - max(used_before, lower))
        for lower, upper in zip(edges, [*limits, None], strict=True)
        if upper is not None
    ]
    return [*parts, kwh - sum(parts, Decimal(0))]


def spread(tiers: Sequence[Decimal], by_tou: Sequence[Decimal]) -> list[list[Decimal]]:
    """Energy per tier and period, when only the sums of both are known: each tier takes from the periods in proportion.

    Rows add up to the tiers and columns to the periods, exactly, in units of 0.0001 kWh.
    """
    left = list(by_tou)
    rows: list[list[Decimal]] = []
    for number, wanted in enumerate(tiers):
        row = list(left) if number == len(tiers) - 1 else _shares(wanted, left)
        left = [have - taken for have, taken in zip(left, row, strict=True)]
        rows.append(row)
    return rows


def _shares(wanted: Decimal, available: Sequence[Decimal]) -> list[Decimal]:
    """`wanted` divided in proportion to what is available; the largest remainders get the odd units."""
    total = sum(available, Decimal(0))
    if not total:
        return [Decimal(0)] * len(available)
    exact = [wanted * have / total for have in available]
    floors = [share // KWH_UNIT * KWH_UNIT for share in exact]
    order = sorted(range(len(exact)), key=lambda i: exact[i] - floors[i], reverse=True)
    missing = wanted - sum(floors, Decimal(0))
    for index in order:
        step = min(KWH_UNIT, missing, available[index] - floors[index])
        floors[index] += step
        missing -= step
    return floors


def _rate_use(
    tariff: Tariff, use: Use, in_force: TimeRange, running: dict[datetime, Decimal]
) -> Iterator[Line]:
    version = tariff.version_at(use.period.start)
    split = [use.kwh]
    before = Decimal(0)
    limits: tuple[Decimal, ...] = ()
    if version.tiers is not None:
        cycle = version.tiers.cycle_at(use.period.start, tariff.zone)
        before = running.get(cycle.start, Decimal(0))
        limits = version.tiers.limits(cycle, in_force, tariff.zone)
        split = split_by_tier(before, use.kwh, limits)
        running[cycle.start] = before + use.kwh
    for component in version.components:
        if component.kind is not Kind.FIXED:
            text = price_rule(tariff, version, use.period, before=before, limits=limits)
            yield from _priced(component, version, use, split, text)


def _priced(
    component: Component, version: Version, use: Use, split: Sequence[Decimal], text: RuleText
) -> Iterator[Line]:
    for tier, tou, kwh in _cells(component, use, split):
        period = None if tou is None or version.tou is None else version.tou.period(tou)
        rule_zh, rule_en = text(tier, tou)
        yield Line(
            position=0,
            component=component.code,
            kind=component.kind.value,
            label_zh=component.zh,
            label_en=component.en,
            period=use.period,
            tier=tier,
            tou=tou,
            tou_zh=None if period is None else period.zh,
            tou_en=None if period is None else period.en,
            quantity=kwh,
            unit="kWh",
            price=component.price(tier, tou),
            amount=Decimal(0),
            rule_zh=rule_zh,
            rule_en=rule_en,
            references=use.references,
        )


def _cells(
    component: Component, use: Use, split: Sequence[Decimal]
) -> list[tuple[int | None, str | None, Decimal]]:
    """The energy of each price of a component; nothing is shown of prices without energy, but never nothing at all."""
    if component.by_tier and component.by_tou:
        rows = spread(split, [kwh for _, kwh in use.by_tou])
        codes = [code for code, _ in use.by_tou]
        cells: list[tuple[int | None, str | None, Decimal]] = [
            (tier, code, kwh)
            for tier, row in enumerate(rows, start=1)
            for code, kwh in zip(codes, row, strict=True)
        ]
    elif component.by_tier:
        cells = [(tier, None, kwh) for tier, kwh in enumerate(split, start=1)]
    elif component.by_tou:
        cells = [(None, code, kwh) for code, kwh in use.by_tou]
    else:
        cells = [(None, None, use.kwh)]
    return [cell for cell in cells if cell[2]] or cells[:1]


def _fixed(
    tariff: Tariff, uses: Sequence[Use], in_force: TimeRange
) -> Iterator[tuple[Line, Decimal, Version]]:
    """The charges per month, for each version's part of the bill."""
    for version in tariff.versions:
        stretch = _stretch(use.period for use in uses if version.period.contains(use.period.start))
        if stretch is None:
            continue
        for component in version.components:
            if component.part_month is None:
                continue
            months, days = _months(component.part_month, stretch, tariff, in_force)
            if not days:
                continue
            price = component.price()
            amount = (
                price * days / _MONTH_DAYS if component.part_month is PartMonth.THIRTIETHS else price * months
            )
            rule_zh, rule_en = fixed_rule(component, days)
            quantity = months.quantize(_LINE_UNIT, rounding=ROUND_HALF_EVEN)
            line = Line(
                position=0,
                component=component.code,
                kind=component.kind.value,
                label_zh=component.zh,
                label_en=component.en,
                period=stretch,
                tier=None,
                tou=None,
                tou_zh=None,
                tou_en=None,
                quantity=quantity,
                unit="month",
                price=price,
                amount=Decimal(0),
                rule_zh=rule_zh,
                rule_en=rule_en,
                references=(),
            )
            yield line, amount, version


def _stretch(periods: Iterable[TimeRange]) -> TimeRange | None:
    found = list(periods)
    return TimeRange(found[0].start, found[-1].end) if found else None


def _months(part: PartMonth, stretch: TimeRange, tariff: Tariff, in_force: TimeRange) -> tuple[Decimal, int]:
    """Months due, and the days they stand for; a day begun counts as a day."""
    months, days = Decimal(0), 0
    for piece in stretch.months(tariff.zone):
        first = piece.start.astimezone(tariff.zone).date()
        month = TimeRange.month(first.year, first.month, tariff.zone)
        inside, whole = len(piece.days(tariff.zone)), len(month.days(tariff.zone))
        if part is PartMonth.WHOLE:
            begins = piece.start in (month.start, in_force.start)
            months, days = (months + 1, days + whole) if begins else (months, days)
        else:
            months += Decimal(inside) / (_MONTH_DAYS if part is PartMonth.THIRTIETHS else Decimal(whole))
            days += inside
    return months, days


def _with_amount(line: Line, amount: Decimal, rounding: Rounding) -> Line:
    shown = (
        rounding.apply(amount)
        if rounding.at is RoundAt.LINE
        else amount.quantize(_LINE_UNIT, ROUND_HALF_EVEN)
    )
    return replace(line, amount=shown)


def _total(charges: Sequence[tuple[Line, Decimal, Rounding]]) -> Decimal:
    """The sum: of rounded lines where lines are rounded, and of the other exact amounts, rounded once by the last."""
    by_line = [rounding.apply(amount) for _, amount, rounding in charges if rounding.at is RoundAt.LINE]
    by_total = [(amount, rounding) for _, amount, rounding in charges if rounding.at is RoundAt.TOTAL]
    total = sum(by_line, Decimal(0))
    if not by_total:
        return total
    return total + by_total[-1][1].apply(sum((amount for amount, _ in by_total), Decimal(0)))


def _numbered(lines: Sequence[Line]) -> Iterator[Line]:
    for position, line in enumerate(lines, start=1):
        yield replace(line, position=position)
