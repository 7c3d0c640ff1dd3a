"""The registry's SQL about periods: which meter was where, and who paid for which point."""

from collections.abc import Collection
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, Select, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from wattkeeper.kernel.database import in_parts
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.errors import NotFound
from wattkeeper.registry.models import Account, AccountPoint, Installation, Meter, MeteringPoint, Site
from wattkeeper.registry.rules import SideOf, any_side
from wattkeeper.registry.scope import EVERYTHING, Scope
from wattkeeper.registry.sides import Shows
from wattkeeper.registry.values import AccountOfPoint, InstalledMeter

_AnySelect = Select[*tuple[Any, ...]]
_AnyRow = Row[*tuple[Any, ...]]
_CHUNK = 10_000
"""Identifiers in one IN list; both databases take at most 32,767 parameters in a statement."""


class Periods:
    """Installations of meters and assignments to accounts, in the caller's transaction."""

    def __init__(self, session: Session, scope: Scope = EVERYTHING, *, side_of: SideOf = any_side) -> None:
        self._session = session
        self._scope = scope
        self.side_of = side_of
        """What is known of models of meters."""

    @property
    def session(self) -> Session:
        """The transaction it works in."""
        return self._session

    def installations(
        self,
        point_ids: Collection[int] | None = None,
        meter_ids: Collection[int] | None = None,
        period: TimeRange | None = None,
    ) -> list[InstalledMeter]:
        """The installations of these points and of these meters that touch the period, by point and start.

        None is no restriction. The periods are whole: they are not cut to ``period``.
        """
        wanted = _installed()
        if period is not None:
            wanted = wanted.where(_touches(Installation.valid_from, Installation.valid_to, period))
        if point_ids is not None:
            rows = self._in_chunks(wanted, Installation.point_id, point_ids)
        elif meter_ids is not None:
            rows = self._in_chunks(wanted, Installation.meter_id, meter_ids)
        else:
            rows = list(self._session.execute(wanted))
        chosen = None if meter_ids is None else set(meter_ids)
        found = [_installed_meter(row) for row in rows if chosen is None or row.meter_id in chosen]
        return sorted(found, key=lambda installed: (installed.point_id, installed.period.start))

    def spans(
        self,
        *,
        point_ids: Collection[int] | None = None,
        meter_ids: Collection[int] | None = None,
        period: TimeRange,
    ) -> list[tuple[int, int, TimeRange]]:
        """Which meter was at which point when, for points within the scope: (point, meter, period), cut to ``period``."""
        column = Installation.point_id if point_ids is not None else Installation.meter_id
        wanted: _AnySelect = select(
            Installation.point_id, Installation.meter_id, Installation.valid_from, Installation.valid_to
        ).where(_touches(Installation.valid_from, Installation.valid_to, period))
        if not self._scope.everything:
            wanted = wanted.where(Installation.point_id.in_(self._scope.points()))
        rows = self._in_chunks(wanted, column, (point_ids if point_ids is not None else meter_ids) or ())
        cut = ((row[0], row[1], TimeRange(row[2], row[3]).intersection(period)) for row in rows)
        return [(point, meter, span) for point, meter, span in cut if span is not None]

    def installed_now(self, point_id: int, *, lock: bool = False) -> Installation | None:
        """The open installation of a point; ``lock`` makes other writers of it wait for this transaction."""
        wanted = select(Installation).where(
            Installation.point_id == point_id, Installation.valid_to.is_(None)
        )
        return self._session.scalar(
            wanted.with_for_update().execution_options(populate_existing=True) if lock else wanted
        )

    def assigned_now(self, point_id: int) -> AccountPoint | None:
        """The open assignment of a point to an account."""
        wanted = select(AccountPoint).where(
            AccountPoint.point_id == point_id, AccountPoint.valid_to.is_(None)
        )
        return self._session.scalar(wanted)

    def installations_in_the_way(
        self, *, point_id: int, meter_id: int, period: TimeRange
    ) -> list[Installation]:
        """The installations of the point or of the meter that overlap the period."""
        same = or_(Installation.point_id == point_id, Installation.meter_id == meter_id)
        overlap = _touches(Installation.valid_from, Installation.valid_to, period)
        return list(
            self._session.scalars(select(Installation).where(same, overlap).order_by(Installation.valid_from))
        )

    def assignments_in_the_way(self, *, point_id: int, period: TimeRange) -> list[AccountPoint]:
        """The assignments of the point to accounts that overlap the period."""
        overlap = _touches(AccountPoint.valid_from, AccountPoint.valid_to, period)
        wanted = select(AccountPoint).where(AccountPoint.point_id == point_id, overlap)
        return list(self._session.scalars(wanted.order_by(AccountPoint.valid_from)))

    def lock(self, *, point_id: int, meter_ids: Collection[int] = ()) -> None:
        """Make every other change of these meters and this point wait for this transaction.

        SQLite has one writer anyway. On PostgreSQL rows are locked in one order, so that two changes cannot
        block each other for ever.
        """
        for meter_id in sorted(set(meter_ids)):
            self._locked(Meter, "meter", meter_id)
        self._locked(MeteringPoint, "metering point", point_id)

    def _locked(self, model: type[Meter | MeteringPoint], kind: str, key: int) -> None:
        if self._session.scalar(select(model.id).where(model.id == key).with_for_update()) is None:
            raise NotFound(kind, key)

    def accounts_of_point(self, point_id: int, period: TimeRange | None = None) -> list[AccountOfPoint]:
        """Who pays for a point, in order of time; periods are whole."""
        return self._assignments(AccountPoint.point_id == point_id, period)

    def points_of_account(self, account_id: int, period: TimeRange | None = None) -> list[AccountOfPoint]:
        """What an account pays for, in order of time; periods are whole."""
        return self._assignments(AccountPoint.account_id == account_id, period)

    def currencies_of_accounts(self, account_ids: Collection[int]) -> dict[int, str]:
        """The currency of the site of each account's first point; accounts without a point are left out."""
        wanted: _AnySelect = (
            select(AccountPoint.account_id, Site.currency)
            .join(MeteringPoint, MeteringPoint.id == AccountPoint.point_id)
            .join(Site, Site.id == MeteringPoint.site_id)
            .order_by(AccountPoint.valid_from.desc(), MeteringPoint.code.desc())
        )
        rows = self._in_chunks(wanted, AccountPoint.account_id, account_ids)
        return {row[0]: row[1] for row in rows}  # the first point comes last and stays

    def accounts_of_customer(self, customer_id: int) -> list[Account]:
        """A customer's accounts within the scope, by code."""
        wanted = select(Account).where(Account.customer_id == customer_id, self._scope.has_account())
        return list(self._session.scalars(wanted.order_by(Account.code)))

    def _assignments(self, whose: ColumnElement[bool], period: TimeRange | None) -> list[AccountOfPoint]:
        wanted = (
            select(
                AccountPoint.point_id,
                MeteringPoint.code,
                MeteringPoint.name,
                AccountPoint.account_id,
                Account.code,
                Account.name,
                Account.customer_id,
                AccountPoint.valid_from,
                AccountPoint.valid_to,
            )
            .join(MeteringPoint, MeteringPoint.id == AccountPoint.point_id)
            .join(Account, Account.id == AccountPoint.account_id)
            .where(whose)
            .order_by(AccountPoint.valid_from, MeteringPoint.code)
        )
        if period is not None:
            wanted = wanted.where(_touches(AccountPoint.valid_from, AccountPoint.valid_to, period))
        return [AccountOfPoint(*row[:7], TimeRange(row[7], row[8])) for row in self._session.execute(wanted)]

    def _in_chunks(
        self, wanted: _AnySelect, column: InstrumentedAttribute[int], keys: Collection[int]
    ) -> list[_AnyRow]:
        chunks = in_parts(sorted(set(keys)), _CHUNK)
        return [row for chunk in chunks for row in self._session.execute(wanted.where(column.in_(chunk)))]


def _touches(
    start: InstrumentedAttribute[Any], end: InstrumentedAttribute[Any], period: TimeRange
) -> ColumnElement[bool]:
    """Whether a row's half-open period overlaps another one."""
    reaches = or_(end.is_(None), end > period.start)
    return reaches if period.end is None else (start < period.end) & reaches


def _installed() -> _AnySelect:
    wanted: _AnySelect = (
        select(
            Installation.id,
            Installation.point_id,
            Installation.meter_id,
            Installation.valid_from,
            Installation.valid_to,
            Installation.ct_ratio,
            Installation.pt_ratio,
            Meter.shows,
            Meter.register_digits,
            Meter.register_decimals,
            Installation.first_register,
            Installation.last_register,
            MeteringPoint.interval_minutes,
            Site.zone,
            MeteringPoint.rated_power_kw,
        )
        .join(Meter, Meter.id == Installation.meter_id)
        .join(MeteringPoint, MeteringPoint.id == Installation.point_id)
        .join(Site, Site.id == MeteringPoint.site_id)
    )
    return wanted


def _installed_meter(row: _AnyRow) -> InstalledMeter:
    secondary = row.shows is Shows.SECONDARY
    return InstalledMeter(
        installation_id=row.id,
        point_id=row.point_id,
        meter_id=row.meter_id,
        period=TimeRange(row.valid_from, row.valid_to),
        ratio=(row.ct_ratio * row.pt_ratio).normalize() + 0 if secondary else Decimal(1),
        register_digits=row.register_digits,
        register_decimals=row.register_decimals,
        first_register=row.first_register,
        last_register=row.last_register,
        interval_minutes=row.interval_minutes,
        zone=ZoneInfo(row.zone),
        rated_power_kw=row.rated_power_kw,
    )
