"""A small town in a ledger database."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from wattkeeper.kernel.database import Database
from wattkeeper.registry.repository import Registry

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Town:
    """One site, one link, three meters, two points and two accounts; nothing is installed yet."""

    database: Database
    site: int
    link: int
    meters: list[int]
    points: list[int]
    accounts: list[int]


@pytest.fixture
def town(database: Database) -> Town:
    with database.write() as session:
        registry = Registry(session)
        site = registry.add_site(code="SH", name="上海", zone="Asia/Shanghai").id
        link = registry.add_link(code="BUS-1", name="1号总线", url="tcp://127.0.0.1:8899").id
        meters = [registry.add_meter(address=f"{number:012}", link_id=link).id for number in (161, 162, 163)]
        points = [registry.add_point(site_id=site, code=f"P-{n}", name=f"1栋10{n}").id for n in (1, 2)]
        customer = registry.add_customer(code="C-1", name="张三").id
        accounts = [
            registry.add_account(customer_id=customer, code=f"10000{n}", name="张三", opened_at=T0).id
            for n in (1, 2)
        ]
    return Town(database, site, link, meters, points, accounts)
