"""Bills, tariffs, accounts and payments."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from wattkeeper.billing.documents import bill_pdf
from wattkeeper.billing.tariff import Tariff
from wattkeeper.billing.values import BillState, BillSummary, BillView, PaymentMethod, PaymentView, ReadingRow
from wattkeeper.kernel.money import Money
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api import schemas
from wattkeeper.web.pages import services_of, site_zone
from wattkeeper.web.problems import BadRequest, documented
from wattkeeper.web.queries import within
from wattkeeper.web.queries.money import balances, find_accounts, month_of

router = APIRouter()
Id = Annotated[int, Path(ge=1, le=2**53)]


@router.get(
    "/bills",
    dependencies=[needs(Right.BILLS_VIEW)],
    tags=["bills"],
    responses=documented(400, 422),
    summary="List bills",
)
def list_bills(
    request: Request,
    account: Annotated[int | None, Query(ge=1, le=2**53, description="Id of an account.")] = None,
    state: BillState | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after: Annotated[str | None, Query(max_length=20)] = None,
) -> schemas.Page[schemas.BillItem]:
    """Bills, newest first."""
    page = services_of(request).billing.bills(
        account_id=account, state=state, scope=services_of(request).scope, limit=limit, after=cursor(after)
    )
    following = None if page.next_after is None else str(page.next_after)
    return schemas.Page(items=[bill_item(bill) for bill in page.items], next=following)


def cursor(text: str | None) -> int | None:
    """A cursor that is a number, as the lists of bills hand them out."""
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise BadRequest(f"{text!r} is not a cursor of this list.", hint="Use the `next` of the page before.")
    return int(text)


@router.get(
    "/bills/{bill_id}",
    dependencies=[needs(Right.BILLS_VIEW)],
    tags=["bills"],
    responses=documented(404),
    summary="One bill",
)
def get_bill(request: Request, bill_id: Id) -> schemas.BillDetail:
    """A bill with its lines and the readings it rests on."""
    return bill_detail(within.bill(services_of(request), bill_id))


@router.get(
    "/bills/{bill_id}/pdf",
    dependencies=[needs(Right.BILLS_VIEW)],
    tags=["bills"],
    summary="A bill as PDF",
    response_class=Response,
    responses=documented(404, 422)
    | {200: {"content": {"application/pdf": {}}, "description": "The document."}},
)
def get_bill_pdf(
    request: Request, bill_id: Id, language: Annotated[str, Query(pattern="^(zh|en)$")] = "zh"
) -> Response:
    """The document of a bill, in Chinese or English."""
    bill = within.bill(services_of(request), bill_id)
    return pdf_response(bill, language)


def pdf_response(bill: BillView, language: str) -> Response:
    """A bill's document, shown by the browser under its number."""
    headers = {"content-disposition": f'inline; filename="bill-{bill.number}-{language}.pdf"'}
    return Response(bill_pdf(bill, language), media_type="application/pdf", headers=headers)


@router.get("/tariffs", dependencies=[needs(Right.TARIFFS_VIEW)], tags=["tariffs"], summary="Tariffs")
def list_tariffs(request: Request) -> list[schemas.TariffItem]:
    """Every tariff with its dated versions."""
    return [_tariff(tariff) for tariff in services_of(request).billing.tariffs()]


@router.get(
    "/accounts",
    dependencies=[needs(Right.CUSTOMERS_VIEW)],
    tags=["accounts"],
    responses=documented(422),
    summary="List accounts",
)
def list_accounts(
    request: Request,
    search: Annotated[str, Query(max_length=100)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after: Annotated[str | None, Query(max_length=64)] = None,
) -> schemas.Page[schemas.AccountItem]:
    """Accounts by code, with what each owes now."""
    services = services_of(request)
    found = find_accounts(services, search=search, after=after, limit=limit)
    owed = balances(services, [account.id for account in found.accounts])
    items = [
        schemas.AccountItem(
            id=account.id,
            code=account.code,
            name=account.name,
            kind=account.kind,
            balance=_money(owed[account.id]),
        )
        for account in found.accounts
    ]
    return schemas.Page(items=items, next=found.after, total=found.total)


@router.post(
    "/accounts/{account_id}/bills",
    dependencies=[needs(Right.BILLS_ISSUE)],
    tags=["bills"],
    status_code=201,
    responses=documented(400, 404, 409, 422),
    summary="Issue a bill",
)
def issue_bill(request: Request, account_id: Id, wanted: schemas.BillWanted) -> schemas.BillDetail:
    """Bill an account for a finished civil month. A month is billed once, so a repeat is refused (409)."""
    services = services_of(request)
    period = month_of(wanted.month, site_zone(request))
    with services.database.read() as session:
        services.registry(session).get_account(account_id)
    return bill_detail(services.billing.issue_bill(account_id, period=period, now=services.clock()))


@router.post(
    "/accounts/{account_id}/payments",
    dependencies=[needs(Right.PAYMENTS_RECORD)],
    tags=["payments"],
    status_code=201,
    responses=documented(404, 409, 422),
    summary="Record a payment",
)
def record_payment(
    request: Request,
    account_id: Id,
    payment: schemas.PaymentWanted,
    idempotency_key: Annotated[
        str,
        Header(
            min_length=8,
            max_length=100,
            description="A repeat with the same key and content is recorded once.",
        ),
    ],
) -> schemas.PaymentItem:
    """Record money received at a counter, once per `Idempotency-Key`."""
    services = services_of(request)
    with services.database.read() as session:
        services.registry(session).get_account(account_id)
    recorded = services.billing.record_payment(
        account_id,
        amount=Money(payment.amount, payment.currency),
        method=PaymentMethod(payment.method),
        key=idempotency_key,
        cashier=payment.cashier,
        now=services.clock(),
    )
    return payment_item(recorded)


@router.get(
    "/accounts/{account_id}/payments",
    dependencies=[needs(Right.CUSTOMERS_VIEW)],
    tags=["payments"],
    responses=documented(404),
    summary="Payments of an account",
)
def list_payments(request: Request, account_id: Id) -> list[schemas.PaymentItem]:
    """What was received for an account."""
    services = services_of(request)
    with services.database.read() as session:
        services.registry(session).get_account(account_id)
    return [payment_item(payment) for payment in services.billing.payments(account_id)]


def _tariff(tariff: Tariff) -> schemas.TariffItem:
    return schemas.TariffItem(
        code=tariff.code,
        name_zh=tariff.name_zh,
        name_en=tariff.name_en,
        currency=tariff.currency,
        source=tariff.source,
        content_hash=tariff.content_hash,
        content=tariff.content,
    )


def payment_item(payment: PaymentView) -> schemas.PaymentItem:
    return schemas.PaymentItem(
        id=payment.id,
        receipt=payment.receipt,
        account_id=payment.account_id,
        amount=_money(payment.amount),
        method=payment.method,
        received_at=payment.received_at,
        cashier=payment.cashier,
        repeated=payment.repeated,
    )


def _money(amount: Money) -> schemas.MoneyItem:
    return schemas.MoneyItem(amount=amount.amount, currency=amount.currency)


def _end(bill: BillSummary | BillView) -> datetime:
    assert bill.period.end is not None
    return bill.period.end


def bill_item(bill: BillSummary) -> schemas.BillItem:
    return schemas.BillItem(
        id=bill.id,
        number=bill.number,
        account_id=bill.account_id,
        account_code=bill.account_code,
        account_name=bill.account_name,
        start=bill.period.start,
        end=_end(bill),
        issued_at=bill.issued_at,
        energy_kwh=bill.energy_kwh,
        total=_money(bill.total),
        state=bill.state,
        estimated=bill.estimated,
    )


def bill_detail(bill: BillView) -> schemas.BillDetail:
    return schemas.BillDetail(
        id=bill.id,
        number=bill.number,
        account_id=bill.account_id,
        account_code=bill.party.account_code,
        account_name=bill.party.account_name,
        start=bill.period.start,
        end=_end(bill),
        issued_at=bill.issued_at,
        energy_kwh=bill.energy_kwh,
        total=_money(bill.total),
        state=bill.state,
        estimated=bill.estimated,
        tariff_code=bill.tariff_code,
        due_at=bill.due_at,
        previous_balance=_money(bill.previous_balance),
        lines=[schemas.BillLineItem.model_validate(line) for line in bill.lines],
        readings=[_reading(row) for row in bill.readings],
    )


def _reading(row: ReadingRow) -> schemas.BillReadingItem:
    return schemas.BillReadingItem(
        point_code=row.point_code,
        meter_address=row.meter_address,
        quantity=row.quantity,
        start=row.start,
        end=row.end,
        start_exchange_id=None if row.start_exchange_id is None else str(row.start_exchange_id),
        end_exchange_id=None if row.end_exchange_id is None else str(row.end_exchange_id),
        ratio=row.ratio,
        energy_kwh=row.energy_kwh,
    )
