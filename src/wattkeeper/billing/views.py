"""Bills as other rooms see them; a bill's state is derived here and nowhere kept."""

from collections.abc import Collection

from sqlalchemy.orm import Session

from wattkeeper.billing.kept import Inputs
from wattkeeper.billing.lists import Lists
from wattkeeper.billing.models import Bill
from wattkeeper.billing.repository import BillingRepository
from wattkeeper.billing.values import BillFilter, BillPage, BillState, BillSummary, BillView
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.scope import EVERYTHING, Scope


class Views:
    """Turns rows into frozen values within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._bills = BillingRepository(session)

    def bill(self, bill: Bill) -> BillView:
        """Everything about one bill."""
        inputs = Inputs.of_json(bill.inputs)
        tariff = inputs.parts[-1].tariff
        settled = Lists(self._session, EVERYTHING).settled([bill.account_id])
        return BillView(
            id=bill.id, number=bill.number, account_id=bill.account_id,
            period=TimeRange(bill.period_start, bill.period_end), issued_at=bill.issued_at, due_at=bill.due_at,
            state=_state(bill, self._bills.cancellations([bill.id]), settled), cancels_id=bill.cancels_id,
            cancelled_by_id=self._bills.cancellation_of(bill.id), replaces_id=bill.replaces_id, reason=bill.reason,
            party=inputs.party, tariff_code=bill.tariff_code, tariff_zh=tariff.name_zh, tariff_en=tariff.name_en,
            energy_kwh=bill.energy_kwh, total=Money(bill.total, bill.currency),
            previous_balance=Money(bill.previous_balance, bill.currency), estimated=bill.estimated,
            lines=tuple(self._bills.lines(bill.id)), readings=inputs.readings, inputs=bill.inputs,
            verification=bill.verification,
        )  # fmt: skip

    def page(self, wanted: BillFilter, *, scope: Scope, limit: int, after: int | None) -> BillPage:
        """A page of summaries; what became of the bills is looked up for all of them at once."""
        lists = Lists(self._session, scope)
        rows = lists.bills(wanted, limit=limit + 1, after=after)
        shown = rows[:limit]
        cancelled = self._bills.cancellations([row.id for row in shown])
        settled = lists.settled({row.account_id for row in shown})
        items = tuple(_summary(row, _state(row, cancelled, settled)) for row in shown)
        return BillPage(items, shown[-1].id if len(rows) > limit else None)


def _summary(bill: Bill, state: BillState) -> BillSummary:
    party = bill.inputs["party"]
    return BillSummary(
        id=bill.id, number=bill.number, account_id=bill.account_id, account_code=party["account_code"],
        account_name=party["account_name"], period=TimeRange(bill.period_start, bill.period_end),
        issued_at=bill.issued_at, due_at=bill.due_at, energy_kwh=bill.energy_kwh,
        total=Money(bill.total, bill.currency), state=state, estimated=bill.estimated,
    )  # fmt: skip


def _state(bill: Bill, cancelled: Collection[int], settled: Collection[int]) -> BillState:
    if bill.cancels_id is not None:
        return BillState.CANCELLATION
    if bill.id in cancelled:
        return BillState.CANCELLED
    return BillState.PAID if bill.id in settled else BillState.ISSUED
