"""Payments: the list of what came in, and the receipt of one."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from wattkeeper.billing.capitals import yuan_in_capitals
from wattkeeper.billing.values import PaymentFilter, PaymentMethod
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.forms import Id
from wattkeeper.web.console.words import pager
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import BadRequest
from wattkeeper.web.queries import money
from wattkeeper.web.queries.periods import days_between

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.BILLS_VIEW)])
YUAN = "CNY"


@dataclass(frozen=True, slots=True)
class PaymentsAsked:
    """What an address asks of the list of payments, as its form shows it."""

    search: str
    since: str
    until: str
    """The last day, which is within."""
    cashier: str
    method: str

    @property
    def narrowed(self) -> bool:
        """Whether anything is left out."""
        return bool(self.search or self.since or self.until or self.cashier or self.method)

    def wanted(self, say: Language) -> PaymentFilter:
        """The filter that billing knows."""
        return PaymentFilter(
            search=self.search,
            cashier=self.cashier,
            method=PaymentMethod(self.method) if self.method else None,
            period=days_between(_day(self.since), _day(self.until), say.zone),
        )


def asked_payments(
    *,
    search: Annotated[str, Query(max_length=100)] = "",
    since: Annotated[str, Query(max_length=10)] = "",
    until: Annotated[str, Query(max_length=10)] = "",
    cashier: Annotated[str, Query(max_length=100)] = "",
    method: Annotated[str, Query(max_length=20)] = "",
) -> PaymentsAsked:
    """The filter an address carries; the form's empty choices arrive as empty texts."""
    known = method if method in set(PaymentMethod) else ""
    return PaymentsAsked(search.strip(), since, until, cashier.strip(), known)


Asked = Annotated[PaymentsAsked, Depends(asked_payments)]


@router.get("/payments", response_class=HTMLResponse)
def payments_page(
    request: Request, asked: Asked, after: Annotated[str | None, Query(max_length=20)] = None
) -> HTMLResponse:
    """The list of payments, and what those of the filter come to."""
    services, say = services_of(request), language_of(request)
    page, following = money.find_payments(services, asked.wanted(say), after=after)
    return render(
        request,
        "payments.html",
        block="results",
        page=pager(say, page.rows, after=following, asked=after, total=page.total),
        sums=page.sums,
        count=page.total,
        filters=asked,
        methods=money.method_words(say),
    )


@router.get("/payments/{payment_id}", response_class=HTMLResponse)
def receipt_page(request: Request, payment_id: Id) -> HTMLResponse:
    """A receipt, to be printed."""
    services, say = services_of(request), language_of(request)
    payment = services.billing.books.payment(payment_id, scope=services.scope)
    with services.database.read() as session:
        registry = services.registry(session)
        account = registry.get_account(payment.account_id)
        customer = registry.get_customer(account.customer_id)
        site = next(iter(registry.sites()), None)
    capitals = yuan_in_capitals(payment.amount.amount) if payment.amount.currency == YUAN else None
    return render(
        request,
        "payment.html",
        payment=payment,
        customer=customer.name,
        address=account.address,
        issuer=site.name if site else None,
        method=money.method_words(say)[payment.method],
        capitals=capitals if say.code == "zh" else None,
        balance=services.billing.balance(payment.account_id),
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise BadRequest(f"{text!r} is not a day.", hint="Write it as 2026-11-22.") from None
