"""Editing through the API: two people, what is refused, and what anybody can see of it afterwards."""

from datetime import timedelta

import pytest
from starlette.testclient import TestClient
from tests.integration.web.conftest import Town, add_user, signed_in

from wattkeeper.registry.models import Area
from wattkeeper.security.rights import Right, Role
from wattkeeper.web.application import create_application

ONE = "000000000100"
KEY = "active_energy_import"


@pytest.fixture(scope="module")
def own_town(tmp_path_factory):
    """A town whose readings are this module's to change."""
    built = Town(tmp_path_factory.mktemp("edited"))
    yield built
    built.close()


@pytest.fixture(scope="module")
def app(own_town):
    with TestClient(create_application(own_town.services())) as opened:
        yield opened.app


@pytest.fixture(scope="module")
def secrets(own_town):
    with own_town.database.read() as session:
        trade = session.query(Area.id).where(Area.code == "A2").scalar()
    return {
        "wang": add_user(own_town, "wang", Role.OPERATOR),
        "li": add_user(own_town, "li", Role.OPERATOR),
        "analyst": add_user(own_town, "analyst", Role.ANALYST),
        "trade": add_user(own_town, "trade", Role.OPERATOR, areas=frozenset({trade})),
    }


@pytest.fixture
def wang(app, secrets):
    return signed_in(app, secrets["wang"])


@pytest.fixture
def li(app, secrets):
    return signed_in(app, secrets["li"])


def slot(town, back: int) -> str:
    """The start of a quarter hour some days ago, for each test another."""
    at = town.now.replace(minute=0, second=0, microsecond=0) - timedelta(days=back)
    return at.isoformat().replace("+00:00", "Z")


def asked(client, town, back: int, value: str = "12.5000", **more):
    body = {
        "reason": "display photographed",
        "readings": [
            {"meter_id": town.meters[ONE], "quantity": KEY, "read_at": slot(town, back), "value": value}
        ],
    } | more
    answer = client.post("/api/v1/edits", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def versions(client, town, back: int):
    query = {"quantity": KEY, "at": slot(town, back)}
    return client.get(f"/api/v1/meters/{town.meters[ONE]}/reading-versions", params=query).json()


def refused(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def test_a_reading_is_edited_by_two_and_undone_by_two(own_town, wang, li):
    (before,) = versions(wang, own_town, 3)
    edit = asked(wang, own_town, 3)
    path = f"/api/v1/edits/{edit['id']}"
    assert (edit["state"], edit["values"], edit["proposed_by"]) == ("proposed", 1, "wang")
    assert refused(wang.post(f"{path}/approve", json={})) == (409, "second-reader-needed")
    assert li.post(f"{path}/approve", json={"note": "Seen."}).json()["state"] == "applied"
    (row,) = wang.get(f"{path}/diff").json()["items"]
    assert (row["before"]["value"], row["wanted"], row["now"]["source"]) == (
        before["value"],
        "12.5000",
        "edited",
    )
    assert li.post(f"{path}/undo", json={"reason": "The photograph was of another meter."}).status_code == 200
    assert refused(li.post(f"{path}/approve", json={})) == (409, "second-reader-needed")
    assert wang.post(f"{path}/approve", json={}).json()["state"] == "undone"
    now, edited, first = versions(wang, own_town, 3)
    assert (now["value"], now["undone"]["id"], now["superseded_at"]) == (before["value"], edit["id"], None)
    assert (edited["value"], edited["edit"]["reason"]) == ("12.5000", "display photographed")
    assert first["superseded_at"] == edited["recorded_at"]
    told = [(step["state"], step["by"], step["note"]) for step in wang.get(path).json()["steps"]]
    assert told == [
        ("proposed", "wang", "display photographed"),
        ("approved", "li", "Seen."),
        ("applied", "system", None),
        ("undo_proposed", "li", "The photograph was of another meter."),
        ("undo_approved", "wang", None),
        ("undone", "system", None),
    ]


def test_an_interval_is_edited_and_its_versions_are_told(own_town, wang, li):
    wanted = {
        "point_id": own_town.points[ONE],
        "quantity": KEY,
        "start_at": slot(own_town, 5),
        "energy": "0.7500",
    }
    edit = wang.post("/api/v1/edits", json={"reason": "meter was out", "intervals": [wanted]}).json()
    li.post(f"/api/v1/edits/{edit['id']}/approve", json={})
    query = {"quantity": KEY, "at": slot(own_town, 5)}
    found = wang.get(f"/api/v1/points/{own_town.points[ONE]}/interval-versions", params=query).json()
    assert [(row["source"], row["edit"] and row["edit"]["id"]) for row in found] == [
        ("edited", edit["id"]),
        ("measured", None),
    ]
    assert found[0]["value"] == "0.7500"


def test_what_is_wrong_is_said_and_nothing_is_written(own_town, wang):
    reading = {"meter_id": own_town.meters[ONE], "quantity": KEY, "read_at": slot(own_town, 1), "value": "1"}
    interval = {
        "point_id": own_town.points[ONE],
        "quantity": KEY,
        "start_at": slot(own_town, 1),
        "energy": "1",
    }
    for body, status in (
        ({"reason": "x", "readings": [reading], "intervals": [interval]}, 422),
        ({"reason": "x"}, 422),
        ({"reason": " ", "readings": [reading]}, 422),
        ({"reason": "x", "readings": [reading | {"value": "1.00001"}]}, 422),
        ({"reason": "x", "readings": [reading | {"quantity": "no_such"}]}, 404),
        ({"reason": "x", "intervals": [interval | {"start_at": "2026-10-01T00:07:00Z"}]}, 422),
    ):
        assert wang.post("/api/v1/edits", json=body).status_code == status, body
    assert len(versions(wang, own_town, 1)) == 1


def test_refusing_takes_a_reason_and_ends_it(own_town, wang, li):
    edit = asked(wang, own_town, 7)
    path = f"/api/v1/edits/{edit['id']}"
    assert li.post(f"{path}/refuse", json={"reason": " "}).status_code == 422
    assert li.post(f"{path}/refuse", json={"reason": "No photograph."}).json()["state"] == "refused"
    assert refused(li.post(f"{path}/approve", json={})) == (409, "edit-decided")
    assert refused(wang.post(f"{path}/undo", json={"reason": "It is wrong."})) == (409, "edit-decided")
    withdrawn = asked(wang, own_town, 8)["id"]
    assert wang.post(f"/api/v1/edits/{withdrawn}/withdraw", json={}).json()["state"] == "withdrawn"
    waiting = wang.get("/api/v1/edits", params={"state": "proposed"}).json()["items"]
    assert not {edit["id"], withdrawn} & {row["id"] for row in waiting}


def test_who_lacks_the_right_looks_and_who_lacks_the_area_sees_nothing(app, own_town, secrets, wang):
    edit = asked(wang, own_town, 9)
    path = f"/api/v1/edits/{edit['id']}"
    analyst, trade = (signed_in(app, secrets[name]) for name in ("analyst", "trade"))
    assert analyst.get(path).status_code == 200
    assert refused(analyst.post(f"{path}/approve", json={})) == (403, "forbidden")
    assert trade.get(path).status_code == 404
    assert refused(trade.post(f"{path}/approve", json={})) == (404, "unknown-edit")
    assert trade.get("/api/v1/edits").json()["items"] == []
    query = {"quantity": KEY, "at": slot(own_town, 9)}
    assert (
        trade.get(f"/api/v1/meters/{own_town.meters[ONE]}/reading-versions", params=query).status_code == 404
    )


def test_no_token_agrees(app, own_town, secrets, wang):
    owner = own_town.security.sign_in.principal(secrets["li"], now=own_town.now)
    rights = frozenset({Right.READINGS_EDIT, Right.READINGS_APPROVE, Right.METERS_VIEW})
    until = own_town.now + timedelta(days=1)
    _, secret = own_town.security.tokens.create(
        owner, name="robot", rights=rights, expires_at=until, now=own_town.now
    )
    robot = TestClient(app, headers={"authorization": f"Bearer {secret}"})
    edit = asked(wang, own_town, 10)
    for act, said in (("approve", {}), ("refuse", {"reason": "No."})):
        assert refused(robot.post(f"/api/v1/edits/{edit['id']}/{act}", json=said)) == (403, "forbidden")
    assert asked(robot, own_town, 11)["proposed_by"] == "li (robot)"


def test_the_list_goes_on_page_by_page(own_town, wang):
    made = [asked(wang, own_town, 12 + n)["id"] for n in range(3)]
    query = {"meter_id": own_town.meters[ONE], "limit": 2}
    first = wang.get("/api/v1/edits", params=query).json()
    second = wang.get("/api/v1/edits", params=query | {"after": first["next"]}).json()
    assert [row["id"] for row in first["items"] + second["items"]][:3] == made[::-1]
