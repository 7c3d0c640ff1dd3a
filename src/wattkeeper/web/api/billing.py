"""Bills and payments as the API tells them, in one place for every operation that does."""

import re
from typing import Annotated, Any, Final

from fastapi import Path, Query
from starlette.responses import Response

from wattkeeper.billing.documents import bill_pdf
from wattkeeper.billing.values import BillSummary, BillView, PaymentRow, PaymentView, ReadingRow
from wattkeeper.kernel.money import Money
from wattkeeper.web.api import schemas
from wattkeeper.web.queries.money import LARGEST_ID, cursor

__all__ = [
    "After",
    "Id",
    "Limit",
    "bill_detail",
    "bill_item",
    "cursor",
    "payment_item",
    "payment_line",
    "pdf_response",
]

Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]+")
Wanted = Annotated[int | None, Query(ge=1, le=LARGEST_ID)]
Limit = Annotated[int, Query(ge=1, le=500)]
After = Annotated[str | None, Query(max_length=500, description="The `next` of the page before.")]


def bill_item(bill: BillSummary) -> schemas.BillItem:
    """A bill of a list."""
    return schemas.BillItem(account_code=bill.account_code, account_name=bill.account_name, **_common(bill))


def bill_detail(bill: BillView) -> schemas.BillDetail:
    """A bill with its lines and the readings it rests on."""
    return schemas.BillDetail(
        account_code=bill.party.account_code,
        account_name=bill.party.account_name,
        **_common(bill),
        tariff_code=bill.tariff_code,
        previous_balance=money_item(bill.previous_balance),
        reason=bill.reason,
        cancels_id=bill.cancels_id,
        cancelled_by_id=bill.cancelled_by_id,
        replaces_id=bill.replaces_id,
        lines=[schemas.BillLineItem.model_validate(line) for line in bill.lines],
        readings=[_reading(row) for row in bill.readings],
    )


def payment_item(payment: PaymentView) -> schemas.PaymentItem:
    """A payment just recorded, or one of an account."""
    return schemas.PaymentItem(
        id=payment.id,
        receipt=payment.receipt,
        account_id=payment.account_id,
        amount=money_item(payment.amount),
        method=payment.method,
        received_at=payment.received_at,
        cashier=payment.cashier,
        repeated=payment.repeated,
    )


def payment_line(payment: PaymentRow) -> schemas.PaymentLine:
    """A payment of a list."""
    return schemas.PaymentLine(
        id=payment.id,
        receipt=payment.receipt,
        account_id=payment.account_id,
        account_code=payment.account_code,
        account_name=payment.account_name,
        amount=money_item(payment.amount),
        method=payment.method,
        received_at=payment.received_at,
        cashier=payment.cashier,
    )


def money_item(amount: Money) -> schemas.MoneyItem:
    """An amount with its currency."""
    return schemas.MoneyItem(amount=amount.amount, currency=amount.currency)


def pdf_response(bill: BillView, language: str) -> Response:
    """A bill's document, shown by the browser under its number."""
    name = bill.number if _PLAIN.fullmatch(bill.number) else str(bill.id)  # account numbers may hold any sign
    headers = {"content-disposition": f'inline; filename="bill-{name}-{language}.pdf"'}
    return Response(bill_pdf(bill, language), media_type="application/pdf", headers=headers)


def _common(bill: BillSummary | BillView) -> dict[str, Any]:
    """What a bill of a list and a bill by itself both say."""
    return {
        "id": bill.id,
        "number": bill.number,
        "account_id": bill.account_id,
        "start": bill.period.start,
        "end": bill.period.end,
        "issued_at": bill.issued_at,
        "due_at": bill.due_at,
        "energy_kwh": bill.energy_kwh,
        "total": money_item(bill.total),
        "state": bill.state,
        "estimated": bill.estimated,
    }


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
