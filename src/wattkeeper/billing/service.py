"""Billing's use cases. `now` always comes in; every method is one transaction and may run in a thread."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from wattkeeper.billing.accounts import Accounts
from wattkeeper.billing.bill_run import BillRuns
from wattkeeper.billing.books import Books
from wattkeeper.billing.counter import Counter
from wattkeeper.billing.errors import BillingRefused, BillNotCancellable, UnknownBill
from wattkeeper.billing.kept import Inputs, reversed_line
from wattkeeper.billing.late import LateReadings
from wattkeeper.billing.ledger import Ledger
from wattkeeper.billing.library import TariffLibrary
from wattkeeper.billing.measured import Rules
from wattkeeper.billing.models import Bill
from wattkeeper.billing.preparing import Preparation, Prepared
from wattkeeper.billing.repository import BillingRepository
from wattkeeper.billing.running import Running
from wattkeeper.billing.tariff import Tariff
from wattkeeper.billing.values import (
    AssignedTariff,
    Basis,
    BillDraft,
    BillFilter,
    BillPage,
    BillRunPage,
    BillRunView,
    BillState,
    BillView,
    Line,
    PaymentMethod,
    PaymentView,
    Recomputed,
    StatementRow,
)
from wattkeeper.billing.views import Views
from wattkeeper.kernel.calendars import Calendar
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.service import IntervalService
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.scope import EVERYTHING, Scope
from wattkeeper.security.acting import Actor
from wattkeeper.security.audit import record

_ATTEMPTS = 3


class BillingService:
    """Tariffs, bills, payments and balances of accounts."""

    def __init__(
        self,
        database: Database,
        store: ReadingsStore,
        *,
        intervals: IntervalService | None = None,
        library: TariffLibrary | None = None,
        calendars: Mapping[str, Calendar] | None = None,
        rules: Rules | None = None,
    ) -> None:
        """`calendars` are the installation's own by country code; "" is that of tariffs that name none.

        `intervals` is the one that already derives in this process, if one does.
        """
        self.database = database
        self._store = store
        self._library = TariffLibrary.open() if library is None else library
        given = {} if calendars is None else dict(calendars)
        countries = {tariff.calendar or "" for tariff in self._library.all()}
        self._calendars = {code: given.get(code) or Calendar(code or None) for code in countries}
        self._rules = Rules() if rules is None else rules
        self._runs = BillRuns(self, IntervalService(database, store) if intervals is None else intervals)
        self._counter = Counter(database)
        self.books = Books(database)
        self.late = LateReadings(database, store)
        self.accounts = Accounts(database, self._library)

    # tariffs

    def tariffs(self) -> list[Tariff]:
        """Every tariff at hand, by code."""
        return self._library.all()

    def tariff(self, code: str) -> Tariff:
        """One tariff."""
        return self._library.get(code)

    def assign_tariff(
        self,
        account_id: int,
        *,
        tariff_code: str,
        valid_from: datetime,
        now: datetime,
        valid_to: datetime | None = None,
        basis: Basis = Basis.INTERVALS,
    ) -> AssignedTariff:
        """Bill an account by a tariff from an instant on; the tariff it had until then ends there.

        Refuses to change what has been billed, or to overlap a later assignment.
        """
        return self.accounts.assign_tariff(
            account_id,
            tariff_code=tariff_code,
            period=TimeRange(valid_from, valid_to),
            now=now,
            basis=basis,
        )

    def assign_where_none(self, tariff_code: str, *, valid_from: datetime, now: datetime) -> int:
        """Bill every account that never had a tariff by this one from an instant on; returns how many."""
        self._library.get(tariff_code)
        with self.database.write() as session:
            start = TimeRange(valid_from, None).start
            given = BillingRepository(session).assign_where_none(tariff_code, valid_from=start, now=now)
            if given:
                after = {"from": start, "accounts": given}
                record(
                    session, "tariff.assign_where_none", now=now, subject=("tariff", tariff_code), after=after
                )
            return given

    def assigned_tariffs(self, account_id: int) -> list[AssignedTariff]:
        """An account's tariffs in order of time."""
        with self.database.read() as session:
            return BillingRepository(session).assignments(account_id)

    # bills

    def prepare_bill(self, account_id: int, *, period: TimeRange, now: datetime) -> BillDraft:
        """What the bill of a period would be, or BillingRefused with the reason; nothing is kept."""
        return self.prepare(account_id, period=period, now=now).draft

    def issue_bill(
        self, account_id: int, *, period: TimeRange, now: datetime, due_at: datetime | None = None
    ) -> BillView:
        """Make the bill of a period and post it, whole or not at all."""
        for attempt in range(_ATTEMPTS):
            prepared = self.prepare(account_id, period=period, now=now)
            try:
                with self.database.write() as session:
                    return self.issue_prepared(session, prepared, now=now, due_at=due_at)
            except BillingRefused as refused:
                if refused.reason != "stale" or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError  # the loop returns or raises

    def cancel_bill(self, bill_id: int, *, reason: str, now: datetime) -> BillView:
        """Reverse a bill by a new one with its lines and postings negated; returns the cancellation."""
        with self.database.write() as session:
            bills = BillingRepository(session)
            bill = _found(bills.bill(bill_id), bill_id)
            bills.lock(bill.account_id)
            if bill.cancels_id is not None or bills.cancellation_of(bill.id) is not None:
                raise BillNotCancellable(
                    f"Bill {bill.number} is cancelled already, or is itself a cancellation.",
                    hint="Make a new bill for the period instead.",
                )
            lines = [reversed_line(line) for line in bills.lines(bill.id)]
            reversal = Bill(
                number=f"{bill.number}-C", account_id=bill.account_id, period_start=bill.period_start,
                period_end=bill.period_end, revision=-bill.revision, cancels_id=bill.id, reason=reason,
                tariff_code=bill.tariff_code, currency=bill.currency, energy_kwh=-bill.energy_kwh,
                total=-bill.total, estimated=bill.estimated, issued_at=now, inputs=bill.inputs,
            )  # fmt: skip
            self._post(session, reversal, lines, kind="cancellation")
            cancellation = Views(session).bill(reversal)
            _note(session, "bill.cancel", cancellation, now, reason=reason)
            return cancellation

    def recompute(self, bill_id: int) -> Recomputed:
        """Compute a bill again from its kept inputs alone, and compare it line by line."""
        with self.database.read() as session:
            bills = BillingRepository(session)
            bill = _found(bills.bill(bill_id), bill_id)
            kept = bills.lines(bill.id)
        rated = Inputs.of_json(bill.inputs).rated()
        sign = -1 if bill.cancels_id is not None else 1
        lines = rated.lines if sign == 1 else tuple(reversed_line(line) for line in rated.lines)
        total = Money(sign * rated.total, bill.currency)
        matches = total.amount == bill.total and list(lines) == kept
        return Recomputed(bill_id, total, lines, matches)

    def bill(self, bill_id: int) -> BillView:
        """One bill or cancellation."""
        with self.database.read() as session:
            return Views(session).bill(_found(BillingRepository(session).bill(bill_id), bill_id))

    def bill_by_number(self, number: str) -> BillView:
        """One bill or cancellation by the number printed on it."""
        with self.database.read() as session:
            return Views(session).bill(_found(BillingRepository(session).bill_by_number(number), number))

    def bills(
        self,
        *,
        account_id: int | None = None,
        period: TimeRange | None = None,
        state: BillState | None = None,
        scope: Scope = EVERYTHING,
        limit: int = 50,
        after: int | None = None,
    ) -> BillPage:
        """A page of the bills within `scope`, newest first; `after` is the `next_after` of the page before."""
        wanted = BillFilter(account_id=account_id, period=period, state=state)
        return self.books.bills(wanted, scope=scope, limit=limit, after=after)

    # money

    def record_payment(
        self, account_id: int, *, amount: Money, method: PaymentMethod, key: str, cashier: str, now: datetime
    ) -> PaymentView:
        """Take money at the counter, once per `key`: the same payment said again gives the same receipt."""
        return self._counter.record(
            account_id,
            amount=amount,
            method=method,
            key=key,
            cashier=cashier,
            now=now,
            currency=self.currency(account_id),
        )

    def payments(self, account_id: int) -> list[PaymentView]:
        """An account's payments, oldest first."""
        return self._counter.payments(account_id)

    def balance(self, account_id: int) -> Money:
        """What the account owes; negative is a credit."""
        currency = self.currency(account_id)
        with self.database.read() as session:
            return Ledger(session).balance(account_id, currency)

    def statement(self, account_id: int) -> list[StatementRow]:
        """An account's movements, oldest first, with the balance after each."""
        currency = self.currency(account_id)
        with self.database.read() as session:
            return Ledger(session).statement(account_id, currency)

    def currency(self, account_id: int) -> str:
        """The currency an account is billed in: that of its site, or before it has a point, of the first site."""
        with self.database.read() as session:
            registry = Registry(session)
            registry.get_account(account_id)
            points = registry.points_of_account(account_id)
            sites = [registry.get_site(registry.get_point(p.point_id).site_id) for p in points[:1]]
            known = sites or registry.sites()
            return known[0].currency if known else "CNY"

    @contextmanager
    def running(self, account_id: int, *, window: TimeRange) -> Iterator[Running]:
        """What the account uses, and what that costs, in stretches of a window: what no bill says yet."""
        with self.database.read() as session:
            yield Running(
                session,
                self._store,
                self._library,
                self._calendars,
                self._rules,
                account_id=account_id,
                window=window,
            )

    # runs

    def start_bill_run(
        self, period: TimeRange, *, now: datetime, account_ids: Sequence[int] | None = None
    ) -> int:
        """Queue a run that bills a period for all accounts, or some; returns the id of its job."""
        return self._runs.start(period, now=now, account_ids=account_ids)

    def work_bill_run(
        self, *, owner: str, clock: Callable[[], datetime], stopping: Callable[[], bool] = lambda: False
    ) -> BillRunView | None:
        """Claim the next bill run queued or orphaned and bill its accounts to the end; None when there is none.

        Once `stopping` says so, the run goes back in the queue after the account at hand.
        """
        return self._runs.work(owner=owner, clock=clock, stopping=stopping)

    def bill_run(self, job_id: int) -> BillRunView:
        """How far a run is, and which accounts it could not bill."""
        return self._runs.view(job_id)

    def bill_runs(self, *, after: int | None = None, limit: int = 50) -> BillRunPage:
        """Bill runs, newest first."""
        return self._runs.page(after=after, limit=limit)

    # what issuing is made of, shared with the runs

    def prepare(self, account_id: int, *, period: TimeRange, now: datetime) -> Prepared:
        """The draft of a bill, to be issued in a later transaction."""
        with self.database.read() as session:
            preparation = Preparation(session, self._store, self._library, self._calendars, self._rules)
            return preparation.prepare(account_id, period=period, now=now)

    def issue_prepared(
        self,
        session: Session,
        prepared: Prepared,
        *,
        now: datetime,
        due_at: datetime | None,
        actor: Actor | None = None,
    ) -> BillView:
        """Post a prepared bill in the caller's transaction and put it on record, unless the account was billed since.

        `actor` is who issues it where that is not whoever acts here: the worker of a run acts for who started it.
        """
        draft = prepared.draft
        bills = BillingRepository(session)
        bills.lock(draft.account_id)
        if bills.newest_bill_id(draft.account_id) != prepared.newest_bill_id:
            raise BillingRefused(
                f"Account {draft.party.account_code} was billed by someone else just now.",
                reason="stale",
                hint="Try again.",
            )
        earlier = bills.previous_revisions(draft.account_id, draft.period.start)
        revision = earlier[0].revision + 1 if earlier else 1
        day = draft.period.start.astimezone(ZoneInfo(draft.party.zone))
        assert draft.period.end is not None
        bill = Bill(
            number=f"{draft.party.account_code}-{day:%Y%m%d}-{revision}", account_id=draft.account_id,
            period_start=draft.period.start, period_end=draft.period.end, revision=revision,
            replaces_id=earlier[0].id if earlier else None, tariff_code=draft.tariff_code, currency=draft.currency,
            energy_kwh=draft.energy_kwh, total=draft.total.amount, estimated=draft.estimated, issued_at=now,
            due_at=due_at, inputs=draft.inputs,
        )  # fmt: skip
        self._post(session, bill, draft.lines, kind="bill")
        issued = Views(session).bill(bill)
        _note(session, "bill.issue", issued, now, actor=actor)
        return issued

    def _post(self, session: Session, bill: Bill, lines: Sequence[Line], *, kind: str) -> None:
        """Keep a bill with its lines, and debit the customer with its total."""
        ledger = Ledger(session)
        bill.previous_balance = ledger.balance(bill.account_id, bill.currency).amount
        bill.line_count = len(lines)
        bill.verification = _verification(bill)
        if bill.total:
            entries = {
                ledger.receivable(bill.account_id, bill.currency): bill.total,
                ledger.own("revenue", bill.currency): -bill.total,
            }
            bill.transaction_id = ledger.post(entries, kind=kind, reference=bill.number, at=bill.issued_at)
        BillingRepository(session).add_bill(bill, lines)


def _note(
    session: Session, action: str, bill: BillView, now: datetime, *, actor: Actor | None = None, **more: str
) -> None:
    """Write a bill down in the audit."""
    after = {
        "account": bill.party.account_code,
        "total": bill.total.amount,
        "currency": bill.total.currency,
        **more,
    }
    record(session, action, now=now, subject=("bill", bill.id), name=bill.number, after=after, actor=actor)


def _verification(bill: Bill) -> str:
    """A short text that changes with what a bill says; printed in its QR code."""
    said = (
        bill.number,
        bill.period_start,
        bill.period_end,
        bill.energy_kwh,
        bill.total.normalize(),
        bill.currency,
    )
    return hashlib.sha256("|".join(str(part) for part in said).encode()).hexdigest()[:16].upper()


def _found(bill: Bill | None, key: int | str) -> Bill:
    if bill is None:
        raise UnknownBill(f"There is no bill {key}.", hint="Look it up in the list of bills.")
    return bill
