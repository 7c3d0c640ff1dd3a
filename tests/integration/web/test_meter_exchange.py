"""Recording a meter exchange by form and by the API, up to the energy that crosses it."""

import re
from datetime import datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from tests.integration.web.conftest import ZONE, Town, add_user, signed_in

from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.registry.repository import Registry
from wattkeeper.security.rights import Role
from wattkeeper.web.application import create_application

AT = datetime(2026, 11, 22, 16, 7, tzinfo=ZONE)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    town = Town(tmp_path_factory.mktemp("exchanged"))
    with town.database.write() as session:
        registry = Registry(session)
        site = registry.sites()[0]
        town.bare = registry.add_point(
            site_id=site.id, code="P950", name="水泵房", area_id=registry.area_by_code(site.id, "A2").id
        ).id
        registry.add_meter(address="000000000949", link_id=town.links["north"], max_current_a=Decimal(40))
    yield town
    town.close()


@pytest.fixture(scope="module")
def page(here):
    return signed_in(create_application(here.services()), add_user(here, "chief", Role.ADMINISTRATOR))


def api(page, point, *, key=None, **wanted):
    headers = {"idempotency-key": key} if key else None
    return page.post(f"/api/v1/points/{point}/exchange", json=wanted, headers=headers)


def typed(**more):
    return {"at": "2026-11-22T16:07", "last_register": "100.25", "address": "000000000941", "first_register": "0", "link": "north",
            "protocol": "dlt645-2007", "register_digits": "6", "register_decimals": "2", "shows": "secondary", "ct_ratio": "1",
            "pt_ratio": "1"} | more  # fmt: skip


def measured(here, meter, *registers):
    rows = [
        {"meter_id": meter, "quantity": "active_energy_import", "read_at": AT.replace(minute=minute), "value": Decimal(value),
         "status": 0, "source": "meter", "exchange_id": None}
        for minute, value in registers
    ]  # fmt: skip
    here.store.append_readings(pa.Table.from_pylist(rows, READING_SCHEMA), here.now)


def test_energy_goes_on_across_an_exchange_that_the_api_records(here, page):
    """From 16:00 to 16:07 the old meter counts 100.5 - 100 kWh, then the new one (5.25 - 5) kWh times 3: 1.25 kWh."""
    meter = {"address": "000000000930", "link": "north"}
    first = api(
        page, here.bare, at=(AT - timedelta(minutes=37)).isoformat(), meter=meter, first_register="99"
    )
    assert (first.status_code, first.json()["point_id"], first.json()["address"]) == (
        201,
        here.bare,
        "000000000930",
    )
    wanted = {"at": AT.isoformat(), "meter": meter | {"address": "000000000931"}, "last_register": "100.5",
              "first_register": "5", "ct_ratio": "3"}  # fmt: skip
    new = api(page, here.bare, key="exchange-of-P950", **wanted)
    assert (new.status_code, new.json()["point_id"], new.json()["address"]) == (
        201,
        here.bare,
        "000000000931",
    )
    again = api(page, here.bare, key="exchange-of-P950", **wanted)
    assert (again.status_code, again.json()["id"]) == (201, new.json()["id"])
    measured(here, first.json()["id"], (0, "100"))
    measured(here, new.json()["id"], (15, "5.25"), (30, "6.25"))
    here.intervals.derive_pending(here.now)
    asked = {"start": "2026-11-22T16:00:00+08:00", "end": "2026-11-22T16:30:00+08:00"}
    curve = page.get(f"/api/v1/points/{here.bare}/load-curve", params=asked).json()
    assert [Decimal(value) for value in curve["energy_kwh"]] == [Decimal("1.25"), Decimal(3)]
    events = page.get(f"/api/v1/meters/{new.json()['id']}/events").json()
    assert "exchanged" in {event["kind"] for event in events}
    acts = page.get("/audit").text
    assert "recorded the exchange of a meter" in acts
    assert "installed a meter" in acts


def test_the_api_says_what_cannot_be(here, page):
    point = here.points["000000000102"]
    wanted = {"at": AT.isoformat(), "meter": {"address": "000000000935", "link": "north"}, "last_register": "100", "first_register": "0"}  # fmt: skip
    taken = api(page, point, **wanted | {"meter": {"address": "000000000103", "link": "north"}})
    assert (taken.status_code, taken.json()["type"]) == (409, "urn:wattkeeper:problem:installed-elsewhere")
    assert taken.json()["detail"] == (
        "Meter 000000000103 is installed at metering point P003, since 2026-10-01 00:00 and still."
    )
    late = api(page, point, **wanted | {"at": "2026-11-22T18:00:00+08:00"})
    assert (late.status_code, late.json()["detail"]) == (422, "2026-11-22 18:00 lies in the future.")
    for wrong, status in (
        ({"at": "2026-11-22T16:07:00"}, 422),  # no zone
        ({"at": "0001-01-01T00:00:00+14:00"}, 422),
        ({"first_register": "1000000"}, 422),
        ({"meter": {"address": "000000000935", "link": "nowhere"}}, 404),
        ({"meter": {"address": "000000000935", "link": "north", "adress": "1"}}, 422),
    ):
        assert api(page, point, **wanted | wrong).status_code == status, wrong
    assert api(page, 4711, **wanted).status_code == 404
    with here.database.read() as session:
        assert Registry(session).meters_by_address("000000000935") == []


def test_the_form_leads_from_the_old_meter_to_the_new_one(here, page):
    old, point = here.meters["000000000123"], here.points["000000000123"]
    text = page.get(f"/meters/{old}").text
    assert f'href="/points/{point}/exchange"' in text
    assert "Record an exchange" in text
    form = page.get(f"/points/{point}/exchange").text
    assert 'value="2026-11-22T17:37"' in form  # now, in the site's time
    assert '<option value="works" selected>' in form  # like the old one
    assert 'name="ct_ratio" value="40"' in form
    kept = page.post(
        f"/points/{point}/exchange", data=typed(ct_ratio="40", link="works"), follow_redirects=False
    )
    assert kept.status_code == 303
    new = page.get(kept.headers["location"]).text
    assert "000000000941" in new
    assert "华东精密机械厂" in new
    gone = page.get(f"/meters/{old}").text
    assert "was taken down from 华东精密机械厂" in gone
    assert "/exchange" not in gone.split('class="actions"')[1].split("</div>")[0]
    with here.database.read() as session:
        there = Registry(session).installations(point_ids=[point])
    assert [
        (item.period.start, item.first_register, item.last_register, item.ratio) for item in there[1:]
    ] == [(AT, Decimal(0), None, Decimal(40))]
    assert (there[0].period.end, there[0].last_register) == (AT, Decimal("100.25"))


@pytest.mark.parametrize(
    ("wrong", "field", "sentences"),
    [
        ({"at": "2026-11-22T17:38"}, "at", ("2026-11-22 17:38 lies in the future.", "换表时间不可能是这个时刻。")),
        ({"at": "tomorrow"}, "at", ("is not a date and time", "换表时间不可能是这个时刻。")),
        ({"last_register": "1000000"}, "last_register", ("shows 6 digits", "旧表不可能显示这个读数。")),
        ({"first_register": "much"}, "first_register", ("is not a number that a meter shows", "新表不可能显示这个读数。")),
        ({"first_register": "1e999999"}, "first_register", ("is not a number that a meter shows", "新表不可能显示这个读数。")),
        ({"ct_ratio": "0"}, "ct_ratio", ("A ratio of 0 is impossible", "不可能是这个变比。")),
        ({"address": "12"}, "address", ("12 digits", "表号不正确。")),
        ({"address": "000000000949", "max_current_a": "60"}, "max_current_a", ("is on record already, with max_current_a 40", "该电表已有档案，此项与档案不符。")),
        ({"address": "000000000103", "model": "another"}, "address", ("is installed at metering point P003", "该电表已安装在另一个计量点。")),
    ],
)  # fmt: skip
def test_what_is_wrong_stands_beside_its_field_in_both_languages(here, page, wrong, field, sentences):
    path = f"/points/{here.points['000000000101']}/exchange"
    for language, sentence in zip(("en", "zh-CN"), sentences, strict=True):
        answer = page.post(path, data=typed() | wrong, headers={"accept-language": language})
        assert answer.status_code in {409, 422}
        (beside,) = re.findall(r'<div class="field">(?:(?!class="field").)*id="wrong".*?</div></div></div>', answer.text, re.DOTALL)  # fmt: skip
        assert f'name="{field}"' in beside
        assert 'aria-invalid="true"' in beside
        assert sentence in beside
        assert f'value="{(typed() | wrong)[field]}"' in beside
        assert answer.text.count('class="notice bad"') == 1


def test_a_point_without_a_meter_is_offered_its_first(here, page):
    with here.database.write() as session:
        registry = Registry(session)
        site = registry.sites()[0]
        area = registry.area_by_code(site.id, "A2").id
        bare = registry.add_point(site_id=site.id, code="P951", name="配电室", area_id=area).id
    assert f'href="/points/{bare}/exchange">Install a meter' in page.get(f"/areas/{area}/points").text
    form = page.get(f"/points/{bare}/exchange").text
    assert "<h1>Install a meter</h1>" in form
    assert 'name="last_register"' not in form
    kept = page.post(f"/points/{bare}/exchange", data=typed(last_register="", address="000000000951"))
    assert "配电室" in kept.text


def test_who_may_not_edit_is_offered_no_exchange(here, page):
    analyst = signed_in(page.app, add_user(here, "reader", Role.ANALYST))
    meter, point = here.meters["000000000101"], here.points["000000000101"]
    assert '/exchange"' not in analyst.get(f"/meters/{meter}").text
    assert analyst.get(f"/points/{point}/exchange").status_code == 403
    assert analyst.post(f"/points/{point}/exchange", data=typed()).status_code == 403
    assert api(analyst, point).status_code == 403
