"""Bills and payments of the estate of `pages_estate`.

The bills of the first accounts come from the billing service. Every other account gets a copy of the bill of an account
of its own kind and tariff, in its own name: what a page costs depends on how many bills there are and how much each
keeps, not on whether its energy is this account's. Ten thousand accounts would otherwise take the service an hour here.
"""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from pages_estate import KINDS, NOW, ZONE, Estate
from wattkeeper.billing.ledger import Ledger
from wattkeeper.billing.models import (
    AccountTariff,
    Bill,
    BillLine,
    LedgerAccount,
    LedgerTransaction,
    Payment,
    Posting,
)
from wattkeeper.billing.service import BillingService
from wattkeeper.billing.values import PaymentMethod
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.models import Account, AccountKind, Customer, PointKind

BILLED_MONTHS = 3
RATED_ACCOUNTS = 120
CURRENCY = "CNY"
TARIFFS = {
    AccountKind.RESIDENTIAL: ("cn-zhejiang-residential", "cn-jiangsu-residential-tou"),
    AccountKind.COMMERCIAL: ("cn-sichuan-commercial-tou",),
    AccountKind.INDUSTRIAL: ("cn-sichuan-commercial-tou",),
}
Row = dict[str, Any]


def account_kind(number: int, estate: Estate) -> AccountKind:
    """The class of an account's contract."""
    kinds = {PointKind.HOUSEHOLD: AccountKind.RESIDENTIAL, PointKind.FACTORY: AccountKind.INDUSTRIAL}
    return kinds.get(KINDS[estate.kind(number)][0], AccountKind.COMMERCIAL)


def bill(estate: Estate, database: Database, store: ReadingsStore) -> None:
    """Bills of the last months for every account, and what most of them have paid."""
    months = [month for month in _months() if month.closed_end > estate.start][-BILLED_MONTHS:]
    _assign(estate, database, max(months[0].start, estate.start))
    billing = BillingService(database, store)
    for month in months:
        began = time.perf_counter()
        for account_id in range(1, min(RATED_ACCOUNTS, estate.meters) + 1):
            billing.issue_bill(
                account_id, period=month, now=_issued_at(month), due_at=_issued_at(month) + timedelta(days=20)
            )
        database.analyse()  # as the server's maintenance does
        with database.write() as session:
            _copy_bills(session, estate, month)
            _pay(session, month, latest=month is months[-1])
        print(
            f"  bills of {month.start.astimezone(ZONE):%Y-%m}: {time.perf_counter() - began:,.0f} s",
            flush=True,
        )


def _months() -> list[TimeRange]:
    """The months of this year that are over."""
    today = NOW.astimezone(ZONE)
    return [TimeRange.month(today.year, month, ZONE) for month in range(1, today.month)]


def _issued_at(month: TimeRange) -> datetime:
    return month.closed_end + timedelta(days=1)


def _tariff(number: int, estate: Estate) -> str:
    offered = TARIFFS[account_kind(number, estate)]
    return offered[number % len(offered)]


def _assign(estate: Estate, database: Database, start: datetime) -> None:
    rows = [
        {"account_id": n + 1, "tariff_code": _tariff(n, estate), "basis": "intervals", "valid_from": start, "recorded_at": NOW}
        for n in range(estate.meters)
    ]  # fmt: skip
    with database.write() as session:
        session.execute(insert(AccountTariff), rows)


def _copy_bills(session: Session, estate: Estate, month: TimeRange) -> None:
    """The bills of all further accounts, each after one of its kind."""
    rated = session.scalars(select(Bill).where(Bill.period_end == month.end).order_by(Bill.id)).all()
    lines = {
        one.id: session.scalars(select(BillLine).where(BillLine.bill_id == one.id)).all() for one in rated
    }
    of_kind: dict[tuple[Any, str], list[Bill]] = {}
    for one in rated:
        number = one.account_id - 1
        of_kind.setdefault((account_kind(number, estate), _tariff(number, estate)), []).append(one)
    parties = session.execute(
        select(Account, Customer.name).join(Customer).where(Account.id > RATED_ACCOUNTS).order_by(Account.id)
    )
    bills, copied = [], []
    next_id = rated[-1].id + 1
    for account, customer in parties:
        number = account.id - 1
        alike = of_kind.get((account_kind(number, estate), _tariff(number, estate)), list(rated))
        model = alike[number % len(alike)]
        bills.append(_row(model) | _in_the_name_of(model, account, customer) | {"id": next_id})
        copied += [_row(line) | {"bill_id": next_id} for line in lines[model.id]]
        next_id += 1
    _post(session, [(one, "bill", "revenue") for one in bills])
    for chunk in _chunks(bills):
        session.execute(insert(Bill), chunk)
    for chunk in _chunks(copied):
        session.execute(insert(BillLine), chunk)


def _row(entity: Any) -> Row:
    return {column.key: getattr(entity, column.key) for column in entity.__mapper__.column_attrs}


def _in_the_name_of(model: Bill, account: Account, customer: str) -> Row:
    """What a copy says of itself: its account, its number, and the party and meters among its inputs."""
    number = account.id
    party = model.inputs["party"] | {
        "account_code": account.code, "account_name": account.name, "account_address": account.address, "customer_name": customer,
    }  # fmt: skip
    readings = [
        row
        | {
            "point_code": f"P{number:05d}",
            "point_name": account.name,
            "meter_address": Estate.address(number - 1),
        }
        for row in model.inputs["readings"]
    ]
    return {
        "account_id": number, "number": f"{account.code}-{model.period_start.astimezone(ZONE):%Y%m%d}-1",
        "inputs": model.inputs | {"party": party, "readings": readings}, "transaction_id": uuid4().hex,
    }  # fmt: skip


def _post(session: Session, rows: list[tuple[Row, str, str]]) -> None:
    """Debit each account with its bill, or credit it with its payment, as the ledger does."""
    ledger = Ledger(session)
    receivable = _receivables(session)
    new = [
        {"code": f"receivable:{row['account_id']}:{CURRENCY}", "kind": "receivable", "currency": CURRENCY, "account_id": row["account_id"]}
        for row, *_ in rows if row["account_id"] not in receivable
    ]  # fmt: skip
    for chunk in _chunks(new):
        session.execute(insert(LedgerAccount), chunk)
    receivable = _receivables(session)
    postings, seals = [], []
    for row, kind, against in rows:
        amount: Decimal = row["total"] if kind == "bill" else -row["amount"]
        both = ((receivable[row["account_id"]], amount), (ledger.own(against, CURRENCY), -amount))
        postings += [
            {"transaction_id": row["transaction_id"], "ledger_account_id": place, "amount": part}
            for place, part in both
        ]
        reference, at = (
            (row["number"], row["issued_at"])
            if kind == "bill"
            else (row["idempotency_key"], row["received_at"])
        )
        seals.append({"id": row["transaction_id"], "kind": kind, "reference": reference, "occurred_at": at})
    for model, written in ((Posting, postings), (LedgerTransaction, seals)):
        for chunk in _chunks(written):
            session.execute(insert(model), chunk)


def _receivables(session: Session) -> dict[int | None, int]:
    """The ledger account of each account."""
    rows = session.execute(select(LedgerAccount.account_id, LedgerAccount.id))
    return {row[0]: row[1] for row in rows}


def _pay(session: Session, month: TimeRange, *, latest: bool) -> None:
    """Five accounts of a hundred never pay; of the latest bill a sixth is still open."""
    wanted = select(Bill.account_id, Bill.number, Bill.total).where(
        Bill.period_end == month.end, Bill.total > Decimal(0)
    )
    at = _issued_at(month) + timedelta(days=3)
    payments = []
    for account_id, number, total in session.execute(wanted):
        if not account_id % 20 or (latest and not account_id % 6):
            continue
        transaction = uuid4().hex
        payments.append(
            {"receipt": f"R{at:%Y%m%d}-{transaction[:10].upper()}", "idempotency_key": f"bench-{number}", "account_id": account_id,
             "amount": total, "currency": CURRENCY, "method": PaymentMethod.CASH.value, "cashier": "王敏", "received_at": at,
             "transaction_id": transaction}
        )  # fmt: skip
    _post(session, [(payment, "payment", "cash") for payment in payments])
    for chunk in _chunks(payments):
        session.execute(insert(Payment), chunk)


def _chunks(rows: list[Row]) -> Iterator[list[Row]]:
    for first in range(0, len(rows), 1000):
        yield rows[first : first + 1000]
