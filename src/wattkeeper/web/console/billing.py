"""Bills, accounts and the counter."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.billing.errors import BillingError
from wattkeeper.billing.values import BillState, BillView, PaymentMethod
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.kernel.money import Money
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api.billing import cursor, pdf_response
from wattkeeper.web.console.words import Notice, pager
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import BadRequest
from wattkeeper.web.queries import money, within
from wattkeeper.web.queries.meters import points_with_meters
from wattkeeper.web.queries.states import BILL, N_, bill_shown
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False)
Id = Annotated[int, Path(ge=1, le=2**53)]
UNITS: Final = {"kWh": "kWh", "month": N_("months"), "months": N_("months")}
MOVEMENTS: Final = {"bill": N_("Bill"), "cancellation": N_("Cancellation"), "payment": N_("Payment")}


@router.get("/bills", dependencies=[needs(Right.BILLS_VIEW)], response_class=HTMLResponse)
def bills_page(
    request: Request, state: str = "", after: Annotated[str | None, Query(max_length=20)] = None
) -> HTMLResponse:
    """The list of bills."""
    services, say = services_of(request), language_of(request)
    chosen = BillState(state) if state in set(BillState) else None
    page = services.billing.bills(state=chosen, scope=services.scope, limit=money.PAGE, after=cursor(after))
    rows = [money.bill_line(bill, say, services.clock()) for bill in page.items]
    following = None if page.next_after is None else str(page.next_after)
    return render(
        request,
        "bills.html",
        block="results",
        page=pager(say, rows, after=following, asked=after),
        chosen=chosen or "",
        states=[(code.value, say.text(text)) for code, (_, text) in BILL.items()],
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
    method: Annotated[str, Form(pattern="^(cash|card)$")],
    cashier: Annotated[str, Form(min_length=1, max_length=100)],
    key: Annotated[str, Form(min_length=8, max_length=100)],
) -> Response:
    """Record money over the counter; the form's key makes a second click harmless."""
    services = services_of(request)
    bill = within.bill(services, bill_id)
    try:
        services.billing.record_payment(
            bill.account_id,
            amount=Money(_amount(amount), bill.total.currency),
            method=PaymentMethod(method),
            key=key,
            cashier=cashier,
            now=services.clock(),
        )
    except WattkeeperError as error:
        return _bill_page(request, bill_id, notice=Notice.of(error, language_of(request)), status=409)
    return RedirectResponse(f"/bills/{bill_id}?paid=1", status_code=303)


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise BadRequest(f"{text!r} is not an amount.", hint="Write it as 132.06.") from None
    if not amount.is_finite() or amount != amount.quantize(Decimal("0.01")):
        raise BadRequest(f"{text!r} is not an amount in whole cents.", hint="Write it as 132.06.")
    return amount


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
        suggested=f"{_suggested(bill, balance):f}",
        payment_key=uuid.uuid4().hex,
        methods=[(code, say.text(text)) for code, text in money.METHODS.items()],
        payments=services.billing.payments(bill.account_id),
    )


def _meter_ids(services: Services, bill: BillView) -> dict[str, int | None]:
    """The meters a bill names by address."""
    with services.database.read() as session:
        registry = services.registry(session)
        rows = {
            row.meter_address: registry.find_meters(search=row.meter_address, limit=1).rows
            for row in bill.readings
        }
    return {address: found[0].meter_id if found else None for address, found in rows.items()}


def _last_day(bill: BillView, say: Language) -> str:
    assert bill.period.end is not None
    return f"{(bill.period.end - timedelta(microseconds=1)).astimezone(say.zone):%Y-%m-%d}"


def _suggested(bill: BillView, balance: Money) -> Decimal:
    """What is most likely paid: this bill, but never more than the account owes."""
    return min(bill.total.amount, balance.amount).quantize(Decimal("0.01"))


@router.get("/accounts", dependencies=[needs(Right.CUSTOMERS_VIEW)], response_class=HTMLResponse)
def accounts_page(
    request: Request,
    search: Annotated[str, Query(max_length=100)] = "",
    unbilled: Annotated[str, Query(max_length=7)] = "",
    after: Annotated[str | None, Query(max_length=64)] = None,
) -> HTMLResponse:
    """The list of accounts; `unbilled` is a month whose bill they lack."""
    services, say = services_of(request), language_of(request)
    month = money.month_of(unbilled, say.zone) if unbilled else None
    found = money.find_accounts(services, search=search, unbilled=month, after=after)
    rows = money.account_lines(services, found.accounts, say)
    return render(
        request,
        "accounts.html",
        block="results",
        page=pager(say, rows, after=found.after, asked=after, total=found.total),
        search=search,
        unbilled=unbilled,
        unbilled_month=say.month(month.start) if month else None,
    )


@dataclass(frozen=True, slots=True)
class AccountView:
    """Who an account belongs to."""

    id: int
    code: str
    name: str
    address: str | None
    kind_text: str
    customer_name: str
    phone: str | None
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class PointView:
    """A point of an account and the meter there now."""

    code: str
    name: str
    start: datetime
    meter_id: int | None
    meter_address: str | None


@dataclass(frozen=True, slots=True)
class TariffView:
    """An assigned tariff."""

    code: str
    name: str
    start: datetime


@router.get("/accounts/{account_id}", dependencies=[needs(Right.CUSTOMERS_VIEW)], response_class=HTMLResponse)
def account_page(request: Request, account_id: Id) -> HTMLResponse:
    """An account: what it owes, what it is billed for, and its bills."""
    return _account_page(request, account_id)


@router.post("/accounts/{account_id}/bills", dependencies=[needs(Right.BILLS_ISSUE)])
def bill_account(request: Request, account_id: Id, month: Annotated[str, Form(max_length=7)]) -> Response:
    """Issue the bill of a finished month."""
    services, say = services_of(request), language_of(request)
    with services.database.read() as session:
        services.registry(session).get_account(account_id)
    try:
        bill = services.billing.issue_bill(
            account_id, period=money.month_of(month, say.zone), now=services.clock()
        )
    except BillingError as error:
        return _account_page(request, account_id, notice=Notice.of(error, say), status=409)
    return RedirectResponse(f"/bills/{bill.id}", status_code=303)


def _account_page(
    request: Request, account_id: int, *, notice: Notice | None = None, status: int = 200
) -> HTMLResponse:
    services, say = services_of(request), language_of(request)
    account, points = _account(services, account_id, say)
    bills = services.billing.bills(account_id=account_id, limit=money.PAGE).items
    return render(
        request,
        "account.html",
        http_status=status,
        notice=notice,
        account=account,
        points=points,
        balance=services.billing.balance(account_id),
        tariffs=_tariffs(services, account_id, say),
        bills=[money.bill_line(bill, say, services.clock()) for bill in bills],
        months=[
            (f"{first:%Y-%m}", say.month(first.date()))
            for first in (
                month.start.astimezone(say.zone)
                for month in money.finished_months(services.clock(), say.zone)
            )
        ],
        statement=_statement(services, account_id, say),
    )


def _account(services: Services, account_id: int, say: Language) -> tuple[AccountView, list[PointView]]:
    now = services.clock()
    with services.database.read() as session:
        registry = services.registry(session)
        account = registry.get_account(account_id)
        customer = registry.get_customer(account.customer_id)
        held = [item for item in registry.points_of_account(account_id) if item.period.contains(now)]
        meters = points_with_meters(registry, [item.point_id for item in held], now)
    view = AccountView(
        account.id,
        account.code,
        account.name,
        account.address,
        say.text(money.KINDS[account.kind]),
        customer.name,
        customer.phone,
        account.opened_at,
    )
    return view, [
        PointView(
            item.point_code, item.point_name, item.period.start, *meters.get(item.point_id, (None, None))
        )
        for item in held
    ]


def _tariffs(services: Services, account_id: int, say: Language) -> list[TariffView]:
    names = {tariff.code: say.choose(tariff.name_zh, tariff.name_en) for tariff in services.billing.tariffs()}
    assigned = services.billing.assigned_tariffs(account_id)
    return [
        TariffView(item.tariff_code, names.get(item.tariff_code, item.tariff_code), item.period.start)
        for item in assigned
    ]


def _statement(services: Services, account_id: int, say: Language) -> list[dict[str, Any]]:
    rows = reversed(services.billing.statement(account_id))
    return [
        {
            "label": say.text(MOVEMENTS.get(row.kind, row.kind)),
            "at": row.at,
            "reference": row.reference,
            "amount": row.amount,
            "balance": row.balance,
        }
        for row in rows
    ]
