"""Validation over the API: what the rules found in the town's readings, decided by those who may, set by administrators."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from sqlalchemy import select
from tests.integration.web.conftest import Town, add_user, signed_in

from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.readings.validation.service import ValidationService
from wattkeeper.registry.models import Area
from wattkeeper.security.models import AuditEvent
from wattkeeper.security.rights import Role
from wattkeeper.web.application import create_application

HOME, SHOP = "000000000103", "000000000119"
DAY = datetime(2026, 11, 20, 16, tzinfo=UTC)
"""The first instant of 21 November in Shanghai."""
FINDINGS, RULES = "/api/v1/validation/findings", "/api/v1/validation/rules"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The town, whose readings were validated after two voltages at a home and two at a shop went too high."""
    town = Town(tmp_path_factory.mktemp("validation"))
    app = create_application(town.services())
    with town.database.read() as session:
        homes = frozenset({session.scalars(select(Area.id).where(Area.code == "A1")).one()})
    town.browsers = {
        "administrator": signed_in(app, add_user(town, "admin", Role.ADMINISTRATOR)),
        "operator": signed_in(app, add_user(town, "operator", Role.OPERATOR)),
        "analyst": signed_in(app, add_user(town, "analyst", Role.ANALYST)),
        "limited": signed_in(app, add_user(town, "limited", Role.OPERATOR, areas=homes)),
    }
    rows = [
        {
            "meter_id": town.meters[address],
            "quantity": "voltage_l1",
            "read_at": DAY + timedelta(minutes=15 * n),
            "value": Decimal(value),
            "status": 0,
            "source": "polled",
            "exchange_id": 4711,
        }
        for address in (HOME, SHOP)
        for n, value in enumerate(("231.0", "253.4", "252.9"))
    ]
    town.store.append_readings(pa.Table.from_pylist(rows, READING_SCHEMA), town.now)
    town.service = ValidationService(town.database, town.store)
    town.service.validate_pending(town.now)
    yield town
    town.close()


def high(place, who="operator", **wanted):
    answer = place.browsers[who].get(FINDINGS, params={"code": "voltage_high"} | wanted)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_finding_comes_with_its_evidence_and_its_page(place):
    found = {item["meter"]: item for item in high(place)["items"]}
    item = found[HOME]
    assert (item["severity"], item["state"], item["quantity"]) == ("warning", "open", "voltage_l1")
    assert (item["start"], item["end"]) == ("2026-11-20T16:00:00Z", "2026-11-21T16:00:00Z")
    assert item["page"] == f"/exceptions/{item['id']}"
    assert item["evidence"]["limit"] == {"parameter": "limit_v", "value": "235.4", "unit": "V", "since": None}
    assert item["evidence"]["readings"][0]["exchange_id"] == "4711"
    one = place.browsers["operator"].get(f"{FINDINGS}/{item['id']}", headers={"accept-language": "en"}).json()
    assert one == item | {"name": "Voltage high"}


def test_a_list_is_narrowed_and_goes_on(place):
    browser = place.browsers["operator"]
    first = high(place, limit=1)
    second = high(place, limit=1, after=first["next"])
    assert first["total"] == 2
    assert {first["items"][0]["meter"], second["items"][0]["meter"]} == {HOME, SHOP}
    assert second["next"] is None
    assert high(place, search=SHOP)["total"] == 1
    assert high(place, start="2026-11-21T16:00:00Z")["total"] == 0
    assert high(place, end="2026-11-20T16:00:00Z")["total"] == 0
    counts = browser.get(f"{FINDINGS}/counts").json()
    assert counts["by_code"]["voltage_high"] == 2
    assert counts["total"] == sum(counts["by_severity"].values())
    assert browser.get(FINDINGS, params={"after": "nonsense"}).status_code == 422


def test_what_lies_out_of_scope_is_not_there(place):
    assert [item["meter"] for item in high(place, "limited")["items"]] == [HOME]
    (shop,) = high(place, search=SHOP)["items"]
    assert place.browsers["limited"].get(f"{FINDINGS}/{shop['id']}").status_code == 404


def test_an_operator_decides_once_and_it_is_written_down(place):
    (shop,) = high(place, search=SHOP)["items"]
    decide = f"{FINDINGS}/{shop['id']}/decide"
    assert place.browsers["analyst"].post(decide, json={}).status_code == 403
    answer = place.browsers["operator"].post(decide, json={"decision": "accepted", "note": "tap changed"})
    assert (answer.json()["state"], answer.json()["note"]) == ("accepted", "tap changed")
    assert place.browsers["operator"].post(decide, json={}).status_code == 409
    assert place.browsers["operator"].post(f"{FINDINGS}/999999/decide", json={}).status_code == 404
    with place.database.read() as session:
        (act,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "finding.decide"))
        assert (act.subject_name, act.after["note"]) == (f"voltage_high {SHOP}", "tap changed")


def test_every_rule_tells_its_parameters_in_the_visitors_language(place):
    told = {
        language: {rule["code"]: rule for rule in place.browsers["analyst"].get(RULES, headers={"accept-language": language}).json()}
        for language in ("zh", "en")
    }  # fmt: skip
    assert (told["zh"]["missing"]["name"], told["en"]["missing"]["name"]) == ("缺数", "Missing readings")
    enabled, limit, *_ = told["en"]["power_factor"]["parameters"]
    assert (enabled["key"], limit["default"], limit["default_by_kind"]) == (
        "enabled",
        "0",
        {"factory": "0.9", "shop": "0.85"},
    )


def test_an_administrator_sets_a_parameter_from_a_day_on_and_findings_follow(place):
    wanted = {"parameter": "limit_v", "value": "260", "valid_from": DAY.isoformat()}
    for who in ("operator", "analyst"):
        assert place.browsers[who].post(f"{RULES}/voltage_high/parameters", json=wanted).status_code == 403
    administrator = place.browsers["administrator"]
    kept = administrator.post(f"{RULES}/voltage_high/parameters", json=wanted)
    assert (kept.status_code, kept.json()["set_by"], kept.json()["point_kind"]) == (201, "admin", "*")
    assert administrator.post(f"{RULES}/voltage_high/parameters", json=wanted).status_code == 409
    place.service.validate_pending(place.now)
    assert [item["meter"] for item in high(place, state="cleared")["items"]] == [HOME]
    assert high(place, state="accepted")["total"] == 1
    assert [row["value"] for row in administrator.get("/api/v1/validation/parameters").json()] == ["260.0000"]


@pytest.mark.parametrize(
    ("code", "change", "status"),
    [
        ("no_such_rule", {}, 404),
        ("voltage_high", {"parameter": "limit_kv"}, 422),
        ("voltage_high", {"point_kind": "castle"}, 422),
        ("voltage_high", {"value": "1.00001"}, 422),
        ("voltage_high", {"parameter": "enabled", "value": "2"}, 422),
        ("voltage_high", {"valid_from": "2026-11-21T00:00:00"}, 422),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_with_a_reason(place, code, change, status):
    wanted = {
        "parameter": "limit_v",
        "value": "250",
        "valid_from": (DAY - timedelta(days=9)).isoformat(),
    } | change
    answer = place.browsers["administrator"].post(f"{RULES}/{code}/parameters", json=wanted)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]
