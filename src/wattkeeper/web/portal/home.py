"""The first page: this month so far, what is owed, and how the meter fares; and the account's own page."""

from decimal import Decimal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.language import Language
from wattkeeper.web.portal.meters import MeterView, meter_view
from wattkeeper.web.portal.own import Chosen, chosen, own_of, page, speech, why_no_cost
from wattkeeper.web.queries.money import period_text
from wattkeeper.web.queries.portal import OwnAccount, OwnAccounts
from wattkeeper.web.queries.portal_usage import Figure, months_of
from wattkeeper.web.queries.states import bill_shown
from wattkeeper.web.queries.tariffs import tariff_view

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.PORTAL)])


@router.get("/portal", response_class=HTMLResponse)
def home_page(request: Request, account: Chosen = None) -> HTMLResponse:
    """What a customer comes for, on one screen."""
    own = own_of(request)
    mine = chosen(own, account)
    if mine is None:
        return page(request, "portal_home.html", own, None, tab="home")
    say = speech(request, mine)
    months = months_of(own, mine)
    bills = own.bills(mine.id, limit=1).bills
    dues, meters = own.dues(mine.id), _meters(own, mine, say)
    return page(
        request,
        "portal_home.html",
        own,
        mine,
        tab="home",
        months=months,
        less=_less(months.this, months.same),
        why=why_no_cost(months.this.refused, say) if months.this and months.this.cost is None else "",
        dues=dues,
        overdue=dues.due_at is not None and dues.due_at < own.now,
        bill=bills[0] if bills else None,
        bill_period=period_text(bills[0].period, say) if bills else "",
        bill_state=bill_shown(bills[0].state, due_at=None, now=own.now, say=say) if bills else None,
        meters=meters,
        waiting=bool(meters),
    )


@router.get("/portal/account", response_class=HTMLResponse)
def account_page(request: Request, account: Chosen = None) -> HTMLResponse:
    """The account: its number, its meters, how to pay, and the way out."""
    own = own_of(request)
    mine = chosen(own, account)
    if mine is None:
        return page(request, "portal_account.html", own, None, tab="account")
    say = speech(request, mine)
    return page(
        request,
        "portal_account.html",
        own,
        mine,
        tab="account",
        meters=_meters(own, mine, say),
        held=[point for point in mine.points if point.period.contains(own.now)],
        tariffs=[
            say.choose(tariff.name_zh, tariff.name_en)
            for item, tariff in own.tariffs(mine.id)
            if item.period.contains(own.now)
        ],
        dues=own.dues(mine.id),
    )


@router.get("/portal/tariff", response_class=HTMLResponse)
def tariff_page(request: Request, account: Chosen = None) -> HTMLResponse:
    """What a kWh costs, and when."""
    own = own_of(request)
    mine = chosen(own, account)
    if mine is None:
        return page(request, "portal_tariff.html", own, None, tab="account")
    say = speech(request, mine)
    tariffs = [(item, tariff, tariff_view(tariff, say)) for item, tariff in own.tariffs(mine.id)]
    return page(request, "portal_tariff.html", own, mine, tab="account", tariffs=tariffs)


def _meters(own: OwnAccounts, account: OwnAccount, say: Language) -> list[MeterView]:
    return [meter_view(meter, say, own.now) for meter in own.meters(account.id)]


def _less(this: Figure | None, same: Figure | None) -> Decimal | None:
    """How this month compares with the same days of the last one, as a share: -0.12 is 12 % less."""
    if this is None or same is None or not this.complete or not this.kwh or not same.kwh:
        return None
    return this.kwh / same.kwh - 1
