"""Master data is found by what people know of it, and what contradicts itself is not kept."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import process_time
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import InvalidRequestError

from wattkeeper.registry.errors import AlreadyExists, BadValue, NotFound, RegistryError
from wattkeeper.registry.models import AreaKind, Installation, Meter, MeteringPoint, PointKind
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.search import SORT_KEYS
from wattkeeper.registry.service import assign_account, exchange_meter, install_meter, remove_meter
from wattkeeper.registry.values import AreaNode, MeterRow, MeterToRead, RegistryCounts

T0 = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def lit_town(town):
    """The town with meter 161 at point P-1 for account 100001, in a box of an area; the other meters lie about."""
    with town.database.write() as session:
        registry = Registry(session)
        area = registry.add_area(site_id=town.site, code="A", name="东区", kind=AreaKind.AREA)
        box = registry.add_area(
            site_id=town.site, code="A-1", name="表箱1", kind=AreaKind.BOX, parent_id=area.id
        )
        registry.get_point(town.points[0]).area_id = box.id
        install_meter(session, point_id=town.points[0], meter_id=town.meters[0], at=T0)
        assign_account(session, point_id=town.points[0], account_id=town.accounts[0], at=T0)
    return town


def find(town, **how):
    with town.database.read() as session:
        return Registry(session).find_meters(**how)


def addresses(town, **how) -> list[str]:
    return [row.address.lstrip("0") for row in find(town, **how).rows]


def test_a_row_of_the_list_tells_where_a_meter_hangs_and_who_pays(lit_town):
    page = find(lit_town, search="161")
    (row,) = page.rows
    assert row == MeterRow(
        meter_id=lit_town.meters[0],
        address="000000000161",
        protocol="dlt645-2007",
        model="",
        enabled=True,
        link_id=lit_town.link,
        link_code="BUS-1",
        link_name="1号总线",
        point_id=lit_town.points[0],
        point_code="P-1",
        point_name="1栋101",
        point_kind=PointKind.HOUSEHOLD,
        area_id=row.area_id,
        area_name="表箱1",
        account_id=lit_town.accounts[0],
        account_code="100001",
        customer_id=row.customer_id,
        customer_name="张三",
    )
    assert (page.total, page.after) == (1, None)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        pytest.param("00016", ["161", "162", "163"], id="part_of_the_address"),
        pytest.param("p-1", ["161"], id="point_code_in_any_case"),
        pytest.param("1栋", ["161"], id="point_name"),
        pytest.param("100001", ["161"], id="account"),
        pytest.param(" 张 ", ["161"], id="customer"),
        pytest.param("%", [], id="percent_is_no_wildcard"),
        pytest.param("_", [], id="underscore_is_no_wildcard"),
        pytest.param("李四", [], id="nobody"),
    ],
)
def test_meters_are_found_by_what_people_know_of_them(lit_town, search, found):
    assert addresses(lit_town, search=search) == found


def test_an_area_holds_what_hangs_below_it(lit_town):
    with lit_town.database.read() as session:
        registry = Registry(session)
        (area,) = registry.area_tree(lit_town.site)
        box = area.children[0]
        assert area == AreaNode(
            area.area_id, "A", "东区", "area", 1, (AreaNode(box.area_id, "A-1", "表箱1", "box", 1, ()),)
        )
    assert addresses(lit_town, area_id=area.area_id) == addresses(lit_town, area_id=box.area_id) == ["161"]
    assert addresses(lit_town, link_id=lit_town.link) == ["161", "162", "163"]
    assert addresses(lit_town, link_id=lit_town.link + 1) == []


@pytest.mark.parametrize("sort", SORT_KEYS)
@pytest.mark.parametrize("descending", [False, True])
def test_pages_show_every_meter_once_in_the_order_asked_for(lit_town, sort, descending):
    whole = find(lit_town, sort=sort, descending=descending).rows
    after, pages = None, []
    while True:
        page = find(lit_town, sort=sort, descending=descending, limit=1, after=after)
        pages += page.rows
        assert page.total == 3
        if (after := page.after) is None:
            break
    assert tuple(pages) == whole
    assert whole == tuple(reversed(find(lit_town, sort=sort, descending=not descending).rows))


def test_a_meter_added_between_two_pages_neither_repeats_nor_hides_another(lit_town):
    first = find(lit_town, limit=2)
    with lit_town.database.write() as session:
        Registry(session).add_meter(address="000000000001", link_id=lit_town.link)
    second = find(lit_town, limit=2, after=first.after)
    assert [row.address[-3:] for row in (*first.rows, *second.rows)] == ["161", "162", "163"]


@pytest.mark.parametrize("after", ["", "nonsense", "WzEsMl0=", "////", "é"])
def test_a_mark_that_is_none_of_ours_is_refused(lit_town, after):
    with pytest.raises(BadValue, match="mark of a page"):
        find(lit_town, after=after)


def test_a_list_cannot_be_sorted_by_anything(lit_town):
    with pytest.raises(BadValue, match="Use one of address"):
        find(lit_town, sort="id; DROP TABLE meter")


def test_a_meter_that_was_taken_down_is_not_read_any_more(lit_town):
    def to_read(now: datetime) -> list[MeterToRead]:
        with lit_town.database.read() as session:
            return Registry(session).meters_to_read(now=now)

    with lit_town.database.write() as session:
        exchange_meter(
            session,
            point_id=lit_town.points[0],
            new_meter_id=lit_town.meters[1],
            at=T0 + DAY,
            last_register=None,
        )
    shared = {"protocol": "dlt645-2007", "link_id": lit_town.link}
    where = {"point_id": lit_town.points[0], "zone": ZoneInfo("Asia/Shanghai"), "interval_minutes": 15}
    nowhere = {"point_id": None, "zone": None, "interval_minutes": None, "installed_from": None}
    first, second, third = (
        MeterToRead(
            meter_id=lit_town.meters[0], address="000000000161", **shared, **where, installed_from=T0
        ),
        MeterToRead(
            meter_id=lit_town.meters[1], address="000000000162", **shared, **where, installed_from=T0 + DAY
        ),
        MeterToRead(meter_id=lit_town.meters[2], address="000000000163", **shared, **nowhere),
    )
    assert to_read(T0) == [first, third]
    assert to_read(T0 + DAY) == [second, third]
    with lit_town.database.write() as session:
        Registry(session).get_link(lit_town.link).enabled = False
    assert to_read(T0) == []


def test_counts_tell_how_much_there_is(lit_town):
    with lit_town.database.write() as session:
        Registry(session).get_meter(lit_town.meters[2]).enabled = False
    with lit_town.database.read() as session:
        assert Registry(session).counts() == RegistryCounts(
            sites=1, links=1, meters=3, meters_enabled=2, points=2, points_metered=1, accounts=2
        )


def test_things_are_found_by_their_codes(lit_town):
    with lit_town.database.read() as session:
        registry = Registry(session)
        assert [site.code for site in registry.sites()] == ["SH"]
        assert [link.code for link in registry.links()] == ["BUS-1"]
        assert [account.code for account in registry.accounts()] == ["100001", "100002"]
        assert registry.site_by_code("SH").id == lit_town.site
        assert registry.area_by_code(lit_town.site, "A-1").name == "表箱1"
        assert registry.link_by_code("BUS-1").id == lit_town.link
        assert registry.point_by_code("P-2").id == lit_town.points[1]
        assert registry.account_by_code("100002").id == lit_town.accounts[1]
        assert registry.customer_by_code("C-1").name == "张三"
        assert [meter.id for meter in registry.meters_by_address("000000000161")] == [lit_town.meters[0]]
        assert registry.link_by_code("BUS-2") is None


def test_what_is_not_there_is_not_found_by_name(town):
    with town.database.read() as session:
        registry = Registry(session)
        for get, kind in [
            (registry.get_site, "site"),
            (registry.get_area, "area"),
            (registry.get_link, "link"),
            (registry.get_meter, "meter"),
            (registry.get_point, "metering point"),
            (registry.get_customer, "customer"),
            (registry.get_account, "account"),
        ]:
            with pytest.raises(NotFound, match=f"There is no {kind} 999"):
                get(999)


@pytest.mark.parametrize(
    ("add", "sentence"),
    [
        pytest.param(lambda r, t: r.add_site(code="SH", name="", zone="UTC"), "site SH already", id="site"),
        pytest.param(
            lambda r, t: r.add_link(code="BUS-1", name="", url="tcp://h:1"), "link BUS-1 already", id="link"
        ),
        pytest.param(
            lambda r, t: r.add_meter(address="0" * 9 + "161", link_id=t.link),
            "meter 000000000161",
            id="meter",
        ),
        pytest.param(
            lambda r, t: r.add_point(site_id=t.site, code="P-1", name=""), "point P-1 already", id="point"
        ),
        pytest.param(lambda r, t: r.add_customer(code="C-1", name=""), "customer C-1 already", id="customer"),
    ],
)
def test_a_code_is_given_once(town, add, sentence):
    with pytest.raises(AlreadyExists, match=sentence), town.database.write() as session:
        add(Registry(session), town)


@pytest.mark.parametrize(
    "add",
    [
        pytest.param(lambda r, t: r.add_meter(address="0" * 12, link_id=99), id="no_such_link"),
        pytest.param(
            lambda r, t: r.add_point(site_id=t.site, code="X", name="", area_id=99), id="no_such_area"
        ),
        pytest.param(
            lambda r, t: r.add_point(site_id=t.site, code="X", name="", interval_minutes=7), id="odd_grid"
        ),
        pytest.param(
            lambda r, t: r.add_meter(address="0" * 12, link_id=t.link, register_digits=0), id="no_digits"
        ),
    ],
)
def test_what_belongs_nowhere_or_is_out_of_range_is_refused_by_the_database(town, add):
    with pytest.raises(RegistryError, match="nothing was kept"), town.database.write() as session:
        add(Registry(session), town)


def test_an_area_hangs_below_one_of_its_own_site(town):
    with town.database.write() as session:
        registry = Registry(session)
        other = registry.add_site(code="BJ", name="北京", zone="Asia/Shanghai").id
        area = registry.add_area(site_id=other, code="A", name="", kind=AreaKind.FEEDER).id
    with pytest.raises(RegistryError), town.database.write() as session:
        Registry(session).add_area(site_id=town.site, code="B", name="", kind=AreaKind.AREA, parent_id=area)


def test_a_relation_that_was_not_asked_for_is_an_error_and_no_hidden_query(town):
    with town.database.read() as session:
        meter = Registry(session).get_meter(town.meters[0])
        with pytest.raises(InvalidRequestError, match="raise"):
            _ = meter.link


def test_a_removed_meter_stays_in_the_list_without_a_point(lit_town):
    with lit_town.database.write() as session:
        remove_meter(session, point_id=lit_town.points[0], at=T0 + DAY, last_register=Decimal("5.5"))
    assert addresses(lit_town, search="161") == ["161"]
    assert find(lit_town, search="161").rows[0].point_code is None


def test_ten_thousand_meters_are_listed_and_looked_up_quickly(town):
    many = range(10_000)
    with town.database.write() as session:
        session.execute(
            insert(Meter), [{"id": 1000 + n, "address": f"{10**11 + n}", "link_id": town.link} for n in many]
        )
        rows = [
            {
                "id": 1000 + n,
                "site_id": town.site,
                "code": f"Q{n}",
                "name": f"{n}室",
                "kind": PointKind.HOUSEHOLD,
            }
            for n in many
        ]
        session.execute(insert(MeteringPoint), rows)
        session.execute(
            insert(Installation),
            [{"point_id": 1000 + n, "meter_id": 1000 + n, "valid_from": T0} for n in many],
        )
    began = process_time()
    page = find(town, sort="point_name", search="99", limit=50)
    found_in = process_time() - began
    with town.database.read() as session:
        began = process_time()
        everything = Registry(session).installations(meter_ids=range(1000, 11_000))
        installed_in = process_time() - began
    assert (page.total > 100, len(page.rows), len(everything)) == (True, 50, 10_000)
    assert found_in < 1, "a page of 10,000 meters takes about 0.05 s"
    assert installed_in < 3, "10,000 installations take about 0.3 s"
