"""The exception queue: listed, filtered, decided one by one and at once, by those who may, within what they see."""

import csv
import io
import re
from datetime import timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from sqlalchemy import delete, select
from tests.integration.web.conftest import FOUND_ON as DAY
from tests.integration.web.conftest import Town, add_user, finding, signed_in

from wattkeeper.kernel.severity import Severity
from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.readings.validation.models import FindingState, ValidationFinding
from wattkeeper.registry.models import Area
from wattkeeper.security.models import AuditEvent
from wattkeeper.security.rights import Role
from wattkeeper.web.application import create_application

HOME, SHOP = "000000000103", "000000000119"
ENERGY = "active_energy_import"


@pytest.fixture(scope="module")
def town_of_its_own(tmp_path_factory):
    town = Town(tmp_path_factory.mktemp("exceptions"))
    app = create_application(town.services())
    homes = frozenset({_area(town, "A1")})
    roles = {"operator": Role.OPERATOR, "analyst": Role.ANALYST}
    town.browsers = {name: signed_in(app, add_user(town, name, role)) for name, role in roles.items()}
    town.browsers["limited"] = signed_in(app, add_user(town, "limited", Role.OPERATOR, areas=homes))
    high = DAY + timedelta(hours=4)
    readings = [
        {"meter_id": town.meters[HOME], "quantity": "voltage_l1", "read_at": high + timedelta(minutes=5 * n), "value": Decimal(value),
         "status": 0, "source": "polled", "exchange_id": None}
        for n, value in enumerate(("231.0", "253.4", "252.9", "230.8"))
    ]  # fmt: skip
    town.store.append_readings(pa.Table.from_pylist(readings, READING_SCHEMA), town.now)
    yield town
    town.close()


@pytest.fixture
def place(town_of_its_own):
    """The town with three open exceptions, whatever an earlier test decided."""
    town, high = town_of_its_own, DAY + timedelta(hours=4)
    with town.database.write() as session:
        session.execute(delete(ValidationFinding))
    evidence = {
        "readings": [
            {"quantity": "voltage_l1", "read_at": (high + timedelta(minutes=5)).isoformat(), "value": "253.4", "unit": "V", "source": "polled"},
        ],
        "limit": {"parameter": "limit_v", "value": "235.4", "unit": "V", "since": None},
    }  # fmt: skip
    missing = {"expected": 96, "missing": 8, "gap_count": 1, "gaps": [{"from_at": DAY.isoformat(), "to_at": high.isoformat()}]}  # fmt: skip
    town.found = {
        "voltage": finding(
            town, "voltage_high", Severity.WARNING, HOME, quantity="voltage_l1", evidence=evidence
        ),
        "missing": finding(town, "missing", Severity.WARNING, SHOP, quantity=ENERGY, evidence=missing),
        "back": finding(
            town,
            "register_backwards",
            Severity.CRITICAL,
            SHOP,
            quantity=ENERGY,
            evidence={"step_kwh": "-3.2"},
        ),
    }
    return town


def browser(town, name="operator"):
    return town.browsers[name]


def listed(page):
    return re.findall(r'<a href="/exceptions/(\d+)">', page)


def test_the_queue_shows_what_is_open_with_its_evidence_and_narrows_by_each_filter(place):
    operator = browser(place)
    page = operator.get("/exceptions").text
    assert sorted(listed(page)) == sorted(str(found) for found in place.found.values())
    assert "Voltage L1 253.4 V, Limit 235.4 V" in page
    assert "Missing readings 8" in page
    assert '<span class="count" data-state="bad">3</span>' in page
    for query, names in {
        "severity=critical": ["back"],
        "code=missing": ["missing"],
        f"meter={place.meters[HOME]}": ["voltage"],
        "search=0119": ["missing", "back"],
        "since=2026-11-21&until=2026-11-21": ["voltage", "missing", "back"],
        "since=2026-11-22": [],
        "state=accepted": [],
        f"area={_area(place, 'A1')}": ["voltage"],
    }.items():
        found = listed(operator.get(f"/exceptions?{query}").text)
        assert sorted(found) == sorted(str(place.found[name]) for name in names), query
    assert "No exception matches." in operator.get("/exceptions?code=frequency").text


def test_one_exception_shows_a_curve_the_readings_with_their_trace_and_the_rule(place):
    operator = browser(place)
    page = operator.get(f"/exceptions/{place.found['voltage']}").text
    assert '<path d="M' in page
    assert '<line class="limit"' in page
    assert f"/readings/{place.meters[HOME]}/voltage_l1/2026-11-20T20:05:00Z" in page
    assert "A phase voltage is above what supply may have." in page
    gap = operator.get(f"/exceptions/{place.found['missing']}").text
    assert f"/points/{place.points[SHOP]}/days/2026-11-21" in gap
    assert "21 Nov 2026, 00:00 – 21 Nov 2026, 04:00" in gap


def _area(town, code):
    with town.database.read() as session:
        return session.scalars(select(Area.id).where(Area.code == code)).one()


def test_accepting_is_on_record_and_happens_once(place):
    operator = browser(place)
    path = f"/exceptions/{place.found['voltage']}"
    answer = operator.post(f"{path}/accept", data={"note": "The transformer tap was changed"})
    assert answer.status_code == 200
    assert "accepted as right" in answer.text
    assert "The transformer tap was changed" in answer.text
    again = operator.post(f"{path}/accept", data={})
    assert again.status_code == 409
    assert "is accepted already" in again.text
    with place.database.read() as session:
        acts = session.scalars(select(AuditEvent).where(AuditEvent.action == "finding.decide")).all()
        assert [(act.actor_name, act.subject_id) for act in acts] == [
            ("operator", str(place.found["voltage"]))
        ]


def test_several_are_accepted_at_once_and_what_was_decided_meanwhile_is_counted(place):
    operator = browser(place)
    place.services().exceptions.accept(place.found["back"], "", place.now)
    ids = [place.found["missing"], place.found["back"]]
    page = operator.post("/exceptions/accept?state=open", data={"finding": ids, "note": "Works outage"}).text
    assert "1 exceptions accepted. 1 had been decided already." in page
    assert listed(page) == [str(place.found["voltage"])]
    nothing = operator.post("/exceptions/accept", data={}).text
    assert "Tick at least one exception first." in nothing
    one = operator.post("/exceptions/accept", data={"only": place.found["voltage"], "finding": ids}).text
    assert "Nothing is in doubt." in one


def test_who_may_only_look_decides_nothing_and_who_sees_one_area_decides_nothing_beyond(place):
    analyst = browser(place, "analyst")
    assert "Accept" not in analyst.get("/exceptions").text
    path = f"/exceptions/{place.found['missing']}"
    assert analyst.post(f"{path}/accept", data={}).status_code == 403
    assert analyst.post("/exceptions/accept", data={"only": place.found["missing"]}).status_code == 403
    limited = browser(place, "limited")
    assert listed(limited.get("/exceptions").text) == [str(place.found["voltage"])]
    assert limited.get(path).status_code == 404
    assert limited.post(f"{path}/accept", data={}).status_code == 404
    limited.post("/exceptions/accept", data={"only": place.found["missing"]})
    assert place.services().exceptions.finding(place.found["missing"]).state is FindingState.OPEN


def test_the_file_has_what_the_page_shows(place):
    answer = browser(place).get("/exceptions.csv?severity=critical")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == 2
    assert rows[1][:6] == [
        "critical",
        "Register backwards",
        "Register step (kWh) -3.2",
        SHOP,
        "便民超市",
        "Active energy, import",
    ]


def test_the_overview_says_what_of_the_data_needs_somebody(place):
    page = browser(place).get("/").text
    assert "Exceptions in the data, critical: 1" in page
    assert "/exceptions?severity=warning" in page
    assert "Exceptions in the data" not in browser(place, "analyst").get("/").text
