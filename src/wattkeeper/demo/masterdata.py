"""The district as master data: areas, links, meters, points, customers, accounts and their tariffs."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from wattkeeper.demo.world import ZONE
from wattkeeper.kernel.timerange import start_of_day
from wattkeeper.parts import Parts
from wattkeeper.registry.models import AccountKind, AreaKind, Link, Meter, MeteringPoint, PointKind, Site
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import assign_account, exchange_meter, install_meter

SITE_NAME = "示范园区 Demo district"
PORTAL_CUSTOMER = "C-0001"
"""The customer whose own view the demo shows: a flat with a whole year of bills, the newest still to be paid."""

World = Mapping[str, Any]
"""What the simulator says of itself."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What the demo knows of a kind of customer."""

    account: AccountKind
    tariff: str
    rated_power_kw: Decimal


KINDS = {
    "household": Kind(AccountKind.RESIDENTIAL, "cn-beijing-residential", Decimal(15)),
    "shop": Kind(AccountKind.COMMERCIAL, "cn-sichuan-commercial-tou", Decimal(40)),
    "office": Kind(AccountKind.COMMERCIAL, "cn-sichuan-commercial-tou", Decimal(250)),
    "factory": Kind(AccountKind.INDUSTRIAL, "cn-sichuan-commercial-tou", Decimal(800)),
    "street_light": Kind(AccountKind.COMMERCIAL, "cn-single-price", Decimal(30)),
}
"""By the kind of load that the simulator gives a meter."""


def register(parts: Parts, world: World) -> None:
    """Enter the district on the first start; later only its links' new addresses."""
    with parts.database.write() as session:
        registry = Registry(session)
        if registry.links():
            _move_links(registry, world)
        else:
            _Registration(session, world).run()
    _assign_tariffs(parts, valid_from=begin(world))


def begin(world: World) -> datetime:
    """When its meters were installed."""
    return start_of_day(date.fromisoformat(world["installed"]), ZoneInfo(ZONE))


def _move_links(registry: Registry, world: World) -> None:
    """The simulator took free ports and a new pty: the links are where it says now."""
    for described in world["links"]:
        link = registry.link_by_code(described["code"])
        if link is not None:
            link.url = _url(described)


def _url(described: World) -> str:
    """Its simulator is on this machine: a reply that is not there at once will not come."""
    url: str = described["url"]
    return f"{url}?timeout=0.5" if url.startswith("tcp:") else url


def _assign_tariffs(parts: Parts, *, valid_from: datetime) -> None:
    """Give each account without a tariff the one for its kind, from its first month on."""
    with parts.database.read() as session:
        registry = Registry(session)
        wanted = {
            account.id: KINDS[registry.get_point(place.point_id).kind].tariff
            for account in registry.accounts()
            for place in reversed(registry.points_of_account(account.id))
        }
    for account_id, tariff in wanted.items():
        if not parts.billing.assigned_tariffs(account_id):
            parts.billing.assign_tariff(
                account_id, tariff_code=tariff, valid_from=valid_from, now=datetime.now(UTC)
            )


@dataclass
class _Registration:
    """Enters everything in the caller's transaction."""

    session: Session
    world: World
    registry: Registry = field(init=False)
    site: Site = field(init=False)
    areas: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, int] = field(default_factory=dict)
    """By the customer's name: all points of one customer are on one account."""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.registry = Registry(self.session)
        self.site = self.registry.sites()[0]

    def run(self) -> None:
        """Areas first, then link by link."""
        self.site.name = SITE_NAME
        for area in self.world["areas"]:
            self._add_area(area)
        for described in self.world["links"]:
            link = self.registry.add_link(code=described["code"], name=described["name"], url=_url(described))
            for meter in described["meters"]:
                self._add_place(meter, link)

    def _add_area(self, area: World) -> None:
        added = self.registry.add_area(
            site_id=self.site.id,
            code=area["code"],
            name=area["name"],
            kind=AreaKind(area["kind"]),
            parent_id=self.areas.get(area["parent"]),
        )
        self.areas[area["code"]] = added.id

    def _add_place(self, described: World, link: Link) -> None:
        """One metering point with its meter, and the one that took its place if one did."""
        point = self._point(described)
        meter = self._meter(described, link, described["address"])
        install_meter(
            self.session,
            point_id=point.id,
            meter_id=meter.id,
            at=begin(self.world),
            first_register=Decimal(described["first_register"]),
            ct_ratio=Decimal(described["ct_ratio"]),
        )
        exchange = described["exchange"]
        if exchange is not None:
            exchange_meter(
                self.session,
                point_id=point.id,
                new_meter_id=self._meter(described, link, exchange["address"]).id,
                at=datetime.fromisoformat(exchange["at"]),
                last_register=Decimal(exchange["last_register"]),
                first_register=Decimal(exchange["first_register"]),
            )
        account_id = self._account(described)
        assign_account(self.session, point_id=point.id, account_id=account_id, at=begin(self.world))

    def _point(self, described: World) -> MeteringPoint:
        return self.registry.add_point(
            site_id=self.site.id,
            code=f"P-{next(self.numbers):04}",
            name=described["point"],
            kind=PointKind(described["kind"]),
            area_id=self.areas.get(described["area"]),
            rated_power_kw=KINDS[described["kind"]].rated_power_kw,
        )

    def _meter(self, described: World, link: Link, address: str) -> Meter:
        return self.registry.add_meter(
            address=address,
            link_id=link.id,
            model="DDZY645" if described["phases"] == 1 else "DTZY645",
            register_digits=len(str(described["register_modulus"] - 1)),
        )

    def _account(self, described: World) -> int:
        """The account of the point's customer; new with the customer's first point."""
        name = described["customer"]
        if name not in self.accounts:
            number = len(self.accounts) + 1
            customer = self.registry.add_customer(
                code=f"C-{number:04}", name=name, address=described["point"]
            )
            account = self.registry.add_account(
                customer_id=customer.id,
                code=f"6450{number:06}",
                name=name,
                opened_at=begin(self.world),
                address=described["point"],
                kind=KINDS[described["kind"]].account,
            )
            self.accounts[name] = account.id
        return self.accounts[name]
