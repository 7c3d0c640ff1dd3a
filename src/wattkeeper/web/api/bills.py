"""Bills: listed, read, issued and cancelled."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from wattkeeper.billing.values import BillFilter, BillState
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api import schemas
from wattkeeper.web.api.billing import (
    After,
    Id,
    Limit,
    Wanted,
    bill_detail,
    bill_item,
    cursor,
    pdf_response,
)
from wattkeeper.web.pages import services_of, site_zone
from wattkeeper.web.problems import documented
from wattkeeper.web.queries import within
from wattkeeper.web.queries.accounts import account_view
from wattkeeper.web.queries.money import month_of

router = APIRouter(tags=["bills"])


class Cancellation(BaseModel):
    """Why a bill is cancelled."""

    reason: str = Field(min_length=3, max_length=500, pattern=r"\S", examples=["The register was misread."])


@router.get(
    "/bills",
    dependencies=[needs(Right.BILLS_VIEW)],
    responses=documented(400, 422),
    summary="List bills",
)
def list_bills(
    request: Request,
    *,
    account: Wanted = None,
    customer: Wanted = None,
    state: BillState | None = None,
    month: Annotated[str | None, Query(pattern=r"^\d{4}-\d{2}$", examples=["2026-10"])] = None,
    estimated: Annotated[bool, Query(description="Only bills that rest on estimated intervals.")] = False,
    corrected: Annotated[
        bool,
        Query(
            description="Only standing bills whose readings were corrected, or came, after they were issued."
        ),
    ] = False,
    search: Annotated[str, Query(max_length=100)] = "",
    limit: Limit = 50,
    after: After = None,
) -> schemas.Page[schemas.BillItem]:
    """Bills and cancellations, newest first; `account` and `customer` are ids, `search` is a part of a number or name."""
    services = services_of(request)
    wanted = BillFilter(
        search=search.strip(),
        state=state,
        period=month_of(month, site_zone(request)) if month else None,
        estimated=estimated,
        touched=corrected,
        account_id=account,
        customer_id=customer,
    )
    page = services.billing.books.bills(wanted, scope=services.scope, limit=limit, after=cursor(after))
    following = None if page.next_after is None else str(page.next_after)
    return schemas.Page(items=[bill_item(bill) for bill in page.items], next=following)


@router.get(
    "/bills/{bill_id}",
    dependencies=[needs(Right.BILLS_VIEW)],
    responses=documented(404, 422),
    summary="One bill",
)
def get_bill(request: Request, bill_id: Id) -> schemas.BillDetail:
    """A bill with its lines and the readings it rests on."""
    return bill_detail(within.bill(services_of(request), bill_id))


@router.get(
    "/bills/{bill_id}/pdf",
    dependencies=[needs(Right.BILLS_VIEW)],
    summary="A bill as PDF",
    response_class=Response,
    responses=documented(404, 422)
    | {200: {"content": {"application/pdf": {}}, "description": "The document."}},
)
def get_bill_pdf(
    request: Request, bill_id: Id, language: Annotated[str, Query(pattern="^(zh|en)$")] = "zh"
) -> Response:
    """The document of a bill, in Chinese or English."""
    return pdf_response(within.bill(services_of(request), bill_id), language)


@router.post(
    "/bills/{bill_id}/cancellation",
    dependencies=[needs(Right.BILLS_ISSUE)],
    status_code=201,
    responses=documented(400, 404, 409, 422),
    summary="Cancel a bill",
)
def cancel_bill(request: Request, bill_id: Id, wanted: Cancellation) -> schemas.BillDetail:
    """Reverse a bill by a new one with every line negated; a bill is cancelled once (409)."""
    services = services_of(request)
    within.bill(services, bill_id)
    reason = wanted.reason.strip()
    return bill_detail(services.billing.cancel_bill(bill_id, reason=reason, now=services.clock()))


@router.post(
    "/accounts/{account_id}/bills",
    dependencies=[needs(Right.BILLS_ISSUE)],
    status_code=201,
    responses=documented(400, 404, 409, 422),
    summary="Issue a bill",
)
def issue_bill(request: Request, account_id: Id, wanted: schemas.BillWanted) -> schemas.BillDetail:
    """Bill an account for a finished civil month. A month is billed once, so a repeat is refused (409)."""
    services = services_of(request)
    account_view(services, account_id)
    period = month_of(wanted.month, site_zone(request))
    return bill_detail(services.billing.issue_bill(account_id, period=period, now=services.clock()))
