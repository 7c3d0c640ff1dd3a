"""The registry's SQL for the list of meters: search, sort and pages that stay quick at any depth."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.elements import ColumnElement

from wattkeeper.registry.errors import BadValue
from wattkeeper.registry.keyset import mark, page
from wattkeeper.registry.models import (
    Account,
    AccountPoint,
    Area,
    Customer,
    Installation,
    Link,
    Meter,
    MeteringPoint,
)
from wattkeeper.registry.scope import Scope, at_and_below
from wattkeeper.registry.values import MeterPage, MeterRow

_AnySelect = Select[*tuple[Any, ...]]
_MOST_ROWS = 1000
_NAMED = 500
"""So many meters are asked for by their ids once they are found."""
_SORTS: dict[str, ColumnElement[str]] = {
    "address": Meter.address.expression,
    "model": Meter.model.expression,
    "link": Link.code.expression,
    "point": func.coalesce(MeteringPoint.code, ""),
    "point_name": func.coalesce(MeteringPoint.name, ""),
    "area": func.coalesce(Area.name, ""),
    "account": func.coalesce(Account.code, ""),
    "customer": func.coalesce(Customer.name, ""),
}
SORT_KEYS = tuple(_SORTS)
"""What the list can be sorted by."""


def find_meters(
    session: Session,
    scope: Scope,
    *,
    search: str,
    link_id: int | None,
    area_id: int | None,
    meter_ids: Sequence[int] | None = None,
    enabled: bool | None = None,
    sort: str,
    descending: bool,
    limit: int,
    after: str | None,
    counted: bool = True,
) -> MeterPage:
    """A page of meters with the point, account and customer they serve now.

    ``search`` is a part of the address, the point's code or name, the account's code or the customer's name;
    ``area_id`` includes what lies below the area; ``meter_ids`` and ``enabled`` leave only those; ``after`` is the ``MeterPage.after`` of the page before.
    The total is None unless it is to be ``counted``.
    """
    if sort not in _SORTS:
        raise BadValue(
            "sort", f"The list cannot be sorted by {sort!r}.", hint=f"Use one of {', '.join(SORT_KEYS)}."
        )
    conditions = _conditions(search=search.strip(), link_id=link_id, area_id=area_id)
    if not scope.everything:
        conditions.append(scope.has_meter())
    if meter_ids is not None:
        conditions.append(Meter.id.in_(meter_ids))
    if enabled is not None:
        conditions.append(Meter.enabled.is_(enabled))
    total = None
    if counted:
        total, conditions = _counted(session, conditions)
    wanted = _rows().where(*conditions)
    limit = min(max(limit, 1), _MOST_ROWS)
    rows = session.execute(
        page(wanted, _SORTS[sort], Meter.id, descending=descending, after=after).limit(limit + 1)
    ).all()
    more = len(rows) > limit
    shown = rows[:limit]
    return MeterPage(
        rows=tuple(MeterRow(*row[:-1]) for row in shown),
        total=total,
        after=mark(shown[-1][-1], shown[-1].id) if more else None,
    )


def _counted(
    session: Session, conditions: list[ColumnElement[bool]]
) -> tuple[int, list[ColumnElement[bool]]]:
    """How many meters there are, and what their page may be asked for by: a few are not looked for twice.

    Only meters are counted: what they serve has one row each at most, and joining it counts nothing more.
    """
    found = session.scalars(select(Meter.id).where(*conditions).limit(_NAMED + 1)).all()
    if len(found) <= _NAMED:
        return len(found), [Meter.id.in_(found)]
    return session.scalar(select(func.count()).select_from(Meter).where(*conditions)) or 0, conditions


def _rows() -> _AnySelect:
    return (
        select(
            Meter.id,
            Meter.address,
            Meter.protocol,
            Meter.model,
            Meter.enabled,
            Link.id,
            Link.code,
            Link.name,
            MeteringPoint.id,
            MeteringPoint.code,
            MeteringPoint.name,
            MeteringPoint.kind,
            Area.id,
            Area.name,
            Account.id,
            Account.code,
            Customer.id,
            Customer.name,
        )
        .join(Link, Link.id == Meter.link_id)
        .outerjoin(Installation, and_(Installation.meter_id == Meter.id, Installation.valid_to.is_(None)))
        .outerjoin(MeteringPoint, MeteringPoint.id == Installation.point_id)
        .outerjoin(Area, Area.id == MeteringPoint.area_id)
        .outerjoin(
            AccountPoint, and_(AccountPoint.point_id == MeteringPoint.id, AccountPoint.valid_to.is_(None))
        )
        .outerjoin(Account, Account.id == AccountPoint.account_id)
        .outerjoin(Customer, Customer.id == Account.customer_id)
    )


def _conditions(*, search: str, link_id: int | None, area_id: int | None) -> list[ColumnElement[bool]]:
    """What narrows the list, each asked of the meter alone."""
    conditions: list[ColumnElement[bool]] = []
    if search:
        conditions.append(_holds(search))
    if link_id is not None:
        conditions.append(Meter.link_id == link_id)
    if area_id is not None:
        there = _alone(select(MeteringPoint.id)).where(MeteringPoint.area_id.in_(at_and_below([area_id])))
        conditions.append(Meter.id.in_(_installed_at(there)))
    return conditions


def _holds(search: str) -> ColumnElement[bool]:
    """Whether the text stands in the meter's address, or in what it serves now.

    Each table is looked through by itself: through seven that are joined it took ten times as long.
    """

    def has(*columns: InstrumentedAttribute[str]) -> ColumnElement[bool]:
        return or_(*(column.icontains(search, autoescape=True) for column in columns))

    customers = _alone(select(Customer.id)).where(has(Customer.name))
    accounts = _alone(select(Account.id)).where(or_(has(Account.code), Account.customer_id.in_(customers)))
    paid_for = _alone(select(AccountPoint.point_id)).where(
        AccountPoint.valid_to.is_(None), AccountPoint.account_id.in_(accounts)
    )
    named = _alone(select(MeteringPoint.id)).where(has(MeteringPoint.code, MeteringPoint.name))
    return or_(has(Meter.address), Meter.id.in_(_installed_at(named)), Meter.id.in_(_installed_at(paid_for)))


def _installed_at(points: Select[int]) -> Select[int]:
    return _alone(select(Installation.meter_id)).where(
        Installation.valid_to.is_(None), Installation.point_id.in_(points)
    )


def _alone(wanted: Select[int]) -> Select[int]:
    """A statement within another that means its own rows of a table, also where the other one has joined it."""
    return wanted.correlate(None)
