"""Reads the time-of-use section of a tariff: every minute of every kind of day has exactly one period."""

import re
from decimal import Decimal

from wattkeeper.billing.entries import Entry
from wattkeeper.billing.tariff import DayRule, Tou, TouPeriod, clock
from wattkeeper.kernel.calendars import DayKind
from wattkeeper.readings.quantities import QUANTITIES

MINUTES_OF_DAY = 1440
_SPAN = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
_SPAN_HINT = 'Write "08:30-12:00"; a span may pass midnight ("22:00-06:00"), the day ends at 24:00.'


def read_tou(entry: Entry) -> tuple[Tou, dict[str, Decimal]]:
    """The clock, and the factor of each period that has one."""
    entry.only("periods", "days")
    periods: list[TouPeriod] = []
    factors: dict[str, Decimal] = {}
    for item in entry.need("periods", "List the periods, such as peak, flat and valley."):
        period = _period(item)
        if any(known.code == period.code for known in periods):
            item.refuse(f"the period {period.code} is listed twice.", "Keep one of the two.")
        periods.append(period)
        if (factor := item.get("factor")) is not None:
            factors[period.code] = factor.decimal() * _base_factor(item, factors)
    if sum(period.register == "rest" for period in periods) > 1:
        entry.refuse("two periods are the rest of the total.", "Give all but one a register of the meter.")
    codes = [period.code for period in periods]
    days = entry.need("days", "Say which hours belong to which period.")
    rules = tuple(_rule(item, codes) for item in days)
    _every_day_has_a_rule(days, rules)
    return Tou(tuple(periods), rules), factors


def _period(entry: Entry) -> TouPeriod:
    entry.only("code", "names", "register", "factor", "factor_of")
    hint = "Write names: {zh: 峰, en: Peak}."
    both = entry.need("names", hint)
    register = entry.get("register")
    if register is not None and register.text() != "rest" and register.text() not in QUANTITIES:
        register.refuse(
            f"'{register.text()}' is no register.",
            "Write a quantity such as active_energy_import_t2, or rest.",
        )
    return TouPeriod(
        code=entry.need("code", "Give the period a code such as peak.").text(),
        zh=both.need("zh", hint).text(),
        en=both.need("en", hint).text(),
        register=None if register is None else register.text(),
    )


def _base_factor(entry: Entry, factors: dict[str, Decimal]) -> Decimal:
    """1, or the factor of the period this one is a multiple of (super peak = peak + 20 %)."""
    if (base := entry.get("factor_of")) is None:
        return Decimal(1)
    if base.text() not in factors:
        base.refuse(f"no period above has the code {base.text()} and a factor.", "List that period first.")
    return factors[base.text()]


def _rule(entry: Entry, codes: list[str]) -> DayRule:
    entry.only("months", "kinds", "times", "rest")
    kinds = entry.get("kinds")
    minutes: list[str | None] = [None] * MINUTES_OF_DAY
    for code, spans in entry.need("times", 'Write times: {peak: ["08:00-12:00"]}.').items():
        if code not in codes:
            spans.refuse(f"'{code}' is none of the periods above.", f"Write one of: {', '.join(codes)}.")
        for span in spans:
            _fill(span, code, minutes)
    if (rest := entry.get("rest")) is not None:
        code = rest.one_of(codes)
        minutes = [code if taken is None else taken for taken in minutes]
    if None in minutes:
        entry.refuse(
            f"no period holds at {clock(minutes.index(None))}.",
            "Add the hours, or rest: with a period's code.",
        )
    return DayRule(
        months=entry.need("months", "Write months: 1-12.").months(),
        kinds=frozenset(DayKind(item.one_of([kind.value for kind in DayKind])) for item in kinds)
        if kinds is not None
        else frozenset(DayKind),
        spans=_spans([code for code in minutes if code is not None]),
    )


def _fill(span: Entry, code: str, minutes: list[str | None]) -> None:
    match = _SPAN.fullmatch(span.text())
    if match is None:
        span.refuse(f"'{span.text()}' is no span of hours.", _SPAN_HINT)
    h1, m1, h2, m2 = (int(part) for part in match.groups())
    start, end = h1 * 60 + m1, h2 * 60 + m2
    if m1 > 59 or m2 > 59 or start >= MINUTES_OF_DAY or end > MINUTES_OF_DAY or start == end:  # noqa: PLR2004
        span.refuse(f"'{span.text()}' is no span of hours.", _SPAN_HINT)
    wanted = range(start, end) if start < end else (*range(start, MINUTES_OF_DAY), *range(end))
    for minute in wanted:
        if minutes[minute] is not None:
            span.refuse(f"{clock(minute)} is in {minutes[minute]} already.", "Let the spans not overlap.")
        minutes[minute] = code


def _spans(minutes: list[str]) -> tuple[tuple[int, int, str], ...]:
    starts = [m for m in range(MINUTES_OF_DAY) if m == 0 or minutes[m] != minutes[m - 1]]
    return tuple((a, b, minutes[a]) for a, b in zip(starts, [*starts[1:], MINUTES_OF_DAY], strict=True))


def _every_day_has_a_rule(entry: Entry, rules: tuple[DayRule, ...]) -> None:
    for month in range(1, 13):
        for kind in DayKind:
            if not any(month in rule.months and kind in rule.kinds for rule in rules):
                entry.refuse(f"no rule holds on a {kind.value} in month {month}.", "Add a days entry for it.")
