"""Which part of the network somebody may see: some sites and areas with all that hangs below, or everything.

A scope is a condition in SQL, so that a list costs what it shows. A meter belongs to where it was installed last, an
account to every point it ever paid for, a link to every meter it carries.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select, true
from sqlalchemy.orm import aliased

from wattkeeper.registry.models import (
    Account,
    AccountPoint,
    Area,
    Customer,
    Installation,
    Link,
    Meter,
    MeteringPoint,
    Site,
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Sites and areas by id; both empty mean everything."""

    sites: frozenset[int] = frozenset()
    areas: frozenset[int] = frozenset()

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return not (self.sites or self.areas)

    def has_point(self) -> ColumnElement[bool]:
        """Of a statement over MeteringPoint: whether the point is within."""
        if self.everything:
            return true()
        return or_(MeteringPoint.site_id.in_(self.sites), MeteringPoint.area_id.in_(at_and_below(self.areas)))

    def points(self) -> Select[int]:
        """The ids of the points within."""
        return select(MeteringPoint.id).where(self.has_point())

    def has_meter(self) -> ColumnElement[bool]:
        """Of a statement over Meter: whether the meter was last installed within."""
        if self.everything:
            return true()
        later = aliased(Installation)
        newest = (
            select(func.max(later.valid_from))
            .where(later.meter_id == Installation.meter_id)
            .correlate(Installation)
        )
        last = select(Installation.meter_id).where(
            Installation.point_id.in_(self.points()), Installation.valid_from == newest.scalar_subquery()
        )
        return Meter.id.in_(last)

    def has_link(self) -> ColumnElement[bool]:
        """Of a statement over Link: whether it carries a meter within."""
        if self.everything:
            return true()
        return Link.id.in_(select(Meter.link_id).where(self.has_meter()))

    def has_account(self) -> ColumnElement[bool]:
        """Of a statement over Account: whether it pays, or has paid, for a point within."""
        if self.everything:
            return true()
        return Account.id.in_(select(AccountPoint.account_id).where(AccountPoint.point_id.in_(self.points())))

    def has_customer(self) -> ColumnElement[bool]:
        """Of a statement over Customer: whether one of their accounts is within."""
        if self.everything:
            return true()
        return Customer.id.in_(select(Account.customer_id).where(self.has_account()))

    def has_site(self) -> ColumnElement[bool]:
        """Of a statement over Site: whether it, or one of its areas, is within."""
        if self.everything:
            return true()
        return or_(Site.id.in_(self.sites), Site.id.in_(select(Area.site_id).where(Area.id.in_(self.areas))))

    def has_area(self) -> ColumnElement[bool]:
        """Of a statement over Area: whether it is within."""
        if self.everything:
            return true()
        return or_(Area.site_id.in_(self.sites), Area.id.in_(at_and_below(self.areas)))


EVERYTHING = Scope()
NOTHING = Scope(sites=frozenset({0}))
"""No site has this id."""


def at_and_below(area_ids: Collection[int]) -> Select[Any]:
    """The ids of these areas and of all below them."""
    # Nameless: one statement may ask twice.
    below = select(Area.id).where(Area.id.in_(area_ids)).cte(recursive=True)
    below = below.union(select(Area.id).where(Area.parent_id == below.c.id))
    return select(below.c.id)
