"""Changes to accounts: opened, changed, closed, given a metering point or a tariff."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.billing.errors import BillingError
from wattkeeper.billing.tariff import Tariff
from wattkeeper.billing.values import AssignmentPreview
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.registry import customers
from wattkeeper.registry.customers import AccountWanted
from wattkeeper.registry.errors import RegistryError
from wattkeeper.registry.models import AccountKind
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.accounts import show_account
from wattkeeper.web.console.forms import Id, Line, Moment, Month, moment_of
from wattkeeper.web.console.words import Notice
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import BadRequest, status_of
from wattkeeper.web.queries import accounts, money
from wattkeeper.web.queries.tariffs import Price, tariff_view

router = APIRouter(include_in_schema=False)
EDITING = [needs(Right.CUSTOMERS_EDIT)]


@router.get("/customers/{customer_id}/accounts/new", dependencies=EDITING, response_class=HTMLResponse)
def new_account_page(request: Request, customer_id: Id) -> HTMLResponse:
    """The form of a new account."""
    services = services_of(request)
    with services.database.read() as session:
        customer = services.registry(session).get_customer(customer_id)
    wanted = AccountWanted(code="", name=customer.name, address=customer.address)
    return _form(request, wanted, customer_id=customer_id)


@router.post("/customers/{customer_id}/accounts", dependencies=EDITING)
def open_account(
    request: Request,
    customer_id: Id,
    *,
    code: Line,
    name: Line,
    kind: Annotated[AccountKind, Form()],
    address: Line = "",
    opened: Moment,
) -> Response:
    """Open an account."""
    services, say = services_of(request), language_of(request)
    wanted = AccountWanted(code=code, name=name, kind=kind, address=address)
    try:
        with services.database.write() as session:
            services.registry(session).get_customer(customer_id)
            account = customers.open_account(
                session,
                customer_id,
                wanted,
                opened_at=moment_of(opened, say.zone),
                now=services.clock(),
            )
    except (RegistryError, BadRequest) as error:
        return _form(request, wanted, customer_id=customer_id, opened=opened, error=error)
    return RedirectResponse(f"/accounts/{account.id}?done=opened", status_code=303)


@router.get("/accounts/{account_id}/edit", dependencies=EDITING, response_class=HTMLResponse)
def edit_account_page(request: Request, account_id: Id) -> HTMLResponse:
    """The form of an account."""
    account = accounts.account_view(services_of(request), account_id)
    wanted = AccountWanted(code=account.code, name=account.name, kind=account.kind, address=account.address)
    return _form(request, wanted, account_id=account_id)


@router.post("/accounts/{account_id}/edit", dependencies=EDITING)
def change_account(
    request: Request,
    account_id: Id,
    *,
    code: Line,
    name: Line,
    kind: Annotated[AccountKind, Form()],
    address: Line = "",
) -> Response:
    """Change an account."""
    services = services_of(request)
    wanted = AccountWanted(code=code, name=name, kind=kind, address=address)
    try:
        with services.database.write() as session:
            services.registry(session).get_account(account_id)
            customers.change_account(session, account_id, wanted, now=services.clock())
    except RegistryError as error:
        return _form(request, wanted, account_id=account_id, error=error)
    return RedirectResponse(f"/accounts/{account_id}?done=saved", status_code=303)


@router.post("/accounts/{account_id}/close", dependencies=EDITING)
def close_account(request: Request, account_id: Id, at: Moment) -> Response:
    """Close an account at a moment."""
    services, say = services_of(request), language_of(request)
    accounts.account_view(services, account_id)
    try:
        services.billing.accounts.close(account_id, at=moment_of(at, say.zone), now=services.clock())
    except (RegistryError, BillingError, BadRequest) as error:
        return _refused(request, account_id, error)
    return RedirectResponse(f"/accounts/{account_id}?done=closed", status_code=303)


@router.post("/accounts/{account_id}/points", dependencies=EDITING)
def move_point(request: Request, account_id: Id, point: Line, at: Moment) -> Response:
    """Let the account pay for a metering point from a moment on."""
    services, say = services_of(request), language_of(request)
    accounts.account_view(services, account_id)
    try:
        with services.database.read() as session:
            point_id = customers.point_of_code(services.registry(session), point)
        services.billing.accounts.move_point(
            point_id=point_id, account_id=account_id, at=moment_of(at, say.zone), now=services.clock()
        )
    except (RegistryError, BillingError, BadRequest) as error:
        return _refused(request, account_id, error)
    return RedirectResponse(f"/accounts/{account_id}?done=moved", status_code=303)


@dataclass(frozen=True, slots=True)
class TariffAhead:
    """What a tariff from a month on would change."""

    preview: AssignmentPreview
    month_text: str
    new_name: str
    new_prices: tuple[Price, ...]
    old_name: str | None
    old_prices: tuple[Price, ...]

    @property
    def same(self) -> bool:
        """Whether the account has that tariff then anyway."""
        ends = self.preview.ends
        return ends is not None and ends.tariff_code == self.preview.tariff_code


@router.get(
    "/accounts/{account_id}/tariff",
    dependencies=[needs(Right.TARIFFS_ASSIGN)],
    response_class=HTMLResponse,
)
def tariff_page(
    request: Request,
    account_id: Id,
    tariff: Annotated[str, Query(max_length=64)] = "",
    month: Annotated[str, Query(max_length=7)] = "",
) -> HTMLResponse:
    """The tariffs to choose from, and what the chosen one would change."""
    say = language_of(request)
    if not (tariff and month):
        return _tariff_page(request, account_id)
    try:
        ahead = _ahead(request, account_id, tariff, month, say)
    except (BillingError, BadRequest) as error:
        notice = Notice.of(error, say)
        return _tariff_page(
            request, account_id, tariff=tariff, month=month, notice=notice, status=status_of(error)
        )
    return _tariff_page(request, account_id, tariff=tariff, month=month, ahead=ahead)


@router.post("/accounts/{account_id}/tariff", dependencies=[needs(Right.TARIFFS_ASSIGN)])
def assign_tariff(
    request: Request, account_id: Id, tariff: Annotated[str, Form(max_length=64)], month: Month
) -> Response:
    """Bill the account by a tariff from a month on."""
    services, say = services_of(request), language_of(request)
    accounts.account_view(services, account_id)
    try:
        start = money.month_of(month, say.zone).start
        services.billing.assign_tariff(account_id, tariff_code=tariff, valid_from=start, now=services.clock())
    except (BillingError, BadRequest) as error:
        return _tariff_page(
            request, account_id, tariff=tariff, notice=Notice.of(error, say), status=status_of(error)
        )
    return RedirectResponse(f"/accounts/{account_id}?done=tariff", status_code=303)


def _ahead(request: Request, account_id: int, code: str, month: str, say: Language) -> TariffAhead:
    billing = services_of(request).billing
    accounts.account_view(services_of(request), account_id)
    start = money.month_of(month, say.zone).start
    preview = billing.accounts.preview_tariff(account_id, tariff_code=code, valid_from=start)
    new = billing.tariff(code)
    old = billing.tariff(preview.ends.tariff_code) if preview.ends else None
    return TariffAhead(
        preview,
        say.month(start),
        say.choose(new.name_zh, new.name_en),
        _prices(new, preview, say),
        say.choose(old.name_zh, old.name_en) if old else None,
        _prices(old, preview, say) if old else (),
    )


def _prices(tariff: Tariff, preview: AssignmentPreview, say: Language) -> tuple[Price, ...]:
    """The prices of a tariff at the moment the new one begins."""
    at = preview.valid_from
    versions = tariff_view(tariff, say).versions
    return next(
        (
            version.prices
            for version in versions
            if version.valid_from <= at and (version.valid_to is None or at < version.valid_to)
        ),
        (),
    )


def _tariff_page(
    request: Request,
    account_id: int,
    *,
    tariff: str = "",
    month: str = "",
    ahead: TariffAhead | None = None,
    notice: Notice | None = None,
    status: int = 200,
) -> HTMLResponse:
    services, say = services_of(request), language_of(request)
    now = services.clock()
    months = [*money.finished_months(now, say.zone), *money.coming_months(now, say.zone)]
    account = accounts.account_view(services, account_id)
    assigned = accounts.account_tariffs(services, account_id, say)
    # A change begins with the next month; the first tariff with the account, so that no month is without one.
    start = months[-11].start if assigned else account.opened_at
    month = month or f"{start.astimezone(say.zone):%Y-%m}"
    return render(
        request,
        "account_tariff.html",
        http_status=status,
        account=account,
        tariffs=services.billing.tariffs(),
        assigned=assigned,
        months=money.month_choices(months, say, month),
        tariff=tariff,
        month=month,
        ahead=ahead,
        notice=notice,
    )


def _refused(request: Request, account_id: int, error: WattkeeperError) -> HTMLResponse:
    notice = Notice.of(error, language_of(request))
    return show_account(request, account_id, notice=notice, status=status_of(error))


def _form(
    request: Request,
    wanted: AccountWanted,
    *,
    account_id: int | None = None,
    customer_id: int | None = None,
    opened: str = "",
    error: WattkeeperError | None = None,
) -> HTMLResponse:
    services, say = services_of(request), language_of(request)
    return render(
        request,
        "account_form.html",
        http_status=status_of(error) if error else 200,
        notice=Notice.of(error, say) if error else None,
        wanted=wanted,
        account_id=account_id,
        customer_id=customer_id,
        kinds=[(kind.value, say.text(text)) for kind, text in money.KINDS.items()],
        opened=opened or f"{services.clock().astimezone(say.zone):%Y-%m-%dT00:00}",
    )
