"""Reads a tariff from a document and refuses whatever could bill wrongly, with file, line and the way out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wattkeeper.billing.entries import Entry
from wattkeeper.billing.tariff import (
    KWH_UNIT,
    ROUNDING_MODES,
    Component,
    Cycle,
    Kind,
    PartCycle,
    PartMonth,
    RoundAt,
    Rounding,
    SeasonLimits,
    Tariff,
    Tiers,
    Tou,
    Version,
)
from wattkeeper.billing.tou_reader import read_tou
from wattkeeper.kernel.timerange import TimeRange, start_of_day

PRICE_DIGITS = 8
_EVERY_MONTH = frozenset(range(1, 13))
_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_DATE_HINT = "Write the first day it is valid, such as 2024-07-01."


def read_tariff_file(path: Path) -> Tariff:
    """The tariff of a YAML file."""
    return read_tariff(Entry.of_yaml(path.read_text(encoding="utf-8"), file=path.name))


def restore_tariff(content: Mapping[str, Any]) -> Tariff:
    """The tariff a bill kept."""
    return read_tariff(Entry.of_plain(dict(content), file="kept tariff"))


def read_tariff(root: Entry) -> Tariff:
    """The tariff of a document."""
    root.only("code", "names", "currency", "zone", "calendar", "source", "in_force", "versions")
    code = root.need("code", "Give the tariff a short code such as cn-beijing-residential.")
    if not _CODE.fullmatch(code.text()):
        code.refuse(f"'{code.text()}' is no code.", "Use small letters, digits, - and _.")
    currency = root.need("currency", "Write the currency's three letters, such as CNY.")
    if not re.fullmatch(r"[A-Z]{3}", currency.text()):
        currency.refuse(f"'{currency.text()}' is no currency.", "Write three capital letters, such as CNY.")
    zone = _zone(root.need("zone", "Write the time zone of its hours, such as Asia/Shanghai."))
    calendar = root.get("calendar")
    zh, en = names(root)
    return Tariff(
        code=code.text(),
        name_zh=zh,
        name_en=en,
        currency=currency.text(),
        zone=zone,
        calendar=None if calendar is None else calendar.text(),
        source=root.need("source", "Say where the prices come from.").text(),
        in_force=root.need("in_force", "Write yes, no or unverified.").one_of(["yes", "no", "unverified"]),
        versions=_versions(root.need("versions", "Add at least one version with its prices."), zone),
        content=root.plain(),
    )


def names(entry: Entry) -> tuple[str, str]:
    """The Chinese and the English name of something."""
    hint = "Write names: {zh: 中文名, en: English name}."
    both = entry.need("names", hint)
    both.only("zh", "en")
    return both.need("zh", hint).text(), both.need("en", hint).text()


def _zone(entry: Entry) -> ZoneInfo:
    try:
        return ZoneInfo(entry.text())
    except (ZoneInfoNotFoundError, ValueError):
        entry.refuse(f"'{entry.text()}' is no time zone.", "Write an IANA name such as Asia/Shanghai.")


def _versions(entries: Entry, zone: ZoneInfo) -> tuple[Version, ...]:
    versions: list[Version] = []
    for entry in entries:
        version = _version(entry, zone)
        if versions and versions[-1].period.end != version.period.start:
            entry.refuse(
                "this version does not begin where the one before ends.",
                "Give the one before a valid_to equal to this valid_from, oldest version first.",
            )
        versions.append(version)
    if not versions:
        entries.refuse("there is no version.", "Add at least one version with its prices.")
    return tuple(versions)


def _version(entry: Entry, zone: ZoneInfo) -> Version:
    entry.only("valid_from", "valid_to", "rounding", "tiers", "tou", "components")
    tiers = None if (found := entry.get("tiers")) is None else _tiers(found)
    tou, factors = (None, {}) if (found := entry.get("tou")) is None else read_tou(found)
    shape = _Shape(tiers, tou, factors)
    wanted = entry.need("components", "Add at least one component with a price.")
    components = tuple(_component(item, shape) for item in wanted)
    if len({component.code for component in components}) < len(components):
        wanted.refuse("two components have the same code.", "Give each component its own code.")
    if not any(component.kind is Kind.ENERGY for component in components):
        wanted.refuse("no component is of kind energy.", "Add the price of energy, with kind: energy.")
    return Version(
        period=_period(entry, zone),
        rounding=_rounding(entry.need("rounding", "Write rounding: {at: line, digits: 2, mode: half_up}.")),
        tiers=tiers,
        tou=tou,
        components=components,
    )


def _period(entry: Entry, zone: ZoneInfo) -> TimeRange:
    first = entry.need("valid_from", _DATE_HINT)
    last = entry.get("valid_to")
    start = start_of_day(first.day(), zone)
    end = None if last is None else start_of_day(last.day(), zone)
    if last is not None and end is not None and end <= start:
        last.refuse("valid_to is not after valid_from.", "valid_to is the first day it is no longer valid.")
    return TimeRange(start, end)


def _rounding(entry: Entry) -> Rounding:
    entry.only("at", "digits", "mode")
    at = entry.need("at", "Write at: line or at: total.").one_of([place.value for place in RoundAt])
    digits = entry.need("digits", "Write digits: 2 for fen.").integer(0, 4)
    mode = entry.need("mode", "Write mode: half_up.").one_of(ROUNDING_MODES)
    return Rounding(RoundAt(at), digits, mode)


def _tiers(entry: Entry) -> Tiers:
    entry.only("cycle", "part_cycle", "limits")
    cycle = Cycle(entry.need("cycle", "Write cycle: month or cycle: year.").one_of([c.value for c in Cycle]))
    part = entry.need("part_cycle", "Write whole, or months to scale limits by the months in force.")
    limits = entry.need(
        "limits", "Write the upper limits in kWh, such as [2880, 4800]; the last tier is open."
    )
    items = list(limits)
    if items and items[0].is_mapping:
        seasons = tuple(_season(item) for item in items)
        if cycle is Cycle.YEAR:
            limits.refuse("limits by month need cycle: month.", "Write one list of limits for the year.")
    else:
        seasons = (SeasonLimits(_EVERY_MONTH, _rising(limits)),)
    for month in _EVERY_MONTH:
        if sum(month in season.months for season in seasons) != 1:
            limits.refuse(f"month {month} has no limits, or twice.", "Name each month of the year once.")
    if len({len(season.limits_kwh) for season in seasons}) > 1:
        limits.refuse("the seasons have different numbers of tiers.", "Give every season as many limits.")
    return Tiers(cycle, PartCycle(part.one_of([p.value for p in PartCycle])), seasons)


def _season(entry: Entry) -> SeasonLimits:
    entry.only("months", "kwh")
    months = entry.need("months", "Write months: 5-10.").months()
    return SeasonLimits(months, _rising(entry.need("kwh", "Write kwh: [260, 600].")))


def _rising(entry: Entry) -> tuple[Decimal, ...]:
    limits = tuple(item.decimal() for item in entry)
    if any(limit != limit.quantize(KWH_UNIT) for limit in limits):
        entry.refuse("a limit has more than 4 decimals.", "Write it in kWh, rounded.")
    if not limits or limits[0] <= 0 or any(a >= b for a, b in pairwise(limits)):
        entry.refuse(
            "limits must be above zero and rise.", "Write them from small to large, such as [2880, 4800]."
        )
    return limits


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the prices of a version may depend on."""

    tiers: Tiers | None
    tou: Tou | None
    factors: Mapping[str, Decimal]


def _component(entry: Entry, shape: _Shape) -> Component:
    entry.only("code", "kind", "names", "price", "times_factor", "part_month")
    kind = Kind(entry.need("kind", "Write energy, surcharge or fixed.").one_of([k.value for k in Kind]))
    price = entry.need("price", "Write the price per kWh, or per month for a fixed charge.")
    part = entry.get("part_month")
    if (kind is Kind.FIXED) != (part is not None):
        (part or entry).refuse(
            "part_month belongs to fixed charges, and each needs it.",
            f"Fixed charges state part_month: {', '.join(p.value for p in PartMonth)}.",
        )
    if kind is Kind.FIXED and (price.is_list or price.is_mapping):
        price.refuse("a fixed charge has one price.", "Write the amount per month.")
    prices = _prices(price, shape)
    if (factored := entry.get("times_factor")) is not None and factored.one_of(["yes", "no"]) == "yes":
        prices = _times_factors(factored, prices, shape)
    for number in prices.values():
        exponent = number.normalize().as_tuple().exponent
        if isinstance(exponent, int) and -exponent > PRICE_DIGITS:
            price.refuse(
                f"the price {number} has more than {PRICE_DIGITS} decimals.", "Write a rounded price."
            )
    zh, en = names(entry)
    return Component(
        code=entry.need("code", "Give the component a code such as energy.").text(),
        kind=kind,
        zh=zh,
        en=en,
        by_tier=any(tier is not None for tier, _ in prices),
        by_tou=any(tou is not None for _, tou in prices),
        prices=tuple(prices.items()),
        part_month=None if part is None else PartMonth(part.one_of([p.value for p in PartMonth])),
    )


_Prices = dict[tuple[int | None, str | None], Decimal]


def _prices(entry: Entry, shape: _Shape) -> _Prices:
    """One price; a list by tier; a mapping by period; a mapping of lists by period and tier."""
    if not entry.is_mapping:
        return {(tier, None): price for tier, price in _by_tier(entry, shape).items()}
    if shape.tou is None:
        entry.refuse(
            "prices by period need a tou section.", "Add tou: with periods and days, or write one price."
        )
    written = dict(entry.items())
    wanted = {period.code for period in shape.tou.periods}
    if set(written) != wanted:
        entry.refuse(
            f"the periods priced ({', '.join(sorted(written))}) are not those of the tou section.",
            f"Give a price to each of: {', '.join(sorted(wanted))}.",
        )
    if len({item.is_list for item in written.values()}) > 1:
        entry.refuse("some periods are priced by tier and some are not.", "Write a list for every period.")
    return {
        (tier, code): price for code, item in written.items() for tier, price in _by_tier(item, shape).items()
    }


def _by_tier(entry: Entry, shape: _Shape) -> dict[int | None, Decimal]:
    if not entry.is_list:
        return {None: entry.decimal()}
    prices = [item.decimal() for item in entry]
    if shape.tiers is None:
        entry.refuse("prices by tier need a tiers section.", "Add tiers: with limits, or write one price.")
    if len(prices) != shape.tiers.count:
        entry.refuse(
            f"there are {len(prices)} prices for {shape.tiers.count} tiers.",
            "Write one price for each limit and one for the open last tier.",
        )
    return dict(enumerate(prices, start=1))


def _times_factors(entry: Entry, prices: _Prices, shape: _Shape) -> _Prices:
    if shape.tou is None or set(shape.factors) != {period.code for period in shape.tou.periods}:
        entry.refuse(
            "times_factor needs a factor on every period.", "Give each period of the tou section a factor."
        )
    if any(code is not None for _, code in prices):
        entry.refuse("the price is by period already.", "Write one price, or leave times_factor out.")
    return {
        (tier, code): (price * factor).normalize()
        for (tier, _), price in prices.items()
        for code, factor in shape.factors.items()
    }
