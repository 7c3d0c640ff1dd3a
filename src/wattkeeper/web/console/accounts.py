"""Accounts: the list, and one account from all sides, with its bills and the money at the counter."""

import uuid
from dataclasses import dataclass
from typing import Annotated, Final, Literal, cast, get_args

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.billing.errors import BillingError
from wattkeeper.billing.values import AccountFilter, BillFilter, PaymentFilter, PaymentMethod
from wattkeeper.kernel.money import Money
from wattkeeper.registry.models import AccountKind
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.console.forms import Id, Key, Month, amount_of
from wattkeeper.web.console.words import Notice, pager
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import status_of
from wattkeeper.web.queries import accounts, money
from wattkeeper.web.queries.states import N_

router = APIRouter(include_in_schema=False)
Sort = Literal["code", "name", "balance"]
Show = Literal["", "owing", "without_tariff"]
SHOWN: Final = {"owing": N_("only those who owe"), "without_tariff": N_("only those without a tariff")}
DONE: Final = {
    "paid": N_("The payment is recorded."),
    "tariff": N_("The tariff is assigned."),
    "saved": N_("The changes are saved."),
    "opened": N_("The account is open. Give it a metering point and a tariff, so that it can be billed."),
    "closed": N_("The account is closed."),
    "moved": N_("The account now pays for the metering point."),
}


@dataclass(frozen=True, slots=True)
class AccountsAsked:
    """What an address asks of the list of accounts, as its form shows it."""

    search: str
    kind: str
    show: str
    unbilled: str
    sort: Sort
    descending: bool

    @property
    def narrowed(self) -> bool:
        """Whether anything is left out."""
        return bool(self.search or self.kind or self.show or self.unbilled)

    def wanted(self, say: Language) -> AccountFilter:
        """The filter that billing knows."""
        return AccountFilter(
            search=self.search,
            kind=AccountKind(self.kind) if self.kind else None,
            owing=self.show == "owing",
            without_tariff=self.show == "without_tariff",
            unbilled=money.month_of(self.unbilled, say.zone) if self.unbilled else None,
            sort=self.sort,
            descending=self.descending,
        )


def asked_accounts(
    *,
    search: Annotated[str, Query(max_length=100)] = "",
    kind: Annotated[str, Query(max_length=20)] = "",
    show: Annotated[str, Query(max_length=20)] = "",
    unbilled: Annotated[str, Query(max_length=7)] = "",
    sort: Annotated[str, Query(max_length=10)] = "code",
    descending: Annotated[bool, Query()] = False,
) -> AccountsAsked:
    """The filter an address carries; the form's empty choices arrive as empty texts."""
    return AccountsAsked(
        search.strip(),
        kind if kind in set(AccountKind) else "",
        show if show in SHOWN else "",
        unbilled,
        cast("Sort", sort) if sort in get_args(Sort) else "code",
        descending,
    )


Asked = Annotated[AccountsAsked, Depends(asked_accounts)]


@router.get("/accounts", dependencies=[needs(Right.CUSTOMERS_VIEW)], response_class=HTMLResponse)
def accounts_page(
    request: Request, asked: Asked, after: Annotated[str | None, Query(max_length=500)] = None
) -> HTMLResponse:
    """The list of accounts."""
    services, say = services_of(request), language_of(request)
    found = money.find_accounts(services, asked.wanted(say), say, after=after)
    return render(
        request,
        "accounts.html",
        block="results",
        page=pager(say, found.lines, after=found.after, asked=after, total=found.total),
        filters=asked,
        kinds=[(kind.value, say.text(text)) for kind, text in money.KINDS.items()],
        choices=[(code, say.text(text)) for code, text in SHOWN.items()],
        months=money.month_choices(money.finished_months(services.clock(), say.zone), say, asked.unbilled),
    )


@router.get("/accounts/{account_id}", dependencies=[needs(Right.CUSTOMERS_VIEW)], response_class=HTMLResponse)
def account_page(request: Request, account_id: Id) -> HTMLResponse:
    """An account: what it owes, what it is billed for, and its bills."""
    say = language_of(request)
    done = DONE.get(request.query_params.get("done", ""))
    return show_account(request, account_id, notice=Notice("good", say.text(done)) if done else None)


@router.post("/accounts/{account_id}/bills", dependencies=[needs(Right.BILLS_ISSUE)])
def bill_account(request: Request, account_id: Id, month: Month) -> Response:
    """Issue the bill of a finished month."""
    services, say = services_of(request), language_of(request)
    accounts.account_view(services, account_id)
    period = money.month_of(month, say.zone)
    try:
        bill = services.billing.issue_bill(account_id, period=period, now=services.clock())
    except BillingError as error:
        return show_account(request, account_id, notice=Notice.of(error, say), status=status_of(error))
    return RedirectResponse(f"/bills/{bill.id}", status_code=303)


@router.post("/accounts/{account_id}/payments", dependencies=[needs(Right.PAYMENTS_RECORD)])
def pay_account(
    request: Request,
    account_id: Id,
    *,
    amount: Annotated[str, Form(max_length=20)],
    method: Annotated[PaymentMethod, Form()],
    key: Key,
) -> Response:
    """Record money over the counter; the form's key makes a second click harmless."""
    services = services_of(request)
    accounts.account_view(services, account_id)
    currency = services.billing.currency(account_id)
    try:
        services.billing.record_payment(
            account_id,
            amount=Money(amount_of(amount), currency),
            method=method,
            key=key,
            cashier=principal_of(request).name,
            now=services.clock(),
        )
    except BillingError as error:
        notice = Notice.of(error, language_of(request))
        return show_account(request, account_id, notice=notice, status=status_of(error))
    return RedirectResponse(f"/accounts/{account_id}?done=paid", status_code=303)


def show_account(
    request: Request, account_id: int, *, notice: Notice | None = None, status: int = 200
) -> HTMLResponse:
    """The page of an account, with what became of what was done there."""
    services, say = services_of(request), language_of(request)
    account = accounts.account_view(services, account_id)
    balance, now = services.billing.balance(account_id), services.clock()
    ageing = services.billing.books.ageing(account_id, now=now)
    bills = money.find_bills(services, BillFilter(account_id=account_id), say)
    return render(
        request,
        "account.html",
        http_status=status,
        notice=notice,
        account=account,
        kind_text=say.text(money.KINDS[account.kind]),
        points=accounts.account_points(services, account_id, say),
        balance=balance,
        reaches_beyond=accounts.reaches_beyond(services, account_id),
        ages=accounts.ages(ageing, say),
        credit=ageing.credit,
        tariffs=accounts.account_tariffs(services, account_id, say),
        bills=bills.lines,
        more_bills=bills.after is not None,
        payments=money.find_payments(services, PaymentFilter(account_id=account_id))[0].rows,
        months=money.month_choices(money.finished_months(now, say.zone), say),
        statement=accounts.statement(services, account_id, say),
        suggested=f"{balance.amount:.2f}" if balance.amount > 0 else "",
        payment_key=uuid.uuid4().hex,
        methods=money.method_words(say),
    )
