"""A meter's page: its curve at any span, its heat map, its events and frames, and what it says when there is nothing."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from tests.integration.web.conftest import Town, add_user, signed_in

from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import exchange_meter, install_meter, remove_meter
from wattkeeper.security.rights import Role

EXCHANGED_AT = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)  # 10:00 in Shanghai
OVER_AT = datetime(2026, 11, 21, 2, 15, tzinfo=UTC)


def reading(meter, at, value, quantity="active_energy_import"):
    return {"meter_id": meter, "quantity": quantity, "read_at": at, "value": Decimal(value), "status": 0, "source": "meter",
            "exchange_id": None}  # fmt: skip


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """A town of its own in which meters were exchanged, ran over, were taken down and never hung."""
    town = Town(tmp_path_factory.mktemp("story"))
    with town.database.write() as session:
        registry = Registry(session)
        north = town.links["north"]
        ids = {
            name: registry.add_meter(address=address, link_id=north).id
            for name, address in (("new", "000000000905"), ("over", "000000000901"), ("down", "000000000902"),
                                  ("lone", "000000000990"))
        }  # fmt: skip
        site = registry.sites()[0]
        gate = registry.add_point(site_id=site.id, code="P900", name="门卫室", rated_power_kw=Decimal(20))
        shed = registry.add_point(site_id=site.id, code="P901", name="车棚")
        exchange_meter(session, point_id=town.points["000000000105"], new_meter_id=ids["new"], at=EXCHANGED_AT,
                       last_register=Decimal("428.27"))  # fmt: skip
        install_meter(session, point_id=gate.id, meter_id=ids["over"], at=OVER_AT - timedelta(hours=1), first_register=Decimal(999999))  # fmt: skip
        install_meter(session, point_id=shed.id, meter_id=ids["down"], at=EXCHANGED_AT)
        remove_meter(session, point_id=shed.id, at=OVER_AT, last_register=Decimal("12.5"))
    rows = [
        reading(ids["new"], EXCHANGED_AT + timedelta(minutes=15 * n), f"{n * 0.25:.2f}") for n in range(8)
    ]
    rows += [
        reading(ids["over"], OVER_AT - timedelta(minutes=15), "999999.80"),
        reading(ids["over"], OVER_AT, "0.60"),
    ]
    factory = town.meters["000000000123"]
    rows += [
        reading(factory, town.now, value, f"voltage_{phase}")
        for phase, value in (("l1", "230.4"), ("l2", "231.1"), ("l3", "229.8"))
    ]
    town.store.append_readings(pa.Table.from_pylist(rows, READING_SCHEMA), town.now)
    town.intervals.derive_pending(town.now)
    town.ids = ids
    yield town
    town.close()


@pytest.fixture(scope="module")
def page(story):
    from wattkeeper.web.application import create_application

    return signed_in(create_application(story.services()), add_user(story, "chief", Role.ADMINISTRATOR))


def fragment(browser, path, block):
    answer = browser.get(path, headers={"hx-request": "true", "hx-target": f"div#{block}"})
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.parametrize(
    ("query", "label", "resolution"),
    [
        ("span=day", "22 Nov 2026", "15min"),
        ("span=week&at=2026-11-15", "9 Nov 2026 – 15 Nov 2026", "15min"),
        ("span=month&at=2026-10-09", "October 2026", "day"),
        ("span=year", "Year 2026", "day"),
        ("from=2026-11-03&to=2026-11-05", "3 Nov 2026 – 5 Nov 2026", "15min"),
        ("from=2026-11-05&to=2026-10-01", "1 Oct 2026 – 5 Nov 2026", "day"),
    ],
)
def test_every_span_has_an_address(page, query, label, resolution):
    part = fragment(page, f"/meters/24?{query}", "curve")
    assert label in part
    assert f"resolution={resolution}" in part
    assert "<h1" not in part


def test_an_address_far_off_is_kept_where_data_can_be(page):
    assert "1 Jan 2000" in fragment(page, "/meters/24?span=day&at=0001-01-01", "curve")
    assert "22 Nov 2026" in fragment(page, "/meters/24?span=day&at=2999-01-01", "curve")
    assert page.get("/meters/24?span=decade").status_code == 422


def test_a_period_of_two_days_is_compared_with_the_two_before(page):
    part = fragment(page, "/meters/24?from=2026-11-05&to=2026-11-06&compare=1", "curve")
    assert "start=2026-11-02T16:00:00Z&amp;end=2026-11-04T16:00:00Z" in part
    assert "before:" in part


def test_an_empty_span_leads_to_the_last_reading(page, story):
    part = fragment(page, f"/meters/{story.ids['new']}?span=day&at=2026-11-10", "curve")
    assert "11 Oct" not in part
    part = fragment(page, f"/meters/{story.ids['over']}?span=month&at=2026-09-01", "curve")
    assert "Go to the last reading, 21 Nov 2026" in part
    assert "at=2026-11-21" in part


def test_a_month_of_the_heat_map_is_chosen_by_the_address(page):
    part = fragment(page, "/meters/24?heat=2026-10", "heat")
    assert "October 2026" in part
    assert "start=2026-09-30T16:00:00Z&amp;end=2026-10-31T16:00:00Z" in part
    assert "the last 8 weeks" in fragment(page, "/meters/24?heat=nonsense", "heat")


def test_the_heat_map_tells_what_is_known_and_what_is_still_to_come(page, story):
    point = story.points["000000000123"]
    found = page.get(f"/api/v1/points/{point}/heat-map?period=today").json()
    assert (found["days"], len(found["slots"]), found["slots"][-1]) == (["2026-11-22"], 96, "23:45")
    statuses = found["status"][0]
    # It is 17:37: the quarter from 17:15 is known, that from 17:30 is not over.
    assert statuses[69:71] == ["measured", "ahead"]
    curve = page.get(f"/api/v1/points/{point}/load-curve?period=today").json()
    assert found["power_kw"][0][:69] == curve["power_kw"][:69]
    assert found["most_kw"] == max(filter(None, curve["power_kw"]), key=Decimal)


def test_a_heat_map_is_of_what_one_may_see_and_not_too_long(page, story):
    assert page.get("/api/v1/points/1/heat-map?period=last-101-days").status_code == 400
    assert page.get("/api/v1/points/4711/heat-map").status_code == 404


def test_another_span_of_the_curve_brings_its_own_days(page):
    part = fragment(page, "/meters/24?span=month&at=2026-10-05", "curve")
    assert '<details class="fold" open>' in part
    assert 'hx-get="/meters/24/days?span=month&amp;at=2026-10-05"' in part


def test_the_days_of_a_span_are_a_table_and_a_file(page):
    part = fragment(page, "/meters/24/days?from=2026-10-05&to=2026-10-07", "days")
    assert part.count("<tr><td") == 3
    assert "2026-10-06" in part
    lines = page.get("/meters/24/days.csv?from=2026-10-05&to=2026-10-07").text.splitlines()
    assert len(lines) == 4
    curve = page.get(
        "/api/v1/points/24/load-curve?start=2026-10-05T16:00:00Z&end=2026-10-06T16:00:00Z&resolution=day"
    )
    assert Decimal(lines[2].split(",")[1]) == Decimal(curve.json()["total_kwh"])


def test_what_happened_is_one_timeline(page, story):
    part = fragment(page, f"/meters/{story.ids['new']}/events", "events")
    assert (
        "Meter 000000000105 (last register 428.27 kWh) gave way to 000000000905 (first register 0.00 kWh)"
        in part
    )
    assert part.index("Exchanged") < part.index("Installed")  # the newest first


def test_a_rollover_is_among_the_events(page, story):
    events = page.get(f"/api/v1/meters/{story.ids['over']}/events").json()
    assert [event["kind"] for event in events] == ["rollover", "installed"]
    assert events[0]["at"] == "2026-11-21T02:15:00Z"
    assert "999,999.80 → 0.60 kWh" in events[0]["text"]
    assert "0.80 kWh counted across the end" in events[0]["text"]


def test_events_of_a_period_only(page, story):
    url = f"/api/v1/meters/{story.ids['new']}/events?start=2026-11-19T16:00:00Z&end=2026-11-20T16:00:00Z"
    assert [event["kind"] for event in page.get(url).json()] == ["exchanged"]
    assert page.get(f"/api/v1/meters/{story.ids['new']}/events?start=2026-11-19T16:00:00Z").status_code == 400


def test_who_reads_by_hand_is_told_to_those_who_read_too(page, story):
    meter = story.meters["000000000101"]
    assert page.post(f"/api/v1/meters/{meter}/read-now").status_code == 200
    assert "chief" in fragment(page, f"/meters/{meter}/events", "events")
    analyst = signed_in(page.app, add_user(story, "looker", Role.ANALYST))
    part = fragment(analyst, f"/meters/{meter}/events", "events")
    assert "Read by hand" in part
    assert "chief" not in part


def test_the_frames_of_the_last_exchange_are_on_the_page(page, story):
    part = fragment(page, f"/meters/{story.meters['000000000101']}/frames", "frames")
    assert "answered" in part
    assert part.count('class="octets"') == 2
    assert "<details" in part
    assert f"/exchanges/{story.exchanges[story.meters['000000000101']]}" in part


def test_the_heavy_cards_have_addresses_of_their_own(page):
    text = page.get("/meters/24").text
    for part in ("days", "frames", "events"):
        assert f'hx-get="/meters/24/{part}' in text
        alone = page.get(f"/meters/24/{part}")
        assert alone.status_code == 200
        assert "<h1>" in alone.text


def test_a_meter_of_three_phases_shows_them_side_by_side(page, story):
    text = page.get(f"/meters/{story.meters['000000000123']}").text
    phases = text.split('class="wide phases"')[1].split("</table>")[0]
    assert [value in phases for value in ("230.4", "231.1", "229.8")] == [True] * 3
    assert 'data-quantity="voltage_l2"' in phases
    assert "wide phases" not in page.get(f"/meters/{story.meters['000000000101']}").text


def test_a_meter_that_was_taken_down_says_so(page, story):
    old = page.get(f"/meters/{story.meters['000000000105']}").text
    assert "was taken down from 1号楼206室" in old
    assert f'href="/meters/{story.ids["new"]}"' in old
    down = page.get(f"/meters/{story.ids['down']}").text
    assert "was taken down from 车棚" in down
    assert "measured now by" not in down
    assert "data-chart" not in down


def test_a_meter_that_never_hung_nor_spoke_says_what_to_do(page, story):
    text = page.get(f"/meters/{story.ids['lone']}").text
    assert "No value of this meter has been read yet" in text
    assert "not installed anywhere" in text
    assert "Nothing has happened" in fragment(page, f"/meters/{story.ids['lone']}/events", "events")
    assert "No frame of this meter is kept yet" in fragment(
        page, f"/meters/{story.ids['lone']}/frames", "frames"
    )
    assert "not installed anywhere" in fragment(page, f"/meters/{story.ids['lone']}/days", "days")


def test_another_area_is_not_told_of_events_or_loads(page, story):
    with story.database.read() as session:
        registry = Registry(session)
        trade = registry.area_by_code(registry.sites()[0].id, "A2").id
    limited = signed_in(page.app, add_user(story, "trader", Role.OPERATOR, areas=[trade]))
    home, shop = story.meters["000000000101"], story.meters["000000000123"]
    for path in (f"/meters/{home}", f"/meters/{home}/events", f"/meters/{home}/frames", f"/meters/{home}/days",
                 f"/api/v1/meters/{home}/events", f"/api/v1/points/{story.points['000000000101']}/heat-map"):  # fmt: skip
        assert limited.get(path).status_code == 404, path
    assert limited.get(f"/api/v1/meters/{shop}/events").status_code == 200


def test_a_meter_is_entered_and_corrected_and_both_are_on_record(page, story):
    wanted = {"address": "000000000777", "link": "south", "max_current_a": "60"}
    made = page.post("/api/v1/meters", json=wanted)
    assert (made.status_code, made.json()["address"], made.json()["point_id"]) == (201, "000000000777", None)
    meter = made.json()["id"]
    changed = page.patch(f"/api/v1/meters/{meter}", json={"address": "000000000778", "enabled": False})
    assert (changed.json()["address"], changed.json()["state"]) == ("000000000778", "disabled")
    events = page.get(f"/api/v1/meters/{meter}/events").json()
    assert [event["kind"] for event in events] == ["changed", "created"]
    assert "000000000777 → 000000000778" in events[0]["text"]
    again = page.post("/api/v1/meters", json=wanted | {"address": "000000000778"})
    assert (again.status_code, again.json()["type"]) == (409, "urn:wattkeeper:problem:already-exists")
    assert page.post("/api/v1/meters", json={"address": "12", "link": "south"}).status_code == 422
    assert page.post("/api/v1/meters", json=wanted | {"link": "nowhere"}).status_code == 404
    assert page.patch(f"/api/v1/meters/{meter}", json={"adress": "1"}).status_code == 422


def test_the_form_of_a_meter_keeps_what_was_typed_and_says_what_is_wrong(page, story):
    typed = {"address": "12", "link": "south", "protocol": "dlt645-2007", "register_digits": "6", "register_decimals": "2",
             "shows": "secondary", "enabled": "true"}  # fmt: skip
    refused = page.post("/meters/new", data=typed)
    assert refused.status_code == 422
    assert 'value="12"' in refused.text
    assert "12 digits" in refused.text
    kept = page.post("/meters/new", data=typed | {"address": "000000000812"}, follow_redirects=False)
    assert kept.status_code == 303
    form = page.get(kept.headers["location"] + "/edit").text
    assert 'value="000000000812"' in form
    moved = page.post(
        kept.headers["location"] + "/edit", data=typed | {"address": "000000000813", "max_current_a": "80"}
    )
    assert "000000000813" in moved.text


def test_a_meter_whose_edition_nobody_knows_is_entered_as_either(page):
    wanted = {"address": "000000000645", "link": "south", "protocol": "dlt645"}
    made = page.post("/api/v1/meters", json=wanted)
    assert made.status_code == 201
    meter = made.json()["id"]
    form = page.get(f"/meters/{meter}/edit").text
    assert '<option value="dlt645" selected>DL/T 645, found out</option>' in form
    assert "DL/T 645, found out" in page.get(f"/meters/{meter}").text


def test_a_link_is_entered_changed_and_taken_out_of_use(page):
    made = page.post("/api/v1/links", json={"code": "yard", "name": "Yard", "url": "tcp://10.0.0.20:8001"})
    assert made.status_code == 201
    changed = page.patch("/api/v1/links/yard", json={"url": "tcp://10.0.0.21:8001", "enabled": False})
    assert (changed.json()["url"], changed.json()["enabled"]) == ("tcp://10.0.0.21:8001", False)
    assert page.patch("/api/v1/links/yard", json={"url": "carrier-pigeon"}).status_code == 422
    assert page.patch("/api/v1/links/nowhere", json={}).status_code == 404
    form = page.post(
        "/links/yard/edit", data={"name": "Yard", "url": "tcp://10.0.0.22:8001", "enabled": "true"}
    )
    assert "tcp://10.0.0.22:8001" in form.text
    wrong = page.post("/links/-/new", data={"code": "yard", "name": "Again", "url": "tcp://10.0.0.23:8001"})
    assert wrong.status_code == 409
    assert 'value="Again"' in wrong.text


def test_who_may_not_edit_is_offered_no_form(page, story):
    analyst = signed_in(page.app, add_user(story, "reader", Role.ANALYST))
    assert "/meters/24/edit" not in analyst.get("/meters/24").text
    assert analyst.get("/meters/24/edit").status_code == 403
    assert (
        analyst.post("/api/v1/links", json={"code": "x", "name": "x", "url": "tcp://10.0.0.20:1"}).status_code
        == 403
    )


def test_a_limited_user_is_told_why_no_frames_are_shown(page, story):
    with story.database.read() as session:
        registry = Registry(session)
        homes = registry.area_by_code(registry.sites()[0].id, "A1").id
    limited = signed_in(page.app, add_user(story, "warden", Role.OPERATOR, areas=[homes]))
    assert "outside of your areas" in limited.get("/links/south").text
    assert "data-monitor" not in limited.get("/links/south").text
    assert "only of links that carry no meter outside" in limited.get("/links").text
    assert "outside of your areas" not in page.get("/links/south").text


def test_the_charts_words_are_valid_json(page):
    text = page.get("/meters/24").text
    for part in text.split("data-words='")[1:]:
        json.loads(part.split("'")[0].replace("&#39;", "'").replace("&#34;", '"'))
