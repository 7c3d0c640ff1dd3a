"""The usage by day, week, month and year: bars, a table, shares by time of day, and the same as a file."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal
from urllib.parse import urlencode

from babel.dates import format_date
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from wattkeeper.kernel.money import Money
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.language import Language
from wattkeeper.web.portal.bars import Given, Piece, picture
from wattkeeper.web.portal.own import Chosen, chosen, own_of, page, speech, why_no_cost
from wattkeeper.web.queries.portal import OwnAccount
from wattkeeper.web.queries.portal_usage import Bin, Span, Usage, usage_of
from wattkeeper.web.queries.states import N_
from wattkeeper.web.queries.tariffs import tone_of

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.PORTAL)])
SPANS: Final = {
    Span.DAY: N_("Day"), Span.WEEK: N_("Week"), Span.MONTH: N_("Month"), Span.YEAR: N_("Year"),
}  # fmt: skip
BELOW: Final = {Span.YEAR: Span.MONTH, Span.MONTH: Span.DAY, Span.WEEK: Span.DAY}
BEFORE: Final = {
    Span.DAY: N_("the day before"), Span.WEEK: N_("the week before"),
    Span.MONTH: N_("the month before"), Span.YEAR: N_("the year before"),
}  # fmt: skip
TONES: Final = ("sharp", "peak", "flat", "valley", "deep_valley")
EARLIEST: Final = date(2000, 1, 1)
Unit = Literal["kwh", "money"]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    label: str
    link: str | None
    kwh: Decimal | None
    cost: Money | None
    before_kwh: Decimal | None
    note: str


@dataclass(frozen=True, slots=True)
class Share:
    """A period of the day with its part of the energy; `x` and `width` lie on a bar of 100."""

    tone: str
    name: str
    kwh: Decimal
    part: float
    x: str
    width: str


@router.get("/portal/usage", response_class=HTMLResponse)
def usage_page(
    request: Request,
    account: Chosen = None,
    span: Span = Span.MONTH,
    at: date | None = None,
    unit: Unit = "kwh",
) -> HTMLResponse:
    """The usage of a period, bar by bar."""
    own = own_of(request)
    mine = chosen(own, account)
    if mine is None:
        return page(request, "portal_usage.html", own, None, tab="usage")
    say = speech(request, mine)
    today = own.now.astimezone(mine.zone).date()
    day = min(max(at or today, EARLIEST), today)
    usage = usage_of(own, mine, span=span, day=day)
    unit = unit if usage.cost is not None or any(one.cost is not None for one in usage.bins) else "kwh"
    address = _Address(mine.id, span, day, unit)
    return page(
        request,
        "portal_usage.html",
        own,
        mine,
        tab="usage",
        usage=usage,
        span=span.value,
        spans=[(code.value, say.text(text), address.to(span=code)) for code, text in SPANS.items()],
        unit=unit,
        unit_links={"kwh": address.to(unit="kwh"), "money": address.to(unit="money")},
        label=label_of(usage, say),
        before_word=say.text(BEFORE[span]),
        earlier=address.to(at=usage.before_period.start.astimezone(mine.zone).date()),
        later=_later(usage, address, mine, today),
        picture=picture(_given(usage, say, address)),
        rows=_rows(usage, say, address),
        shares=_shares(usage, say),
        why=why_no_cost(usage.unpriced, say) if usage.unpriced else "",
        going_on=usage.period.closed_end > own.now,
    )


@dataclass(frozen=True, slots=True)
class _Address:
    """The page's own address, with some of it changed."""

    account: int
    span: Span
    at: date
    unit: str

    def to(self, **changes: Any) -> str:
        values = {
            "account": self.account,
            "span": self.span.value,
            "at": self.at.isoformat(),
            "unit": self.unit,
        }
        return "/portal/usage?" + urlencode(values | {key: str(value) for key, value in changes.items()})


def label_of(usage: Usage, say: Language) -> str:
    """A period's name."""
    start, last = usage.period.start, usage.period.closed_end - timedelta.resolution
    match usage.span:
        case Span.DAY:
            return say.day(start)
        case Span.WEEK:
            return f"{say.day(start)} – {say.day(last)}"
        case Span.MONTH:
            return say.month(start)
        case Span.YEAR:
            return format_date(
                start.astimezone(say.zone), "y年" if say.code == "zh" else "y", locale=say.locale
            )


def bin_label(span: Span, start: datetime, say: Language) -> str:
    """A bin's name in a table."""
    match span:
        case Span.DAY:
            return f"{start.astimezone(say.zone):%H:%M}"
        case Span.YEAR:
            return say.month(start)
        case _:
            return say.day(start)


def _short(span: Span, start: datetime, number: int, say: Language) -> str:
    """A bin's name under its bar, where there is room for it."""
    local = start.astimezone(say.zone)
    match span:
        case Span.DAY:
            return f"{local:%H}" if number % 6 == 0 else ""
        case Span.WEEK:
            return format_date(local.date(), "EEE", locale=say.locale)
        case Span.MONTH:
            return str(local.day) if local.day == 1 or local.day % 5 == 0 else ""
        case Span.YEAR:
            return str(local.month)


def _later(usage: Usage, address: _Address, account: OwnAccount, today: date) -> str | None:
    following = usage.period.closed_end.astimezone(account.zone).date()
    return address.to(at=following) if following <= today else None


def _given(usage: Usage, say: Language, address: _Address) -> list[Given]:
    money = address.unit == "money"
    tones = {period.code: tone_of(period.zh) for period in usage.tou}
    given = []
    for number, one in enumerate(usage.bins):
        before = usage.before[number] if number < len(usage.before) else None
        value = one.cost if money else one.kwh
        given.append(
            Given(
                value=value,
                label=_short(usage.span, one.period.start, number, say),
                title=_title(usage, one, say),
                link=_below(usage.span, one, address, say),
                before=None if before is None else before.cost if money else before.kwh,
                pieces=() if money else tuple(Piece(tones[code], kwh) for code, kwh in one.by_tou if kwh),
                faint=not one.complete or one.estimated,
            )
        )
    return given


def _title(usage: Usage, one: Bin, say: Language) -> str:
    name = bin_label(usage.span, one.period.start, say)
    if one.kwh is None:
        return f"{name}: {say.text('not known')}"
    cost = "" if one.cost is None else f", {say.money(Money(one.cost, usage.currency))}"
    return f"{name}: {say.number(one.kwh, 2)} kWh{cost}"


def _below(span: Span, one: Bin, address: _Address, say: Language) -> str | None:
    """A bar opens the period it stands for."""
    if span not in BELOW or one.kwh is None:
        return None
    return address.to(span=BELOW[span].value, at=one.period.start.astimezone(say.zone).date())


def _rows(usage: Usage, say: Language, address: _Address) -> list[Row]:
    rows = []
    for number, one in enumerate(usage.bins):
        before = usage.before[number] if number < len(usage.before) else None
        if one.kwh is None and one.period.start >= (usage.until or usage.period.start):
            continue
        rows.append(
            Row(
                label=bin_label(usage.span, one.period.start, say),
                link=_below(usage.span, one, address, say),
                kwh=one.kwh,
                cost=None if one.cost is None else Money(one.cost, usage.currency),
                before_kwh=None if before is None else before.kwh,
                note=bin_note(usage, one, say),
            )
        )
    return rows


def bin_note(usage: Usage, one: Bin, say: Language) -> str:
    """What is to be known of a bin: billed, so far, estimated, or with readings missing."""
    if one.kwh is None:
        return say.text("not known")
    if not one.complete:
        going_on = usage.until is not None and one.period.contains(usage.until)
        return say.text("so far") if going_on else say.text("readings missing")
    if one.estimated:
        return say.text("partly estimated")
    return say.text("billed") if one.period in usage.billed else ""


def _shares(usage: Usage, say: Language) -> list[Share]:
    shares = usage.shares
    total = sum((kwh for _, kwh in shares), Decimal(0))
    found, at = [], 0.0
    for period, kwh in sorted(shares, key=lambda share: TONES.index(tone_of(share[0].zh))):
        if not kwh:
            continue
        part = float(kwh / total) if total else 0.0
        name = say.choose(period.zh, period.en)
        found.append(Share(tone_of(period.zh), name, kwh, part, f"{at * 100:.2f}", f"{part * 100:.2f}"))
        at += part
    return found
