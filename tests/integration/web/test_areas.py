"""Areas: the tree and its sums, the page of one, and moving things about, on record."""

from decimal import Decimal

import pytest
from tests.integration.web.conftest import NOW, PASSWORD, ZONE, Town, add_user, signed_in

from wattkeeper.billing.service import BillingService
from wattkeeper.collection.commands.service import CommandService
from wattkeeper.collection.drivers import check_command
from wattkeeper.collection.recordings import RecordingDesk
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.hub import Hub
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.monitoring.service import MonitoringService
from wattkeeper.readings.editing.service import ReadingEditing
from wattkeeper.readings.editing.trail import EditTrail
from wattkeeper.readings.retention import Keeper, Retention
from wattkeeper.readings.service import IntervalService
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.readings.validation.exceptions import ExceptionQueue
from wattkeeper.registry.models import AreaKind
from wattkeeper.registry.repository import Registry
from wattkeeper.security.models import AuditEvent
from wattkeeper.security.rights import Role
from wattkeeper.security.service import SecurityService
from wattkeeper.security.values import UserWanted
from wattkeeper.web.application import create_application
from wattkeeper.web.services import Services


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A town of its own: its tests move points about."""
    town = Town(tmp_path_factory.mktemp("areas"))
    with town.database.write() as session:
        registry = Registry(session)
        site = registry.sites()[0]
        town.site = site.id
        town.areas = {code: registry.area_by_code(site.id, code).id for code in ("F1", "A1", "A2")}
        box = registry.add_area(
            site_id=site.id, code="B1", name="1号表箱", kind=AreaKind.BOX, parent_id=town.areas["A1"]
        )
        town.areas["B1"] = box.id
        registry.get_point(town.points["000000000100"]).area_id = box.id
        town.loose = registry.add_point(site_id=site.id, code="P900", name="门卫室").id
    yield town
    town.close()


@pytest.fixture(scope="module")
def chief(place):
    return signed_in(create_application(place.services()), add_user(place, "chief", Role.ADMINISTRATOR))


def lines(items):
    for item in items:
        yield item
        yield from lines(item["children"])


def energy_of(place, addresses, period):
    ids = [place.points[address] for address in addresses]
    table = place.store.intervals(point_ids=ids, period=period)
    return sum((value for value in table["energy"].to_pylist() if value is not None), Decimal(0))


HOMES = [f"{100 + n:012d}" for n in range(19)]
TRADE = [f"{100 + n:012d}" for n in range(19, 24)]


def test_each_area_counts_what_hangs_at_and_below_it(place, chief):
    found = {item["code"]: item for item in lines(chief.get("/api/v1/areas").json())}
    counts = {code: (item["points"], item["meters"], item["silent"]) for code, item in found.items()}
    assert counts == {
        "riverside": (25, 24, 1), "F1": (24, 24, 1), "A1": (19, 19, 1), "B1": (1, 1, 0), "A2": (5, 5, 0), "": (1, 0, 0),
    }  # fmt: skip
    assert [found[code]["kind"] for code in ("riverside", "F1", "A1", "B1", "")] == ["site", "feeder", "area", "box", "none"]  # fmt: skip


def test_energies_are_the_sums_of_the_points_intervals(place, chief):
    found = {item["code"]: item for item in lines(chief.get("/api/v1/areas").json())}
    today = place.now.astimezone(ZONE).date()
    yesterday = TimeRange.day(today.replace(day=today.day - 1), ZONE)
    month = TimeRange(TimeRange.month(today.year, today.month, ZONE).start, place.now)
    for code, addresses in (("A1", HOMES), ("A2", TRADE), ("F1", HOMES + TRADE), ("B1", HOMES[:1])):
        assert Decimal(found[code]["yesterday_kwh"]) == energy_of(place, addresses, yesterday), code
        assert Decimal(found[code]["month_kwh"]) == energy_of(place, addresses, month), code
    assert found[""]["month_kwh"] is None


def test_the_load_of_an_area_is_the_sum_of_its_points(place, chief):
    url = "load-curve?start=2026-11-20T16:00:00Z&end=2026-11-21T16:00:00Z"
    area = chief.get(f"/api/v1/areas/{place.areas['A2']}/{url}").json()
    each = [chief.get(f"/api/v1/points/{place.points[address]}/{url}").json() for address in TRADE]
    assert len(area["energy_kwh"]) == 96
    sums = [
        sum(map(Decimal, values)) for values in zip(*(curve["energy_kwh"] for curve in each), strict=True)
    ]
    assert [Decimal(value) for value in area["energy_kwh"]] == sums
    assert [Decimal(value) for value in area["power_kw"]] == [value * 4 for value in sums]
    assert set(area["status"]) == {"measured"}
    days = chief.get(f"/api/v1/areas/{place.areas['A2']}/{url}&resolution=day").json()
    assert (days["total_kwh"], len(days["starts"])) == (area["total_kwh"], 1)


def test_an_area_with_a_silent_meter_is_known_in_part(place, chief):
    curve = chief.get(f"/api/v1/areas/{place.areas['A1']}/load-curve?period=today").json()
    # The silent meter's last readings are missing: 20 quarters, and the one that runs of everybody.
    statuses = curve["status"][:70]
    assert (statuses.count("partial"), statuses[:40].count("measured")) == (20, 40)


def test_an_area_tells_where_it_stands_and_how_much_of_yesterday_is_known(place, chief):
    found = chief.get(f"/api/v1/areas/{place.areas['B1']}").json()
    assert found["path"] == ["滨江社区", "10kV 滨江线", "1号公变台区", "1号表箱"]
    assert (found["expected_yesterday"], found["known_yesterday"]) == (96, 96)


def test_the_tree_opens_without_a_script(place, chief):
    text = chief.get("/areas").text
    assert text.count('<details class="turner"') == 3  # site, feeder and the area with a box
    assert f'href="/areas/{place.areas["A1"]}"' in text
    assert f'href="/meters?area={place.areas["A1"]}&amp;state=silent"' in text
    assert 'href="/areas/unassigned"' in text


def test_the_page_of_an_area_has_its_way_its_children_and_its_curve(place, chief):
    address = f"/areas/{place.areas['A1']}?span=month"
    text = chief.get(address).text
    assert f'hx-get="{address}" hx-trigger="load"' in text
    text += chief.get(address, headers={"hx-request": "true", "hx-target": "section#curve"}).text
    assert f'<a href="/areas/{place.areas["F1"]}">10kV 滨江线</a>' in text
    assert f'href="/areas/{place.areas["B1"]}"' in text
    assert f'data-url="/api/v1/areas/{place.areas["A1"]}/load-curve?start=' in text
    part = chief.get(
        f"/areas/{place.areas['A1']}?span=week", headers={"hx-request": "true", "hx-target": "section#curve"}
    ).text
    assert "<h1" not in part
    assert "16 Nov 2026 – 22 Nov 2026" in part


def test_the_tree_leaves_as_a_file(chief):
    rows = [line.split(",") for line in chief.get("/areas.csv").text.splitlines()]
    assert [row[0].lstrip("\ufeff") for row in rows] == ["Code", "riverside", "F1", "A1", "B1", "A2", ""]
    assert chief.get("/areas.xlsx").content[:2] == b"PK"


def test_the_load_of_an_area_leaves_as_a_file(place, chief):
    url = f"/areas/{place.areas['A2']}/load-curve"
    period = "start=2026-11-20T16:00:00Z&end=2026-11-21T16:00:00Z"
    rows = chief.get(f"{url}.csv?{period}").text.splitlines()
    answer = chief.get(f"/api/v1{url}?{period}").json()
    assert len(rows) == 97
    assert [Decimal(row.split(",")[3]) for row in rows[1:]] == [
        Decimal(value) for value in answer["energy_kwh"]
    ]


def test_points_move_to_another_area_and_it_is_on_record(place, chief):
    area, point = place.areas["B1"], place.loose
    assert "P900" in chief.get("/areas/unassigned").text
    answer = chief.post("/areas/points", data={"point": [point], "target": str(area)}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/areas/{area}/points")
    assert "P900" in chief.get(f"/areas/{area}/points?search=P900").text
    assert "Every metering point belongs to an area" in chief.get("/areas/unassigned").text
    with place.database.read() as session:
        event = session.query(AuditEvent).filter_by(action="point.move", subject_id=str(point)).one()
        assert (event.before, event.after) == ({"area_id": None}, {"area_id": area})
    chief.post("/areas/points", data={"point": [point], "target": "none"})
    moved = chief.post(
        f"/api/v1/areas/{area}/points", json={"point_ids": [point, place.points["000000000100"]]}
    )
    assert moved.json() == {"moved": 1}
    chief.post("/areas/points", data={"point": [point], "target": "none"})


def test_an_area_is_added_renamed_and_moved(place, chief):
    made = chief.post("/api/v1/areas", json={"site_id": place.site, "code": "A3", "name": "3号台区", "parent_id": place.areas["F1"]})  # fmt: skip
    assert made.status_code == 201
    area = made.json()["id"]
    assert made.json()["path"] == ["滨江社区", "10kV 滨江线", "3号台区"]
    changed = chief.patch(f"/api/v1/areas/{area}", json={"name": "三号台区", "parent_id": None}).json()
    assert (changed["name"], changed["path"]) == ("三号台区", ["滨江社区", "三号台区"])
    form = chief.post(f"/areas/{area}", data={"code": "A3", "name": "三台", "kind": "area", "parent": str(place.areas["F1"])})  # fmt: skip
    assert "<h1>三台</h1>" in form.text
    again = chief.post(
        "/areas", data={"place": f"site-{place.site}", "code": "A3", "name": "x", "kind": "area"}
    )
    assert again.status_code == 409
    assert 'value="A3"' in again.text


@pytest.mark.parametrize(
    ("code", "change", "told"),
    [
        ("A1", {"parent_id": "B1"}, "cannot hang below"),
        ("F1", {"parent_id": "A1"}, "cannot hang below"),
        ("A1", {"kind": "box", "parent_id": "B1"}, "cannot hang below itself"),
        ("A1", {"name": "  "}, "cannot be a name"),
        ("A1", {"code": "A2"}, "already"),
    ],
)
def test_what_would_break_the_tree_is_refused_and_nothing_changes(place, chief, code, change, told):
    wanted = change | ({"parent_id": place.areas[change["parent_id"]]} if "parent_id" in change else {})
    before = chief.get(f"/api/v1/areas/{place.areas[code]}").json()
    answer = chief.patch(f"/api/v1/areas/{place.areas[code]}", json=wanted)
    assert answer.status_code in {409, 422}
    assert told in answer.json()["detail"]
    assert chief.get(f"/api/v1/areas/{place.areas[code]}").json() == before


def test_who_is_limited_to_an_area_sees_its_tree_alone(place, chief):
    limited = signed_in(chief.app, add_user(place, "warden", Role.OPERATOR, areas=[place.areas["A1"]]))
    found = list(lines(limited.get("/api/v1/areas").json()))
    assert [item["code"] for item in found] == ["riverside", "A1", "B1"]
    assert found[0]["points"] == 19
    for path in (
        "/areas/{A2}",
        "/areas/{F1}",
        "/api/v1/areas/{A2}",
        "/api/v1/areas/{A2}/load-curve",
        "/areas/{A2}/points",
    ):
        assert limited.get(path.format(**place.areas)).status_code == 404, path
    assert "2号公变台区" not in limited.get("/areas").text
    assert "10kV" not in limited.get(f"/areas/{place.areas['A1']}").text
    assert "P019" not in limited.get("/areas/unassigned").text
    assert limited.post("/areas/points", data={"point": [1], "target": "none"}).status_code == 403


def test_a_new_installation_says_what_to_do(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    database.create_schema()
    with ReadingsStore.open(tmp_path / "readings") as store:
        services = Services(
            database=database, store=store, hub=Hub(), monitoring=MonitoringService(database, Hub()), commands=CommandService(database, Hub(), check=check_command), recordings=RecordingDesk(tmp_path / "recordings", Hub()),
            billing=BillingService(database, store), intervals=IntervalService(database, store),
            exceptions=ExceptionQueue(database), editing=ReadingEditing(database, store), trail=EditTrail(database, store), keeper=Keeper(database, store, Retention()),
            security=SecurityService(database), trusted_hosts=("testserver",), clock=lambda: NOW,
        )  # fmt: skip
        with database.write() as session:
            wanted = UserWanted(name="Chief", role=Role.ADMINISTRATOR)
            services.security.users.add_in(session, "chief", wanted, now=NOW, password=PASSWORD)
        secret = services.security.sign_in.sign_in(
            "chief", PASSWORD, address="::1", agent="tests", now=NOW
        ).secret
        with signed_in(create_application(services), secret) as browser:
            assert "No site yet" in browser.get("/areas").text
            assert "Every metering point belongs to an area" in browser.get("/areas/unassigned").text
            assert browser.get("/api/v1/areas").json() == []
            assert "there is none yet" in browser.get("/meters/new").text
    database.dispose()
