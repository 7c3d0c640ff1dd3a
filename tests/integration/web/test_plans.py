"""Reading plans on their pages and through the API: kept as said, refused beside the field, shown to whom they concern."""

import csv
import io
import re
from html import unescape

import pytest
from sqlalchemy import delete, select
from tests.integration.web.conftest import add_user, signed_in

from wattkeeper.collection.models import ReadingPlan
from wattkeeper.registry.models import Area
from wattkeeper.security.models import AuditEvent
from wattkeeper.security.rights import Role

HOME, SHOP = "000000000100", "000000000119"
"""A household of area A1 on the link north, and a shop of area A2 on the link south."""
FORM = {
    "code": "night", "name": "Carrier by night", "quantities": ["voltage_l1", "active_power"], "every": "2", "unit": "h",
    "offset": "0", "jitter": "30", "window_from": "22:00", "window_until": "06:00", "enabled": "true", "which": "fitting",
    "part": "", "link": "", "protocol": "", "model": "", "addresses": "",
}  # fmt: skip
REGISTERS = {"code": "registers", "name": "Registers", "quantities": ["active_energy_import"], "every_s": 900}


@pytest.fixture(autouse=True)
def no_plans(town):
    yield
    with town.database.write() as session:
        session.execute(delete(ReadingPlan))


@pytest.fixture(scope="module")
def areas(town):
    with town.database.read() as session:
        return {area.code: area.id for area in session.scalars(select(Area))}


@pytest.fixture(scope="module")
def homes(town, browser, areas):
    """An operator of the households only."""
    secret = add_user(town, "plans-of-homes", Role.OPERATOR, areas=frozenset({areas["A1"]}))
    return signed_in(browser.app, secret)


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", page.split("<main", 1)[1])))


def kept(browser) -> list[dict]:
    return browser.get("/api/v1/plans").json()


def test_a_plan_is_kept_as_the_form_says_and_comes_back_in_it(english, areas):
    answer = english.post("/plans/-/new", data=FORM | {"part": f"area:{areas['A1']}"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/plans")
    [plan] = kept(english)
    assert plan | {"id": 0} == {
        "id": 0, "code": "night", "name": "Carrier by night", "quantities": ["voltage_l1", "active_power"], "every_s": 7200,
        "offset_s": 0, "jitter_s": 30, "window": {"from": "22:00:00", "until": "06:00:00"}, "profile": False, "enabled": True,
        "meters": {"listed": None, "site_id": None, "area_id": areas["A1"], "link": None, "protocol": None, "model": None},
        "covered": 19, "next_at": "2026-11-22T14:00:00Z",
    }  # fmt: skip
    row = text_of(english.get("/plans").text).partition("Carrier by night ")[2]
    assert row.startswith(
        "night Voltage L1, Active power, total every 2 h 22:00-06:00 spread over 30 s 1号公变台区 19 22 Nov 2026, 22:00 in use"
    )
    form = english.get(f"/plans/{plan['id']}/edit").text
    assert re.findall(r'name="quantities" value="(\w+)" checked', form) == ["voltage_l1", "active_power"]
    assert f'<option value="area:{areas["A1"]}" selected>' in form
    assert 'value="h" selected' in form
    assert re.search(r'id="window_from"[^>]* value="22:00"', form)


def test_meters_are_named_by_address_and_by_link_where_several_share_one(town, english):
    english.post("/plans/-/new", data=FORM | {"which": "listed", "addresses": f"{HOME}, south/{SHOP}"})
    [plan] = kept(english)
    assert plan["meters"]["listed"] == sorted([town.meters[HOME], town.meters[SHOP]])
    assert f">{HOME} {SHOP}</textarea>" in english.get(f"/plans/{plan['id']}/edit").text


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        pytest.param({"code": " "}, "code", "cannot be the code of a plan", id="code"),
        pytest.param({"name": ""}, "name", "cannot be a name", id="name"),
        pytest.param({"quantities": []}, "quantities", "A plan reads at least one quantity.", id="quantities"),
        pytest.param({"every": "2.5"}, "every", "'2.5' is not a whole number.", id="period no number"),
        pytest.param({"every": "25"}, "every", "once a day at least", id="period too long"),
        pytest.param({"jitter": "7200"}, "jitter", "shorter than its period", id="jitter"),
        pytest.param({"offset": "-1"}, "offset", "'-1' is not a whole number.", id="offset"),
        pytest.param({"window_until": ""}, "window_from", "'' is not a time of day.", id="half a window"),
        pytest.param({"window_until": "22:00"}, "window_from", "no part of a day", id="empty window"),
        pytest.param({"which": "listed", "addresses": "4711"}, "addresses", "do not name one meter each: 000000004711", id="no such meter"),
        pytest.param({"which": "listed"}, "addresses", "The plan names no meter.", id="no meter"),
        pytest.param({"protocol": "m-bus"}, "protocol", "There is no protocol 'm-bus'.", id="protocol"),
        pytest.param({"link": "nowhere"}, "link", "There is no link nowhere.", id="link"),
    ],
)  # fmt: skip
def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(english, wrong, field, said):
    answer = english.post("/plans/-/new", data=FORM | wrong)
    assert answer.status_code == 422
    assert said in unescape(answer.text.partition('id="wrong"')[2].partition("</div></div>")[0])
    if field != "quantities":
        assert re.search(rf'name="{field}"[^>]*aria-invalid="true"', answer.text)
    assert f'value="{(FORM | wrong)["jitter"]}"' in answer.text
    assert kept(english) == []


def test_a_change_is_followed_by_the_list_and_the_audit(town, english):
    english.post("/plans/-/new", data=FORM)
    [plan] = kept(english)
    english.post(f"/plans/{plan['id']}/edit", data=FORM | {"every": "30", "unit": "min", "enabled": ""})
    [changed] = kept(english)
    assert (changed["every_s"], changed["enabled"], changed["next_at"]) == (1800, False, None)
    assert "every 30 min" in text_of(english.get("/plans").text)
    with town.database.read() as session:
        wanted = select(AuditEvent).where(
            AuditEvent.subject_kind == "plan", AuditEvent.action == "plan.change"
        )
        act = session.scalars(wanted.order_by(AuditEvent.id.desc())).first()
        assert (act.actor_name, act.before, act.after) == (
            "chief",
            {"every_s": 7200, "enabled": True},
            {"every_s": 1800, "enabled": False},
        )


def test_the_only_plan_stays_and_another_can_be_deleted(english):
    english.post("/plans/-/new", data=FORM)
    [plan] = kept(english)
    refused = english.post(f"/plans/{plan['id']}/delete")
    assert refused.status_code == 409
    assert "Disable it instead" in text_of(refused.text)
    english.post("/api/v1/plans", json=REGISTERS)
    english.post(f"/plans/{plan['id']}/delete")
    assert [plan["code"] for plan in kept(english)] == ["registers"]


def test_a_meter_tells_which_plans_read_it(town, english, areas):
    english.post("/plans/-/new", data=FORM | {"part": f"area:{areas['A2']}"})
    english.post("/api/v1/plans", json=REGISTERS | {"enabled": False})
    [disabled, *_], [night] = (
        [plan for plan in kept(english) if plan["code"] == code] for code in ("registers", "night")
    )
    assert not disabled["enabled"]
    link = f'<dt>Read by</dt><dd><a href="/plans#plan-{night["id"]}">Carrier by night</a></dd>'
    assert link in english.get(f"/meters/{town.meters[SHOP]}").text
    assert "<dt>Read by</dt>" not in english.get(f"/meters/{town.meters[HOME]}").text


def test_the_api_keeps_changes_and_deletes_what_the_page_shows(english, town):
    made = english.post("/api/v1/plans", json=REGISTERS | {"meters": {"link": "north", "model": "DDZY"}})
    assert made.status_code == 201
    plan = made.json()
    assert (plan["meters"]["link"], plan["covered"]) == ("north", 14)
    changed = english.patch(
        f"/api/v1/plans/{plan['id']}",
        json={"window": {"from": "22:00", "until": "06:00"}, "meters": {"listed": [town.meters[HOME]]}},
    ).json()
    assert changed == plan | {
        "window": {"from": "22:00:00", "until": "06:00:00"},
        "meters": dict.fromkeys(plan["meters"]) | {"listed": [town.meters[HOME]]},
        "covered": 1,
        "next_at": "2026-11-22T14:00:00Z",
    }
    assert english.get(f"/api/v1/plans/{plan['id']}").json() == changed
    assert english.post("/api/v1/plans", json=REGISTERS).status_code == 409
    other = english.post("/api/v1/plans", json=REGISTERS | {"code": "other"}).json()
    assert english.delete(f"/api/v1/plans/{other['id']}").status_code == 204
    assert english.get(f"/api/v1/plans/{other['id']}").status_code == 404
    assert english.delete(f"/api/v1/plans/{plan['id']}").json()["type"] == "urn:wattkeeper:problem:last-plan"


@pytest.mark.parametrize(
    ("said", "status", "part"),
    [
        pytest.param({"quantities": ["volltage"]}, 422, "volltage", id="quantity"),
        pytest.param({"every_s": 0}, 422, "every_s", id="period"),
        pytest.param({"jitter_s": 900}, 422, "shorter than its period", id="jitter"),
        pytest.param({"meters": {"link": "nowhere"}}, 404, "no link nowhere", id="link"),
        pytest.param({"meters": {"area_id": 4711}}, 404, "no area 4711", id="area"),
        pytest.param({"meters": {"listed": [1], "link": "north"}}, 422, "not both", id="a list and a link"),
        pytest.param({"window": {"from": "06:00", "until": "06:00"}}, 422, "no part of a day", id="window"),
    ],
)
def test_the_api_says_what_cannot_be(english, said, status, part):
    answer = english.post("/api/v1/plans", json=REGISTERS | said)
    assert (answer.status_code, part in answer.json()["detail"]) == (status, True)


def test_a_plan_beyond_ones_areas_is_not_there(english, homes, areas):
    english.post("/api/v1/plans", json=REGISTERS)
    english.post("/plans/-/new", data=FORM | {"part": f"area:{areas['A2']}"})
    night, registers = kept(english)
    assert [(plan["code"], plan["covered"]) for plan in kept(homes)] == [("registers", 19)]
    assert "Carrier by night" not in homes.get("/plans").text
    assert homes.get(f"/api/v1/plans/{night['id']}").status_code == 404
    assert homes.get(f"/api/v1/plans/{registers['id']}").status_code == 200
    assert homes.get("/plans/-/new").status_code == 403
    assert homes.patch(f"/api/v1/plans/{registers['id']}", json={"every_s": 60}).status_code == 403


def test_the_list_leaves_as_a_file(english):
    english.post("/plans/-/new", data=FORM | {"link": "north"})
    rows = list(csv.reader(io.StringIO(english.get("/plans.csv").content.decode("utf-8-sig"))))
    assert rows[1] == [
        "night", "Carrier by night", "in use", "voltage_l1, active_power", "2 h", "30 s", "22:00-06:00", "no", "北区集中", "14",
    ]  # fmt: skip


def test_the_plans_that_come_with_an_installation_have_names_in_both_languages(client, english):
    english.post("/api/v1/plans", json=REGISTERS | {"name": "Energy registers and load record"})
    assert "电能示数与负荷记录" in client.get("/plans").text
    assert "Energy registers and load record" in english.get("/plans").text
