"""Bills as other rooms see them; a bill's state is derived here and nowhere kept."""

from decimal import Decimal

from sqlalchemy.orm import Session

from wattkeeper.billing.kept import Inputs
from wattkeeper.billing.models import Bill
from wattkeeper.billing.repository import BillingRepository
from wattkeeper.billing.values import BillPage, BillState, BillSummary, BillView
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.scope import Scope

_CHUNK = 200


class Views:
    """Turns rows into frozen values within one session."""

    def __init__(self, session: Session) -> None:
        self._bills = BillingRepository(session)
        self._settled: dict[int, set[int]] = {}

    def bill(self, bill: Bill) -> BillView:
        """Everything about one bill."""
        inputs = Inputs.of_json(bill.inputs)
        tariff = inputs.parts[-1].tariff
        return BillView(
            id=bill.id, number=bill.number, account_id=bill.account_id,
            period=TimeRange(bill.period_start, bill.period_end), issued_at=bill.issued_at, due_at=bill.due_at,
            state=self._state(bill, self._bills.cancellations([bill.id])), cancels_id=bill.cancels_id,
            cancelled_by_id=self._bills.cancellation_of(bill.id), replaces_id=bill.replaces_id, reason=bill.reason,
            party=inputs.party, tariff_code=bill.tariff_code, tariff_zh=tariff.name_zh, tariff_en=tariff.name_en,
            energy_kwh=bill.energy_kwh, total=Money(bill.total, bill.currency),
            previous_balance=Money(bill.previous_balance, bill.currency), estimated=bill.estimated,
            lines=tuple(self._bills.lines(bill.id)), readings=inputs.readings, inputs=bill.inputs,
            verification=bill.verification,
        )  # fmt: skip

    def page(
        self,
        *,
        account_id: int | None,
        period: TimeRange | None,
        state: BillState | None,
        scope: Scope,
        limit: int,
        after: int | None,
    ) -> BillPage:
        """A page of summaries; the state is derived, so rows are read on until enough of them fit."""
        found: list[BillSummary] = []
        last = after
        while True:
            rows = self._bills.bill_page(
                account_id=account_id, period=period, scope=scope, after=last, limit=_CHUNK
            )
            cancelled = self._bills.cancellations([row.id for row in rows])
            for row in rows:
                if len(found) == limit:
                    return BillPage(tuple(found), last)
                last = row.id
                summary = self._summary(row, cancelled)
                if state is None or summary.state is state:
                    found.append(summary)
            if len(rows) < _CHUNK:
                return BillPage(tuple(found), None)

    def _summary(self, bill: Bill, cancelled: set[int]) -> BillSummary:
        party = bill.inputs["party"]
        return BillSummary(
            id=bill.id, number=bill.number, account_id=bill.account_id, account_code=party["account_code"],
            account_name=party["account_name"], period=TimeRange(bill.period_start, bill.period_end),
            issued_at=bill.issued_at, energy_kwh=bill.energy_kwh, total=Money(bill.total, bill.currency),
            state=self._state(bill, cancelled), estimated=bill.estimated,
        )  # fmt: skip

    def _state(self, bill: Bill, cancelled: set[int]) -> BillState:
        if bill.cancels_id is not None:
            return BillState.CANCELLATION
        if bill.id in cancelled:
            return BillState.CANCELLED
        if bill.account_id not in self._settled:
            self._settled[bill.account_id] = self._settled_bills(bill.account_id)
        return BillState.PAID if bill.id in self._settled[bill.account_id] else BillState.ISSUED

    def _settled_bills(self, account_id: int) -> set[int]:
        """The live bills that all payments together reach to, oldest bill first."""
        left = self._bills.paid(account_id)
        settled: set[int] = set()
        for bill_id, total in self._bills.live_in_order(account_id):
            left -= total
            if left < Decimal(0):
                break
            settled.add(bill_id)
        return settled
