"""Payments: listed, read and recorded."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request

from wattkeeper.billing.values import PaymentFilter, PaymentMethod
from wattkeeper.kernel.money import Money
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.api import schemas
from wattkeeper.web.api.billing import (
    After,
    Id,
    Limit,
    Wanted,
    cursor,
    money_item,
    payment_item,
    payment_line,
)
from wattkeeper.web.pages import services_of, site_zone
from wattkeeper.web.problems import documented
from wattkeeper.web.queries.accounts import account_view
from wattkeeper.web.queries.periods import days_between

router = APIRouter(tags=["payments"])


@router.get(
    "/payments",
    dependencies=[needs(Right.BILLS_VIEW)],
    responses=documented(400, 422),
    summary="List payments",
)
def list_payments(
    request: Request,
    *,
    account: Wanted = None,
    customer: Wanted = None,
    since: Annotated[
        date | None, Query(description="The first civil day of the site.", examples=["2026-11-01"])
    ] = None,
    until: Annotated[
        date | None, Query(description="The last day, which is within.", examples=["2026-11-30"])
    ] = None,
    cashier: Annotated[str, Query(max_length=100)] = "",
    method: PaymentMethod | None = None,
    search: Annotated[str, Query(max_length=100)] = "",
    limit: Limit = 50,
    after: After = None,
) -> schemas.PaymentPage:
    """Payments, newest first, with what all that fit come to; `search` is a part of a receipt, a number or a name."""
    wanted = PaymentFilter(
        search=search.strip(),
        cashier=cashier.strip(),
        method=method,
        period=days_between(since, until, site_zone(request)),
        account_id=account,
        customer_id=customer,
    )
    return _page(request, wanted, limit=limit, after=after)


@router.get(
    "/payments/{payment_id}",
    dependencies=[needs(Right.BILLS_VIEW)],
    responses=documented(404, 422),
    summary="One payment",
)
def get_payment(request: Request, payment_id: Id) -> schemas.PaymentLine:
    """A payment with its receipt number."""
    services = services_of(request)
    return payment_line(services.billing.books.payment(payment_id, scope=services.scope))


@router.post(
    "/accounts/{account_id}/payments",
    dependencies=[needs(Right.PAYMENTS_RECORD)],
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
    """Record money received at a counter, once per `Idempotency-Key`; the cashier is who is signed in."""
    services = services_of(request)
    account_view(services, account_id)
    recorded = services.billing.record_payment(
        account_id,
        amount=Money(payment.amount, payment.currency),
        method=payment.method,
        key=idempotency_key,
        cashier=principal_of(request).name,
        now=services.clock(),
    )
    return payment_item(recorded)


@router.get(
    "/accounts/{account_id}/payments",
    dependencies=[needs(Right.CUSTOMERS_VIEW)],
    responses=documented(400, 404, 422),
    summary="Payments of an account",
)
def list_payments_of_account(
    request: Request, account_id: Id, limit: Limit = 50, after: After = None
) -> schemas.PaymentPage:
    """What was received for an account, newest first."""
    account_view(services_of(request), account_id)
    return _page(request, PaymentFilter(account_id=account_id), limit=limit, after=after)


def _page(request: Request, wanted: PaymentFilter, *, limit: int, after: str | None) -> schemas.PaymentPage:
    services = services_of(request)
    page = services.billing.books.payments(wanted, scope=services.scope, limit=limit, after=cursor(after))
    return schemas.PaymentPage(
        items=[payment_line(row) for row in page.rows],
        next=None if page.next_after is None else str(page.next_after),
        total=page.total,
        sums=[money_item(amount) for amount in page.sums],
    )
