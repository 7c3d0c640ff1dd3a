"""What may be done to an account that is billed: its tariff, its points, its end. What bills stand on stays as it was."""

from datetime import datetime

from sqlalchemy.orm import Session

from wattkeeper.billing.errors import BillingRefused
from wattkeeper.billing.library import TariffLibrary
from wattkeeper.billing.models import AccountTariff
from wattkeeper.billing.repository import BillingRepository
from wattkeeper.billing.values import AssignedTariff, AssignmentPreview, Basis
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry import customers
from wattkeeper.registry.models import Account, AccountPoint
from wattkeeper.registry.repository import Registry
from wattkeeper.security.audit import record


class Accounts:
    """Changes to accounts that bills depend on."""

    def __init__(self, database: Database, library: TariffLibrary) -> None:
        self._database = database
        self._library = library

    def assign_tariff(
        self,
        account_id: int,
        *,
        tariff_code: str,
        period: TimeRange,
        now: datetime,
        basis: Basis = Basis.INTERVALS,
    ) -> AssignedTariff:
        """Bill an account by a tariff for a period; the tariff it had until then ends there."""
        tariff = self._library.get(tariff_code)
        with self._database.write() as session:
            bills = BillingRepository(session)
            account = Registry(session).get_account(account_id)
            bills.lock(account_id)
            ended = _ended_by(session, account, period)
            if ended is not None:
                bills.end_assignment(ended.id, period.start)
            row = AccountTariff(
                account_id=account_id, tariff_code=tariff.code, basis=basis.value, valid_from=period.start,
                valid_to=period.end, recorded_at=now,
            )  # fmt: skip
            added = bills.add_assignment(row)
            record(
                session,
                "tariff.assign",
                now=now,
                subject=("account", account_id),
                name=account.code,
                before=None if ended is None else _kept(ended.tariff_code, ended.period, ended.basis),
                after=_kept(tariff.code, period, basis),
            )
            return AssignedTariff(added.id, account_id, tariff.code, period, basis)

    def preview_tariff(self, account_id: int, *, tariff_code: str, valid_from: datetime) -> AssignmentPreview:
        """What assigning a tariff from an instant on would change, or the refusal it would meet; nothing is kept."""
        tariff = self._library.get(tariff_code)
        period = TimeRange(valid_from, None)
        with self._database.read() as session:
            account = Registry(session).get_account(account_id)
            ended = _ended_by(session, account, period)
        return AssignmentPreview(account_id, tariff.code, period.start, ended)

    def move_point(self, *, point_id: int, account_id: int, at: datetime, now: datetime) -> AccountPoint:
        """Let an account pay for a metering point from an instant on, unless bills say otherwise already."""
        with self._database.write() as session:
            payer = Registry(session).assigned_now(point_id)
            concerned = {account_id} if payer is None else {account_id, payer.account_id}
            for concerned_id in sorted(concerned):
                _refuse_billed(session, concerned_id, TimeRange(at, None))
            return customers.move_point(session, point_id=point_id, account_id=account_id, at=at, now=now)

    def close(self, account_id: int, *, at: datetime, now: datetime) -> Account:
        """Close an account, unless it has been billed beyond that instant."""
        with self._database.write() as session:
            _refuse_billed(session, account_id, TimeRange(at, None))
            return customers.close_account(session, account_id, at=at, now=now)


def _ended_by(session: Session, account: Account, period: TimeRange) -> AssignedTariff | None:
    """The assignment that a new one for `period` ends; refuses to change what is billed, or to overlap a later one."""
    _refuse_billed(session, account.id, period)
    ended = None
    for taken in BillingRepository(session).assignments(account.id, period):
        if taken.period.start >= period.start or taken.period.end is not None:
            raise BillingRefused(
                f"Account {account.code} has the tariff {taken.tariff_code} for {taken.period}.",
                reason="tariff_assigned",
                hint="Choose a period that does not overlap it.",
            )
        ended = taken
    return ended


def _refuse_billed(session: Session, account_id: int, period: TimeRange) -> None:
    bills = BillingRepository(session)
    bills.lock(account_id)
    if live := bills.live_bills(account_id, period):
        account = Registry(session).get_account(account_id)
        raise BillingRefused(
            f"Account {account.code} has bill {live[0].number} within {period}.",
            reason="already_billed",
            hint="Cancel that bill first, or choose a time after it.",
        )


def _kept(tariff_code: str, period: TimeRange, basis: Basis) -> dict[str, object]:
    return {"tariff": tariff_code, "from": period.start, "to": period.end, "basis": basis.value}
