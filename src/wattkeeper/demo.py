"""`wattkeeper demo`: a simulated neighbourhood in a process of its own, and the product reading it.

Nothing here is special-cased for the demo below this module: the meters answer over sockets and a pty, and master data,
readings and bills go the way that anyone's would.
"""

import asyncio
import contextlib
import itertools
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from wattkeeper.app import Parts, Server
from wattkeeper.billing.errors import BillingError
from wattkeeper.billing.service import BillingService
from wattkeeper.billing.values import BillView, PaymentMethod
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.models import AccountKind, Link, PointKind, Site
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import assign_account, install_meter
from wattkeeper.settings import Settings
from wattkeeper.simulator.world import DEMO_WORLD

SITE_NAME = "示范小区 Demo neighbourhood"
BILLING_TRIES_SECONDS = 2.0
BILLING_PATIENCE = timedelta(minutes=5)
"""How long the demo waits for a meter's history before it leaves its account unbilled."""


@dataclass(frozen=True, slots=True)
class CustomerKind:
    """What the demo knows of a kind of customer."""

    customer: str
    account: AccountKind
    tariff: str
    rated_power_kw: Decimal

    def model(self, meter: Mapping[str, Any]) -> str:
        """The type on the meter's label."""
        return "DTZY645" if meter["phases"] == 3 else "DDZY645"  # noqa: PLR2004 (phases)


CUSTOMERS = {
    "household": CustomerKind("住户", AccountKind.RESIDENTIAL, "cn-beijing-residential", Decimal(15)),
    "shop": CustomerKind("商户", AccountKind.COMMERCIAL, "cn-sichuan-commercial-tou", Decimal(40)),
    "office": CustomerKind("单位", AccountKind.COMMERCIAL, "cn-sichuan-commercial-tou", Decimal(250)),
    "factory": CustomerKind("工厂", AccountKind.INDUSTRIAL, "cn-sichuan-commercial-tou", Decimal(800)),
    "street_light": CustomerKind("市政", AccountKind.COMMERCIAL, "cn-single-price", Decimal(30)),
}
"""By the kind of load that the simulator gives a meter."""


class DemoFailed(WattkeeperError):
    """The simulated neighbourhood did not start."""


class Demo:
    """One run of the demo over one data folder; `say` tells the person who started it what happens."""

    def __init__(self, settings: Settings, *, say: Callable[[str], None]) -> None:
        zone = ZoneInfo(settings.zone)
        self.period = _last_month(datetime.now(zone).date(), zone)
        days = (datetime.now(UTC) - self.period.start) // timedelta(days=1) + 1
        self.settings = settings.model_copy(update={"history_days": days})
        self._say = say

    async def run(self) -> None:
        """Run until Ctrl-C or SIGTERM."""
        parts = await asyncio.to_thread(Parts.open, self.settings)
        try:
            self._say("Starting the simulated neighbourhood ...")
            async with _neighbourhood() as world:
                await asyncio.to_thread(_register, parts, world, self.period)
                await self._serve(parts, world)
        finally:
            await asyncio.to_thread(parts.close)

    async def _serve(self, parts: Parts, world: Mapping[str, Any]) -> None:
        billing = asyncio.create_task(self._bill(parts))

        def ready(url: str) -> None:
            meters = sum(len(link["meters"]) for link in world["links"])
            self._say(f"{meters} meters on {len(world['links'])} links are being read. Open  {url}")
            self._say("Their history and last month's bills appear within a minute. Ctrl-C stops.")

        try:
            await Server(parts).run(ready=ready)
        finally:
            billing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await billing
            self._say(f"Stopped. The data is kept in {self.settings.data_dir}; the next start finds it.")

    async def _bill(self, parts: Parts) -> None:
        """Bill each account for last month as soon as its meter's history is there."""
        give_up = datetime.now(UTC) + BILLING_PATIENCE
        with parts.database.read() as session:
            waiting = {account.id for account in Registry(session).accounts()}
        while waiting and datetime.now(UTC) < give_up:
            await asyncio.sleep(BILLING_TRIES_SECONDS)
            waiting -= await asyncio.to_thread(_issue_bills, parts.billing, frozenset(waiting), self.period)


def _issue_bills(billing: BillingService, account_ids: frozenset[int], period: TimeRange) -> set[int]:
    """Bill those whose history is complete; the ids of those that now have a bill."""
    billed = set()
    for account_id in sorted(account_ids):
        now = datetime.now(UTC)
        if billing.bills(account_id=account_id, period=period).items:
            billed.add(account_id)
            continue
        with contextlib.suppress(BillingError):  # its history is not there yet; it is tried again
            if not billing.prepare_bill(account_id, period=period, now=now).estimated:
                bill = billing.issue_bill(account_id, period=period, now=now)
                _pay_some(billing, bill, now=now)
                billed.add(account_id)
    return billed


def _pay_some(billing: BillingService, bill: BillView, *, now: datetime) -> None:
    """Two of three customers have paid at the counter."""
    if bill.account_id % 3 and bill.total.amount > 0:
        billing.record_payment(
            bill.account_id,
            amount=bill.total,
            method=PaymentMethod.CASH,
            key=f"demo-{bill.number}",
            cashier="demo",
            now=now,
        )


@contextlib.asynccontextmanager
async def _neighbourhood() -> AsyncIterator[dict[str, Any]]:
    """The simulator in a process of its own: it ends with us, however we end, and not by the Ctrl-C meant for us."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wattkeeper.simulator", str(DEMO_WORLD), "--while-stdin"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=2**20,
    )
    assert process.stdout is not None
    try:
        line = await process.stdout.readline()
        if not line:
            raise DemoFailed("The simulated neighbourhood did not start; its own words are above.")
        yield json.loads(line)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _register(parts: Parts, world: Mapping[str, Any], billed: TimeRange) -> None:
    """Enter the neighbourhood as master data on the first start; later only its links' new addresses."""
    with parts.database.write() as session:
        registry = Registry(session)
        if registry.links():
            _move_links(registry, world)
        else:
            _register_world(session, world)
    _assign_tariffs(parts, valid_from=billed.start)


def _move_links(registry: Registry, world: Mapping[str, Any]) -> None:
    """The simulator took free ports and a new pty: the links are where it says now."""
    for described in world["links"]:
        link = registry.link_by_code(described["code"])
        if link is not None:
            link.url = _url(described)


def _url(described: Mapping[str, Any]) -> str:
    """Its simulator is on this machine: a reply that is not there at once will not come."""
    url: str = described["url"]
    return f"{url}?timeout=0.5" if url.startswith("tcp:") else url


def _register_world(session: Session, world: Mapping[str, Any]) -> None:
    """The links with their meters, points, customers and accounts."""
    registry = Registry(session)
    site = registry.sites()[0]
    site.name = SITE_NAME
    installed = datetime.combine(
        date.fromisoformat(world["installed"]), datetime.min.time(), ZoneInfo(site.zone)
    )
    numbers = itertools.count(1)
    for described in world["links"]:
        link = registry.add_link(code=described["code"], name=described["name"], url=_url(described))
        for meter in described["meters"]:
            _register_meter(
                session,
                meter,
                site=site,
                link=link,
                installed=installed.astimezone(UTC),
                number=next(numbers),
            )


def _assign_tariffs(parts: Parts, *, valid_from: datetime) -> None:
    """Give each account without a tariff the one for its kind, from the first month that is billed."""
    with parts.database.read() as session:
        registry = Registry(session)
        wanted = [
            (account.id, CUSTOMERS[registry.get_point(place.point_id).kind].tariff)
            for account in registry.accounts()
            for place in registry.points_of_account(account.id)
        ]
    for account_id, tariff in wanted:
        if not parts.billing.assigned_tariffs(account_id):
            parts.billing.assign_tariff(
                account_id, tariff_code=tariff, valid_from=valid_from, now=datetime.now(UTC)
            )


def _register_meter(
    session: Session,
    described: Mapping[str, Any],
    *,
    site: Site,
    link: Link,
    installed: datetime,
    number: int,
) -> None:
    """One meter with its point, customer and account."""
    registry = Registry(session)
    kind = CUSTOMERS[described["kind"]]
    meter = registry.add_meter(address=described["address"], link_id=link.id, model=kind.model(described))
    point = registry.add_point(
        site_id=site.id,
        code=f"P-{number:04}",
        name=described["point"],
        kind=PointKind(described["kind"]),
        rated_power_kw=kind.rated_power_kw,
    )
    install_meter(
        session,
        point_id=point.id,
        meter_id=meter.id,
        at=installed,
        first_register=Decimal(described["first_register"]),
        ct_ratio=Decimal(described["ct_ratio"]),
    )
    customer = registry.add_customer(code=f"C-{number:04}", name=f"{described['point']} {kind.customer}")
    account = registry.add_account(
        customer_id=customer.id,
        code=f"6450{number:06}",
        name=customer.name,
        opened_at=installed,
        address=described["point"],
        kind=kind.account,
    )
    assign_account(session, point_id=point.id, account_id=account.id, at=installed)


def _last_month(today: date, zone: ZoneInfo) -> TimeRange:
    last_day = today.replace(day=1) - timedelta(days=1)
    return TimeRange.month(last_day.year, last_day.month, zone)
