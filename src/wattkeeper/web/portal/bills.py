"""Bills in plain words, their documents, and what was paid."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from starlette.responses import Response

from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api.billing import cursor, pdf_response
from wattkeeper.web.portal.own import Chosen, Id, chosen, own_of, page, speech
from wattkeeper.web.portal.words import MOVEMENTS, UNITS
from wattkeeper.web.queries.money import METHODS, bill_line, period_text
from wattkeeper.web.queries.states import bill_shown

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.PORTAL)])
SHOWN: Final = 24


@router.get("/portal/bills", response_class=HTMLResponse)
def bills_page(
    request: Request, account: Chosen = None, after: Annotated[str | None, Query(max_length=20)] = None
) -> HTMLResponse:
    """The bills of an account, newest first, with what is open of each."""
    own = own_of(request)
    mine = chosen(own, account)
    if mine is None:
        return page(request, "portal_bills.html", own, None, tab="bills")
    say = speech(request, mine)
    found = own.bills(mine.id, after=cursor(after), limit=SHOWN)
    return page(
        request,
        "portal_bills.html",
        own,
        mine,
        tab="bills",
        bills=[bill_line(bill, say, own.now) for bill in found.bills],
        after=found.after,
        asked=after,
        dues=own.dues(mine.id),
    )


@router.get("/portal/bills/{bill_id}", response_class=HTMLResponse)
def bill_page(request: Request, bill_id: Id) -> HTMLResponse:
    """A bill, line by line: quantity times price is amount, and the readings below it."""
    own = own_of(request)
    bill = own.bill(bill_id)
    mine = own.account(bill.account_id)
    say = speech(request, mine)
    return page(
        request,
        "portal_bill.html",
        own,
        mine,
        tab="bills",
        bill=bill,
        period=period_text(bill.period, say),
        shown=bill_shown(bill.state, due_at=bill.due_at, now=own.now, say=say),
        rest=own.dues(mine.id).open.get(bill.id),
        units={unit: say.text(text) for unit, text in UNITS.items()},
    )


@router.get("/portal/bills/{bill_id}/pdf")
def bill_document(
    request: Request, bill_id: Id, language: Annotated[str, Query(pattern="^(zh|en)$")] = "zh"
) -> Response:
    """A bill as PDF."""
    return pdf_response(own_of(request).bill(bill_id), language)


@router.get("/portal/payments", response_class=HTMLResponse)
def payments_page(request: Request, account: Chosen = None) -> HTMLResponse:
    """What came in, and how the balance came about."""
    own = own_of(request)
    mine = chosen(own, account)
    if mine is None:
        return page(request, "portal_payments.html", own, None, tab="bills")
    say = speech(request, mine)
    return page(
        request,
        "portal_payments.html",
        own,
        mine,
        tab="bills",
        payments=own.payments(mine.id),
        methods={code: say.text(text) for code, text in METHODS.items()},
        statement=[(say.text(MOVEMENTS[row.kind]), row) for row in own.statement(mine.id)],
        dues=own.dues(mine.id),
    )
