"""The registry's SQL: adding, finding and counting master data.

Three parts of it have files of their own: ``periods`` (who is where and when), ``areas`` (the tree) and ``search`` (the
list of meters).
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, func, or_, select, true
from sqlalchemy.exc import DBAPIError

from wattkeeper.kernel.database import violates_constraint, violates_uniqueness
from wattkeeper.links.url import LinkUrl
from wattkeeper.registry.areas import Areas
from wattkeeper.registry.errors import AlreadyExists, NotFound, RegistryError
from wattkeeper.registry.models import (
    Account,
    AccountKind,
    AccountPoint,
    Area,
    AreaKind,
    Customer,
    Installation,
    Link,
    Meter,
    MeteringPoint,
    PointKind,
    Site,
)
from wattkeeper.registry.rules import (
    checked_address,
    checked_code,
    checked_currency,
    checked_model,
    checked_positive,
    checked_zone,
)
from wattkeeper.registry.search import find_meters
from wattkeeper.registry.sides import Shows
from wattkeeper.registry.values import MeterPage, MeterToRead, RegistryCounts

_Entity = Site | Area | Link | Meter | MeteringPoint | Installation | Customer | Account
_E = TypeVar("_E", Site, Area, Link, Meter, MeteringPoint, Installation, Customer, Account)


class Registry(Areas):
    """Master data in the caller's transaction.

    What is got and listed is what lies within the scope: beyond it nothing is found. Installations and assignments are
    asked for by the ids of points, meters and accounts that were found so.
    """

    # -- adding -----------------------------------------------------------------------------------------------------

    def add_site(self, *, code: str, name: str, zone: str, currency: str = "CNY") -> Site:
        """Add a site; ``zone`` is an IANA time zone and ``currency`` a code of ISO 4217."""
        site = Site(
            code=checked_code("site", code),
            name=name,
            zone=checked_zone(zone),
            currency=checked_currency(currency),
        )
        return self._added(site, "site", code)

    def add_area(
        self, *, site_id: int, code: str, name: str, kind: AreaKind, parent_id: int | None = None
    ) -> Area:
        """Add an area under its parent, which is of the same site, or under the site itself."""
        area = Area(
            site_id=site_id,
            parent_id=parent_id,
            code=checked_code("area", code),
            name=name,
            kind=AreaKind(kind),
        )
        return self._added(area, "area", code)

    def add_link(self, *, code: str, name: str, url: str, enabled: bool = True) -> Link:
        """Add a link; raises BadLinkUrl when the URL cannot be one."""
        LinkUrl.parse(url)
        link = Link(code=checked_code("link", code), name=name, url=url.strip(), enabled=enabled)
        return self._added(link, "link", code)

    def add_meter(
        self,
        *,
        address: str,
        link_id: int,
        protocol: str = "dlt645-2007",
        model: str = "",
        register_digits: int = 6,
        register_decimals: int = 2,
        shows: Shows = Shows.SECONDARY,
        max_current_a: Decimal | None = None,
        enabled: bool = True,
    ) -> Meter:
        """Add a meter on a link; ``max_current_a`` [A] bounds what is believed of it."""
        meter = Meter(
            address=checked_address(protocol, address),
            link_id=link_id,
            protocol=protocol,
            model=checked_model(protocol, model),
            register_digits=register_digits,
            register_decimals=register_decimals,
            shows=Shows(shows),
            max_current_a=checked_positive("max_current_a", max_current_a),
            enabled=enabled,
        )
        return self._added(meter, "meter", address)

    def add_point(
        self,
        *,
        site_id: int,
        code: str,
        name: str,
        kind: PointKind = PointKind.HOUSEHOLD,
        area_id: int | None = None,
        interval_minutes: int = 15,
        rated_power_kw: Decimal | None = None,
    ) -> MeteringPoint:
        """Add a metering point, in an area of its site or in none."""
        point = MeteringPoint(
            site_id=site_id,
            area_id=area_id,
            code=checked_code("metering point", code),
            name=name,
            kind=PointKind(kind),
            interval_minutes=interval_minutes,
            rated_power_kw=checked_positive("rated_power_kw", rated_power_kw),
        )
        return self._added(point, "metering point", code)

    def add_customer(
        self,
        *,
        code: str,
        name: str,
        phone: str | None = None,
        email: str | None = None,
        address: str | None = None,
    ) -> Customer:
        """Add a customer."""
        customer = Customer(
            code=checked_code("customer", code), name=name, phone=phone, email=email, address=address
        )
        return self._added(customer, "customer", code)

    def add_account(
        self,
        *,
        customer_id: int,
        code: str,
        name: str,
        opened_at: datetime,
        address: str | None = None,
        kind: AccountKind = AccountKind.RESIDENTIAL,
    ) -> Account:
        """Add an account of a customer; ``code`` is its 户号."""
        account = Account(
            customer_id=customer_id,
            code=checked_code("account", code),
            name=name,
            address=address,
            kind=AccountKind(kind),
            opened_at=opened_at,
        )
        return self._added(account, "account", code)

    def add_installation(self, installation: Installation) -> Installation:
        """Keep an installation that ``service`` has checked against its neighbours."""
        return self._added(installation, "installation", f"of meter {installation.meter_id}")

    def add_account_point(self, assignment: AccountPoint) -> None:
        """Keep an assignment that ``service`` has checked against its neighbours."""
        self._session.add(assignment)
        self._session.flush()

    def add_all(self, entities: Sequence[_Entity | AccountPoint]) -> None:
        """Keep many entities that an import has checked, in few statements."""
        self._session.add_all(entities)
        self._session.flush()

    def _added(self, entity: _E, kind: str, key: str) -> _E:
        self._session.add(entity)
        try:
            self._session.flush()
        except DBAPIError as error:
            if violates_uniqueness(error):
                raise AlreadyExists(kind, key) from error
            if not violates_constraint(error):
                raise
            raise RegistryError(
                f"The {kind} {key} belongs to something that does not exist, or has a value out of range: {error.orig}.",
                hint="Check what it refers to and try again; nothing was kept.",
            ) from error
        return entity

    # -- getting one ------------------------------------------------------------------------------------------------

    def get_site(self, site_id: int) -> Site:
        """The site, or NotFound."""
        return self._get(Site, "site", site_id)

    def get_area(self, area_id: int) -> Area:
        """The area, or NotFound."""
        return self._get(Area, "area", area_id)

    def get_link(self, link_id: int) -> Link:
        """The link, or NotFound."""
        return self._get(Link, "link", link_id)

    def get_meter(self, meter_id: int) -> Meter:
        """The meter, or NotFound."""
        return self._get(Meter, "meter", meter_id)

    def get_point(self, point_id: int) -> MeteringPoint:
        """The metering point, or NotFound."""
        return self._get(MeteringPoint, "metering point", point_id)

    def get_customer(self, customer_id: int) -> Customer:
        """The customer, or NotFound."""
        return self._get(Customer, "customer", customer_id)

    def get_account(self, account_id: int) -> Account:
        """The account, or NotFound."""
        return self._get(Account, "account", account_id)

    def _get(self, model: type[_E], kind: str, key: int) -> _E:
        if self._scope.everything:
            entity = self._session.get(model, key)
        else:
            entity = self._session.scalar(select(model).where(model.id == key, self._within(model)))
        if entity is None:
            raise NotFound(kind, key)
        return entity

    def _within(self, model: type[_E]) -> ColumnElement[bool]:
        """Whether a row of a table lies within the scope."""
        conditions: dict[type[Any], Callable[[], ColumnElement[bool]]] = {
            Site: self._scope.has_site,
            Area: self._scope.has_area,
            Link: self._scope.has_link,
            Meter: self._scope.has_meter,
            MeteringPoint: self._scope.has_point,
            Customer: self._scope.has_customer,
            Account: self._scope.has_account,
            Installation: lambda: Installation.point_id.in_(self._scope.points()),
        }
        return conditions[model]()

    def site_by_code(self, code: str) -> Site | None:
        """The site of this code."""
        return self._session.scalar(select(Site).where(Site.code == code, self._within(Site)))

    def area_by_code(self, site_id: int, code: str) -> Area | None:
        """The area of this code in a site."""
        wanted = select(Area).where(Area.site_id == site_id, Area.code == code, self._within(Area))
        return self._session.scalar(wanted)

    def link_by_code(self, code: str) -> Link | None:
        """The link of this code."""
        return self._session.scalar(select(Link).where(Link.code == code, self._within(Link)))

    def point_by_code(self, code: str) -> MeteringPoint | None:
        """The metering point of this code."""
        wanted = select(MeteringPoint).where(MeteringPoint.code == code, self._within(MeteringPoint))
        return self._session.scalar(wanted)

    def customer_by_code(self, code: str) -> Customer | None:
        """The customer of this code."""
        return self._session.scalar(select(Customer).where(Customer.code == code, self._within(Customer)))

    def account_by_code(self, code: str) -> Account | None:
        """The account of this code (户号)."""
        return self._session.scalar(select(Account).where(Account.code == code, self._within(Account)))

    def meters_by_address(self, address: str) -> list[Meter]:
        """The meters of this address; one address may answer on several links."""
        wanted = select(Meter).where(Meter.address == address, self._within(Meter))
        return list(self._session.scalars(wanted.order_by(Meter.id)))

    # -- lists ------------------------------------------------------------------------------------------------------

    def sites(self) -> list[Site]:
        """All sites, by code."""
        return list(self._session.scalars(select(Site).where(self._within(Site)).order_by(Site.code)))

    def links(self) -> list[Link]:
        """All links, by code."""
        return list(self._session.scalars(select(Link).where(self._within(Link)).order_by(Link.code)))

    def accounts(self) -> list[Account]:
        """All accounts, by code."""
        return list(
            self._session.scalars(select(Account).where(self._within(Account)).order_by(Account.code))
        )

    def everything(self, model: type[_E]) -> list[_E]:
        """All rows of a table, for an import that compares its file with them."""
        return list(self._session.scalars(select(model).order_by(model.id)))

    def assignments(self) -> list[AccountPoint]:
        """All assignments of points to accounts, for an import."""
        return list(self._session.scalars(select(AccountPoint).order_by(AccountPoint.id)))

    def find_meters(
        self,
        *,
        search: str = "",
        link_id: int | None = None,
        area_id: int | None = None,
        meter_ids: Sequence[int] | None = None,
        enabled: bool | None = None,
        sort: str = "address",
        descending: bool = False,
        limit: int = 50,
        after: str | None = None,
        counted: bool = True,
    ) -> MeterPage:
        """A page of the list of meters; see ``search.find_meters``."""
        return find_meters(
            self._session,
            self._scope,
            search=search,
            link_id=link_id,
            area_id=area_id,
            meter_ids=meter_ids,
            enabled=enabled,
            sort=sort,
            descending=descending,
            limit=limit,
            after=after,
            counted=counted,
        )

    def meters_to_read(self, *, now: datetime) -> list[MeterToRead]:
        """The enabled meters on enabled links, by link and address, with where they are installed now.

        A meter that was never installed can be read; one that was taken down is not missed.
        """
        ever = select(Installation.id).where(Installation.meter_id == Meter.id).correlate(Meter).exists()
        here = and_(
            Installation.meter_id == Meter.id,
            Installation.valid_from <= now,
            or_(Installation.valid_to.is_(None), Installation.valid_to > now),
        )
        rows = self._session.execute(
            select(
                Meter.id,
                Meter.protocol,
                Meter.address,
                Meter.link_id,
                Installation.point_id,
                Site.zone,
                MeteringPoint.interval_minutes,
                Installation.valid_from,
                Meter.model,
            )
            .join(Link, Link.id == Meter.link_id)
            .outerjoin(Installation, here)
            .outerjoin(MeteringPoint, MeteringPoint.id == Installation.point_id)
            .outerjoin(Site, Site.id == MeteringPoint.site_id)
            .where(Meter.enabled, Link.enabled, or_(Installation.id.is_not(None), ~ever))
            .order_by(Meter.link_id, Meter.address)
        )
        return [
            MeterToRead(
                meter_id=row[0],
                protocol=row[1],
                address=row[2],
                link_id=row[3],
                point_id=row[4],
                zone=ZoneInfo(row[5]) if row[5] else None,
                interval_minutes=row[6],
                installed_from=row[7],
                model=row[8],
            )
            for row in rows
        ]

    def counts(self) -> RegistryCounts:
        """How much there is, in one look."""

        def rows(model: type[Any], *where: ColumnElement[bool]) -> Any:
            within = true() if self._scope.everything else self._within(model)
            return select(func.count()).select_from(model).where(within, *where).scalar_subquery()

        counted = select(
            rows(Site),
            rows(Link),
            rows(Meter),
            rows(Meter, Meter.enabled.is_(True)),
            rows(MeteringPoint),
            rows(Installation, Installation.valid_to.is_(None)),
            rows(Account),
        )
        return RegistryCounts(*self._session.execute(counted).one())
