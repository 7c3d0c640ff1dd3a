"""The portal's data for a customer's own programs and apps: only what is theirs, any other id is not found."""

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from wattkeeper.billing.running import Slot
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api.billing import bill_detail, bill_item, cursor, payment_item, pdf_response
from wattkeeper.web.api.schemas import (
    BillDetail,
    BillItem,
    DecimalText,
    InstantText,
    MoneyItem,
    Page,
    PaymentItem,
    Shape,
)
from wattkeeper.web.portal.own import own_of
from wattkeeper.web.problems import BadRequest, documented
from wattkeeper.web.queries.periods import asked_period
from wattkeeper.web.queries.portal import OwnAccount, OwnAccounts

router = APIRouter(prefix="/portal", tags=["portal"], dependencies=[needs(Right.PORTAL)])
Id = Annotated[int, Path(ge=1, le=2**53)]
Account = Annotated[
    int | None, Query(ge=1, le=2**53, description="Id of one of your accounts; without it, all.")
]
Resolution = Literal["15min", "hour", "day", "month"]
SLOTS_MAX: Final = 3000
STEPS: Final = {"15min": timedelta(minutes=15), "hour": timedelta(hours=1)}


class OwnAccountItem(Shape):
    """One of your accounts, and what it owes."""

    id: int
    code: str
    name: str
    address: str | None
    opened_at: InstantText
    closed_at: InstantText | None
    balance: MoneyItem = Field(description="What the account owes; negative is a credit.")
    due_at: InstantText | None = Field(description="When the oldest open bill is due, where it says so.")


class UsageItem(Shape):
    """The energy of a part of a period."""

    start: InstantText
    end: InstantText
    energy_kwh: DecimalText | None = Field(description="What is known of it; null where nothing is.")
    complete: bool = Field(description="Whether nothing is missing.")
    estimated: bool
    cost: DecimalText | None = Field(
        description="By your tariff, unrounded and without charges per month; null where it cannot be told."
    )


class UsageAnswer(Shape):
    """Your usage; `until` is the instant up to which it is known."""

    account_id: int
    start: InstantText
    end: InstantText
    until: InstantText | None
    currency: str
    items: list[UsageItem]


class OwnMeterItem(Shape):
    """A meter at one of your metering points now."""

    account_id: int
    address: str
    point: str
    since: InstantText = Field(description="Since when it counts for your account.")
    ratio: DecimalText
    state: str = Field(description="answering, failing, silent or unknown.")
    register_kwh: DecimalText | None = Field(description="What its display showed when it was last read.")
    read_at: InstantText | None


@router.get("/accounts", summary="Your accounts")
def list_accounts(request: Request) -> list[OwnAccountItem]:
    """Your accounts with what each owes, those in use first."""
    own = own_of(request)
    return [_account(own, account) for account in own.accounts]


def _account(own: OwnAccounts, account: OwnAccount) -> OwnAccountItem:
    dues = own.dues(account.id)
    return OwnAccountItem(
        id=account.id,
        code=account.code,
        name=account.name,
        address=account.address,
        opened_at=account.opened_at,
        closed_at=account.closed_at,
        balance=MoneyItem(amount=dues.balance.amount, currency=dues.balance.currency),
        due_at=dues.due_at,
    )


@router.get("/usage", responses=documented(400, 404, 422), summary="Your usage")
def get_usage(
    request: Request,
    *,
    account: Annotated[int, Query(ge=1, le=2**53, description="Id of one of your accounts.")],
    period: Annotated[str | None, Query(max_length=20, examples=["month"])] = None,
    start: datetime | None = None,
    end: datetime | None = None,
    resolution: Resolution = "day",
) -> UsageAnswer:
    """Energy and cost of each quarter hour, hour, day or month while the account had its metering points."""
    own = own_of(request)
    mine = own.account(account)
    asked = asked_period(period=period, start=start, end=end, zone=mine.zone, now=own.now, default="month")
    if resolution in STEPS and asked.duration / STEPS[resolution] > SLOTS_MAX:
        raise BadRequest(
            f"An answer carries at most {SLOTS_MAX:,} values.",
            hint="Ask for a shorter period or a coarser resolution.",
        )
    slots = _slots(asked, resolution, mine)
    first = asked.start.astimezone(mine.zone)
    begin = TimeRange.month(first.year, first.month, mine.zone).start
    with own.running(mine.id, TimeRange(begin, asked.closed_end)) as running:
        found = running.slots(slots, mine.zone)
        until = running.last_known(asked)
    return UsageAnswer(
        account_id=mine.id,
        start=asked.start,
        end=asked.closed_end,
        until=until,
        currency=mine.currency,
        items=[_usage(slot) for slot in found],
    )


def _slots(asked: TimeRange, resolution: Resolution, account: OwnAccount) -> list[TimeRange]:
    if resolution in STEPS:
        return asked.slots(STEPS[resolution], account.zone)
    return asked.months(account.zone) if resolution == "month" else asked.days(account.zone)


def _usage(slot: Slot) -> UsageItem:
    known = slot.known if slot.known is not None and slot.known.covered else None
    return UsageItem(
        start=slot.period.start,
        end=slot.period.closed_end,
        energy_kwh=None if known is None else known.kwh,
        complete=known is not None and known.complete,
        estimated=known is not None and known.estimated,
        cost=None if known is None else slot.cost,
    )


@router.get("/bills", responses=documented(400, 404, 422), summary="Your bills")
def list_bills(
    request: Request,
    account: Account = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 24,
    after: Annotated[str | None, Query(max_length=16)] = None,
) -> Page[BillItem]:
    """Your bills, newest first."""
    found = own_of(request).bills(account, after=cursor(after), limit=limit)
    following = None if found.after is None else str(found.after)
    return Page(items=[bill_item(bill) for bill in found.bills], next=following)


@router.get("/bills/{bill_id}", responses=documented(404), summary="One of your bills")
def get_bill(request: Request, bill_id: Id) -> BillDetail:
    """A bill with its lines and the readings it rests on."""
    return bill_detail(own_of(request).bill(bill_id))


@router.get(
    "/bills/{bill_id}/pdf",
    summary="One of your bills as PDF",
    response_class=Response,
    responses=documented(404, 422)
    | {200: {"content": {"application/pdf": {}}, "description": "The document."}},
)
def get_bill_pdf(
    request: Request, bill_id: Id, language: Annotated[str, Query(pattern="^(zh|en)$")] = "zh"
) -> Response:
    """The document of a bill, in Chinese or English."""
    return pdf_response(own_of(request).bill(bill_id), language)


@router.get("/payments", responses=documented(404), summary="Your payments")
def list_payments(request: Request, account: Account = None) -> list[PaymentItem]:
    """What was received for your accounts, newest first."""
    own = own_of(request)
    accounts = own.accounts if account is None else [own.account(account)]
    payments = [payment for one in accounts for payment in own.payments(one.id)]
    return [payment_item(payment) for payment in sorted(payments, key=lambda payment: -payment.id)]


@router.get("/meters", responses=documented(404), summary="Your meters")
def list_meters(request: Request, account: Account = None) -> list[OwnMeterItem]:
    """The meters at your metering points now, and what they last showed."""
    own = own_of(request)
    accounts = own.accounts if account is None else [own.account(account)]
    return [
        OwnMeterItem(
            account_id=one.id,
            address=meter.address,
            point=meter.point_name or meter.point_code,
            since=meter.since,
            ratio=meter.ratio,
            state=meter.state.presence.value if meter.state else "unknown",
            register_kwh=meter.reading.value if meter.reading else None,
            read_at=meter.reading.read_at if meter.reading else None,
        )
        for one in accounts
        for meter in own.meters(one.id)
    ]
