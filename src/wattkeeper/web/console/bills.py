"""Bills: the list, and the page of one with everything it rests on."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.billing.errors import BillingError
from wattkeeper.billing.values import BillFilter, BillState, BillView, PaymentFilter, PaymentMethod
from wattkeeper.kernel.money import Money
from wattkeeper.security.acting import ActorKind
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.api.billing import pdf_response
from wattkeeper.web.console.forms import Id, Key, amount_of
from wattkeeper.web.console.words import Notice, pager
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import status_of
from wattkeeper.web.queries import money, within
from wattkeeper.web.queries.states import BILL, N_, bill_shown
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False)
UNITS: Final = {"kWh": "kWh", "month": N_("months"), "months": N_("months")}
SHORTEST_REASON: Final = 3


@dataclass(frozen=True, slots=True)
class BillsAsked:
    """What an address asks of the list of bills, as its form shows it."""

    search: str
    state: str
    month: str
    estimated: bool

    @property
    def narrowed(self) -> bool:
        """Whether anything is left out."""
        return bool(self.search or self.state or self.month or self.estimated)

    def wanted(self, say: Language) -> BillFilter:
        """The filter that billing knows."""
        return BillFilter(
            search=self.search,
            state=BillState(self.state) if self.state else None,
            period=money.month_of(self.month, say.zone) if self.month else None,
            estimated=self.estimated,
        )


def asked_bills(
    *,
    search: Annotated[str, Query(max_length=100)] = "",
    state: Annotated[str, Query(max_length=20)] = "",
    month: Annotated[str, Query(max_length=7)] = "",
    estimated: Annotated[str, Query(pattern="^1?$")] = "",
) -> BillsAsked:
    """The filter an address carries; the form's empty choices arrive as empty texts."""
    return BillsAsked(search.strip(), state if state in set(BillState) else "", month, bool(estimated))


Asked = Annotated[BillsAsked, Depends(asked_bills)]


@router.get("/bills", dependencies=[needs(Right.BILLS_VIEW)], response_class=HTMLResponse)
def bills_page(
    request: Request, asked: Asked, after: Annotated[str | None, Query(max_length=20)] = None
) -> HTMLResponse:
    """The list of bills."""
    services, say = services_of(request), language_of(request)
    found = money.find_bills(services, asked.wanted(say), say, after=after)
    return render(
        request,
        "bills.html",
        block="results",
        page=pager(say, found.lines, after=found.after, asked=after),
        filters=asked,
        states=[(code.value, say.text(text)) for code, (_, text) in BILL.items()],
        months=money.month_choices(money.finished_months(services.clock(), say.zone), say, asked.month),
    )


@router.get("/bills/{bill_id}", dependencies=[needs(Right.BILLS_VIEW)], response_class=HTMLResponse)
def bill_page(request: Request, bill_id: Id) -> HTMLResponse:
    """A bill with everything it rests on."""
    return _bill_page(request, bill_id)


@router.get("/bills/{bill_id}/pdf", dependencies=[needs(Right.BILLS_VIEW)])
def bill_document(
    request: Request, bill_id: Id, language: Annotated[str, Query(pattern="^(zh|en)$")] = "zh"
) -> Response:
    """The bill as PDF."""
    return pdf_response(within.bill(services_of(request), bill_id), language)


@router.post("/bills/{bill_id}/payments", dependencies=[needs(Right.PAYMENTS_RECORD)])
def pay_bill(
    request: Request,
    bill_id: Id,
    *,
    amount: Annotated[str, Form(max_length=20)],
    method: Annotated[PaymentMethod, Form()],
    key: Key,
) -> Response:
    """Record money over the counter; the form's key makes a second click harmless."""
    services = services_of(request)
    bill = within.bill(services, bill_id)
    try:
        services.billing.record_payment(
            bill.account_id,
            amount=Money(amount_of(amount), bill.total.currency),
            method=method,
            key=key,
            cashier=principal_of(request).name,
            now=services.clock(),
        )
    except BillingError as error:
        notice = Notice.of(error, language_of(request))
        return _bill_page(request, bill_id, notice=notice, status=status_of(error))
    return RedirectResponse(f"/bills/{bill_id}?paid=1", status_code=303)


@router.get("/bills/{bill_id}/cancel", dependencies=[needs(Right.BILLS_ISSUE)], response_class=HTMLResponse)
def cancel_page(request: Request, bill_id: Id) -> HTMLResponse:
    """What cancelling a bill does, before it is done."""
    return _cancel_page(request, bill_id)


@router.post("/bills/{bill_id}/cancel", dependencies=[needs(Right.BILLS_ISSUE)], response_class=HTMLResponse)
def cancel_bill(
    request: Request,
    bill_id: Id,
    reason: Annotated[str, Form(max_length=500)] = "",
    sure: Annotated[str, Form(max_length=80)] = "",
) -> Response:
    """Cancel a bill for a reason; `sure` repeats the bill's number."""
    services, say = services_of(request), language_of(request)
    bill = within.bill(services, bill_id)
    reason = reason.strip()
    if sure != bill.number or len(reason) < SHORTEST_REASON:
        text = say.text("Give a reason, and confirm that this bill is to be cancelled.")
        return _cancel_page(request, bill_id, notice=Notice("bad", text), reason=reason, status=422)
    try:
        cancellation = services.billing.cancel_bill(bill_id, reason=reason, now=services.clock())
    except BillingError as error:
        return _cancel_page(request, bill_id, notice=Notice.of(error, say), reason=reason, status=409)
    return RedirectResponse(f"/bills/{cancellation.id}", status_code=303)


def _cancel_page(
    request: Request, bill_id: int, *, notice: Notice | None = None, reason: str = "", status: int = 200
) -> HTMLResponse:
    services = services_of(request)
    bill = within.bill(services, bill_id)
    say = language_of(request, bill.party.zone)
    balance = services.billing.balance(bill.account_id)
    return render(
        request,
        "bill_cancel.html",
        http_status=status,
        bill=bill,
        notice=notice,
        reason=reason,
        period_text=money.period_text(bill.period, say),
        balance=balance,
        balance_after=balance - bill.total,
        cancellable=bill.state in {BillState.ISSUED, BillState.PAID},
    )


def _bill_page(
    request: Request, bill_id: int, *, notice: Notice | None = None, status: int = 200
) -> HTMLResponse:
    services = services_of(request)
    bill = within.bill(services, bill_id)
    say = language_of(request, bill.party.zone)
    if notice is None and request.query_params.get("paid"):
        notice = Notice("good", say.text("The payment is recorded."))
    shown = bill_shown(bill.state, due_at=bill.due_at, now=services.clock(), say=say)
    balance = services.billing.balance(bill.account_id)
    return render(
        request,
        "bill.html",
        http_status=status,
        zone=bill.party.zone,
        bill=bill,
        level=shown.level,
        state_text=shown.text,
        period_text=money.period_text(bill.period, say),
        notice=notice,
        balance=balance,
        units={unit: say.text(text) for unit, text in UNITS.items()},
        meter_ids=_meter_ids(services, bill),
        last_day=_last_day(bill, say),
        payable=balance.amount > 0,
        cancellable=bill.state in {BillState.ISSUED, BillState.PAID},
        related=_related(services, bill),
        people=_people(services, bill, say),
        suggested=f"{_suggested(bill, balance):f}",
        payment_key=uuid.uuid4().hex,
        methods=money.method_words(say),
        payments=money.find_payments(services, PaymentFilter(account_id=bill.account_id))[0].rows,
    )


@dataclass(frozen=True, slots=True)
class Done:
    """Who did something to a bill, and when."""

    by: str
    at: datetime


def _people(services: Services, bill: BillView, say: Language) -> Mapping[str, Done]:
    """Who issued a bill and who cancelled it, as far as the audit knows: bills of a run are the run's."""
    cancellation = bill.id if bill.cancels_id is not None else bill.cancelled_by_id
    asked = {"issued": ("bill.issue", bill.id), "cancelled": ("bill.cancel", cancellation)}
    found = {}
    for what, (action, subject) in asked.items():
        if subject is None:
            continue
        rows = services.security.audit(action=action, subject=("bill", str(subject)), limit=1).rows
        if rows:
            by_itself = rows[0].actor_kind is ActorKind.SYSTEM
            found[what] = Done(say.text("the system") if by_itself else rows[0].actor_name, rows[0].at)
    return found


def _related(services: Services, bill: BillView) -> Mapping[str, tuple[int, str]]:
    """The bills this one cancels, replaces, or is cancelled by: id and number."""
    ids = {"cancels": bill.cancels_id, "replaces": bill.replaces_id, "cancelled_by": bill.cancelled_by_id}
    return {
        what: (bill_id, services.billing.bill(bill_id).number)
        for what, bill_id in ids.items()
        if bill_id is not None
    }


def _meter_ids(services: Services, bill: BillView) -> dict[str, int | None]:
    """The meters a bill names by address."""
    addresses = {row.meter_address for row in bill.readings}
    with services.database.read() as session:
        registry = services.registry(session)
        found = {address: registry.meters_by_address(address) for address in addresses}
    return {address: meters[0].id if meters else None for address, meters in found.items()}


def _last_day(bill: BillView, say: Language) -> str:
    assert bill.period.end is not None
    return f"{(bill.period.end - timedelta(microseconds=1)).astimezone(say.zone):%Y-%m-%d}"


def _suggested(bill: BillView, balance: Money) -> Decimal:
    """What is most likely paid: this bill, but never more than the account owes."""
    return max(min(bill.total.amount, balance.amount), Decimal(0)).quantize(Decimal("0.01"))
