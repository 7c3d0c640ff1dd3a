"""Commands to meters through the API and the console: two people, what is refused and why, and what became of each."""

import re
from datetime import timedelta
from html import unescape

import pytest
from starlette.testclient import TestClient
from tests.integration.web.conftest import Town, add_user, signed_in

from wattkeeper.collection.commands.kinds import CommandKind, CommandState, Outcome
from wattkeeper.collection.commands.ledger import CommandLedger
from wattkeeper.collection.commands.service import CommandService
from wattkeeper.collection.commands.values import CommandNews, CommandOptions, ControlState
from wattkeeper.collection.drivers import check_command
from wattkeeper.registry.models import Area
from wattkeeper.security.rights import Right, Role
from wattkeeper.web.application import create_application
from wattkeeper.web.language import language
from wattkeeper.web.live import Batch, Sight
from wattkeeper.web.queries.command_words import KINDS, MEANINGS, OUTCOMES, STATES

ONE, TWO, THREE, KEEPING = "000000000100", "000000000101", "000000000102", "000000000103"


@pytest.fixture(scope="module")
def own_town(tmp_path_factory):
    """A town whose commands are this module's alone."""
    built = Town(tmp_path_factory.mktemp("commanded"))
    with built.database.write() as session:
        CommandLedger(session).save_control(
            built.meters[KEEPING],
            ControlState(relay_open=False, keep_power=True),
            now=built.now,
            exchange_id=None,
        )
    yield built
    built.close()


@pytest.fixture(scope="module")
def app(own_town):
    with TestClient(create_application(own_town.services())) as opened:
        yield opened.app


@pytest.fixture(scope="module")
def secrets(own_town):
    with own_town.database.read() as session:
        home = session.query(Area.id).where(Area.code == "A1").scalar()
    return {
        "wang": add_user(own_town, "wang", Role.OPERATOR),
        "li": add_user(own_town, "li", Role.OPERATOR),
        "clerk": add_user(own_town, "clerk", Role.CLERK),
        "home": add_user(own_town, "home", Role.OPERATOR, areas=frozenset({home})),
    }


@pytest.fixture
def wang(app, secrets):
    return signed_in(app, secrets["wang"])


@pytest.fixture
def li(app, secrets):
    return signed_in(app, secrets["li"])


def asked(client, *addresses, kind="trip", reason="Debt of two months", **more):
    """A batch that was asked through the API."""
    body = {"kind": kind, "addresses": list(addresses), "reason": reason, **more}
    answer = client.post("/api/v1/command-batches", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def refused(answer) -> tuple[int, str]:
    """Status and kind of a problem."""
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def told(client, address: str) -> list[str]:
    """The batches that the history of a meter lists."""
    page = client.get(address).text.partition("<tbody>")[2]
    return re.findall(r'<td data-label="Command"><a href="/commands/(\d+)">', page)


def test_the_history_is_narrowed_to_a_meter(wang):
    first = asked(wang, ONE, kind="alarm_on")["id"]
    both = asked(wang, ONE, TWO, kind="alarm_off")["id"]
    assert told(wang, f"/commands?meter={TWO}")[:1] == [str(both)]
    assert str(first) not in told(wang, f"/commands?meter={TWO}")
    assert told(wang, f"/commands?meter={ONE.lstrip('0')}")[:2] == [str(both), str(first)]
    assert told(wang, f"/commands?meter={ONE}&kind=alarm_on")[:1] == [str(first)]
    assert "No command matches." in wang.get("/commands?meter=4711").text
    assert ONE not in wang.get(f"/commands.csv?meter={TWO}&kind=alarm_on").text


# -- the API ------------------------------------------------------------------------------------------------------------


def test_a_trip_waits_for_a_second_person_and_who_asked_cannot_agree(wang, li):
    batch = asked(wang, ONE, TWO, THREE)
    assert (batch["counts"], batch["waits_for_decision"], batch["asked_by"]) == ({"asked": 3}, True, "wang")
    path = f"/api/v1/command-batches/{batch['id']}"
    assert refused(wang.post(f"{path}/approve", json={})) == (409, "second-person-needed")
    assert wang.get(path).json()["counts"] == {"asked": 3}
    agreed = li.post(f"{path}/approve", json={"note": "I know the list."}).json()
    assert (agreed["counts"], agreed["decision"], agreed["decided_by"], agreed["decision_note"]) == (
        {"approved": 3}, "approved", "li", "I know the list.",
    )  # fmt: skip
    assert refused(li.post(f"{path}/approve", json={})) == (409, "too-late")
    taken = wang.post(f"{path}/withdraw", json={"note": "They paid."}).json()
    assert (taken["counts"], taken["ended"], taken["decision"]) == ({"withdrawn": 3}, 3, "approved")


def test_the_audit_says_who_asked_and_who_agreed_in_words(app, own_town, wang, li):
    batch = asked(wang, ONE, reason="For the record")
    li.post(f"/api/v1/command-batches/{batch['id']}/reject", json={"note": "Paid meanwhile"})
    chief = signed_in(app, add_user(own_town, "auditor", Role.ADMINISTRATOR), language="zh-CN")
    rows = [re.sub(r"<[^>]+>", " ", row) for row in chief.get("/audit").text.split("<tr")]
    mine = [" ".join(unescape(row).split()) for row in rows if "For the record" in row]
    assert [re.search(r"(?<!\w)(wang|li) .*?(\w+了命令)", row).groups() for row in mine] == [
        ("li", "驳回了命令"),
        ("wang", "申请了命令"),
    ]
    assert all("跳闸" in row and "trip" not in row for row in mine)


def test_a_second_person_refuses_and_nothing_can_be_sent_any_more(wang, li):
    batch = asked(wang, ONE)
    path = f"/api/v1/command-batches/{batch['id']}"
    assert refused(wang.post(f"{path}/reject", json={})) == (409, "second-person-needed")
    assert li.post(f"{path}/reject", json={"note": "Not this one."}).json()["counts"] == {"rejected": 1}
    assert refused(wang.post(f"{path}/withdraw", json={})) == (409, "too-late")


def test_no_token_agrees_not_even_one_with_the_right(own_town, app, wang, secrets):
    owner = own_town.security.sign_in.principal(secrets["li"], now=own_town.now)
    _, secret = own_town.security.tokens.create(
        owner,
        name="robot",
        rights=frozenset({Right.COMMANDS_VIEW, Right.COMMANDS_ASK, Right.COMMANDS_APPROVE}),
        expires_at=own_town.now + timedelta(days=1),
        now=own_town.now,
    )
    robot = TestClient(app, headers={"authorization": f"Bearer {secret}"})
    batch = asked(wang, ONE)
    for act in ("approve", "reject"):
        answer = robot.post(f"/api/v1/command-batches/{batch['id']}/{act}", json={})
        assert refused(answer) == (403, "forbidden"), act
    assert wang.get(f"/api/v1/command-batches/{batch['id']}").json()["counts"] == {"asked": 1}
    assert asked(robot, ONE, kind="set_clock")["asked_by"] == "li (robot)"


def test_who_asked_by_a_token_cannot_agree_in_person(own_town, app, li, secrets):
    owner = own_town.security.sign_in.principal(secrets["li"], now=own_town.now)
    _, secret = own_town.security.tokens.create(
        owner,
        name="asker",
        rights=frozenset({Right.COMMANDS_ASK}),
        expires_at=own_town.now + timedelta(days=1),
        now=own_town.now,
    )
    batch = asked(TestClient(app, headers={"authorization": f"Bearer {secret}"}), ONE)
    answer = li.post(f"/api/v1/command-batches/{batch['id']}/approve", json={})
    assert refused(answer) == (409, "second-person-needed")
    assert "a colleague has to agree" in li.get(f"/commands/{batch['id']}").text


def test_what_harms_nobody_needs_no_second_person(wang):
    assert asked(wang, ONE, TWO, kind="set_clock")["counts"] == {"approved": 2}
    assert asked(wang, ONE, kind="close_allowed")["counts"] == {"approved": 1}


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"addresses": []}, (422, "bad-command")),
        ({"reason": "  "}, (422, "bad-command")),
        ({"addresses": ["999"]}, (422, "bad-command")),
        ({"meter_ids": [2**40]}, (422, "bad-command")),
        ({"kind": "open_sesame"}, (422, "invalid-request")),
        ({"expires_at": "2026-11-22T17:00:00"}, (422, "invalid-request")),
        ({"expires_at": "2026-12-22T17:00:00Z"}, (422, "bad-command")),
        ({"kind": "close"}, (409, "not-opted-in")),
        ({"addresses": [KEEPING]}, (409, "keeps-power")),
        ({"standing_order_id": 2**40}, (404, "unknown-command")),
        ({"kind": "set_parameter", "argument": {"identifier": "00010000", "value": "1"}}, (422, "bad-command")),
        ({"kind": "set_parameter", "addresses": [ONE, TWO]}, (422, "bad-command")),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_reason_and_nothing_is_asked(wang, wanted, told):
    before = wang.get("/api/v1/command-batches?limit=1").json()["items"]
    body = {"kind": "trip", "addresses": [ONE], "reason": "Debt"} | wanted
    answer = wang.post("/api/v1/command-batches", json=body)
    assert refused(answer) == told
    assert wang.get("/api/v1/command-batches?limit=1").json()["items"] == before


def test_a_repeated_request_asks_once(wang):
    body = {"kind": "alarm_on", "addresses": [TWO], "reason": "Last warning"}
    alarms = "/api/v1/command-batches?kind=alarm_on"
    before = wang.get(alarms).json()["items"]
    first, second = (
        wang.post("/api/v1/command-batches", json=body, headers={"idempotency-key": "warn-once-101"})
        for _ in range(2)
    )
    assert first.json() == second.json()
    assert [item["id"] for item in wang.get(alarms).json()["items"]] == [
        first.json()["id"],
        *(item["id"] for item in before),
    ]


def test_a_command_tells_each_step_and_its_frames(own_town, wang, li):
    batch = asked(wang, THREE)
    li.post(f"/api/v1/command-batches/{batch['id']}/approve", json={})
    meter = own_town.meters[THREE]
    exchange = own_town.exchanges[meter]
    (command,) = own_town.commands.commands(batch_id=batch["id"])
    with own_town.database.write() as session:
        ledger = CommandLedger(session)
        ledger.queue([command.id], own_town.now)
        ledger.begin_sending(
            command.id, now=own_town.now, meter_expires_at=own_town.now + timedelta(minutes=5)
        )
        ledger.end(
            command.id,
            CommandState.CONFIRMED,
            now=own_town.now,
            outcome=Outcome.READ_BACK,
            exchange_id=exchange,
        )
        ledger.save_control(
            meter,
            ControlState(relay_open=True, close_allowed=False),
            now=own_town.now,
            exchange_id=exchange,
        )
    told = wang.get(f"/api/v1/commands/{command.id}").json()
    assert [step["state"] for step in told["steps"]] == [
        "asked", "approved", "queued", "sending", "confirmed",
    ]  # fmt: skip
    assert (told["state"], told["outcome"], told["address"]) == ("confirmed", "read_back", THREE)
    assert told["steps"][-1]["exchange_id"] == str(exchange)
    assert wang.get(f"/api/v1/exchanges/{exchange}").status_code == 200
    control = wang.get(f"/api/v1/meters/{meter}/control").json()
    assert (control["relay_open"], control["close_allowed"], control["keep_power"], control["alarm"]) == (
        True, False, None, None,
    )  # fmt: skip
    assert control["exchange_id"] == str(exchange)
    page = unescape(wang.get(f"/commands/{batch['id']}/{command.id}").text)
    assert "The meter's own state shows it, read after sending." in page
    assert f"/exchanges/{exchange}?at=" in page
    card = unescape(wang.get(f"/meters/{meter}/control").text)
    assert "open: no power behind it" in card
    assert f"/commands/{batch['id']}/{command.id}" in card


def test_a_meter_that_was_never_asked_says_nothing_of_its_relay(own_town, wang):
    control = wang.get(f"/api/v1/meters/{own_town.meters['000000000110']}/control").json()
    assert {control[name] for name in ("relay_open", "close_allowed", "keep_power", "alarm", "read_at")} == {
        None
    }


def test_lists_go_on_by_cursor_and_end(own_town, wang):
    batch = asked(wang, *list(own_town.meters)[:12], kind="set_clock")
    path, seen, after = f"/api/v1/command-batches/{batch['id']}/commands?limit=5", [], ""
    while True:
        page = wang.get(path + after).json()
        seen += [item["address"] for item in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert sorted(seen) == sorted(list(own_town.meters)[:12])
    one = wang.get(f"/api/v1/commands?meter_id={own_town.meters[ONE]}&state=approved&limit=500").json()[
        "items"
    ]
    assert {(item["address"], item["state"]) for item in one} == {(ONE, "approved")}


def test_a_standing_order_holds_once_two_agree_and_no_further_than_its_cap(own_town, wang, li):
    wanted = {"kind": "trip", "daily_cap": 2, "reason": "Nights", "expires_at": "2026-12-31T00:00:00Z"}
    order = wang.post("/api/v1/standing-orders", json=wanted).json()
    assert (order["state"], order["used_today"]) == ("asked", 0)
    under = {"kind": "trip", "addresses": [ONE, TWO], "reason": "Debt", "standing_order_id": order["id"]}
    assert refused(wang.post("/api/v1/command-batches", json=under)) == (409, "standing-order-refuses")
    path = f"/api/v1/standing-orders/{order['id']}"
    assert refused(wang.post(f"{path}/approve")) == (409, "second-person-needed")
    assert li.post(f"{path}/approve").json()["state"] == "active"
    assert wang.post("/api/v1/command-batches", json=under).json()["counts"] == {"approved": 2}
    assert refused(wang.post("/api/v1/command-batches", json=under)) == (409, "standing-order-refuses")
    assert wang.get("/api/v1/standing-orders").json()[0]["used_today"] == 2
    assert wang.post(f"{path}/end").json()["state"] == "ended"
    assert refused(wang.post(f"{path}/end")) == (409, "too-late")


def test_somebody_of_one_area_neither_sees_nor_commands_another(own_town, app, wang, li, secrets):
    shop = next(address for address in own_town.meters if address >= "000000000120")
    home = signed_in(app, secrets["home"])
    answer = home.post(
        "/api/v1/command-batches", json={"kind": "trip", "addresses": [shop], "reason": "Debt"}
    )
    assert refused(answer) == (422, "bad-command")
    both = asked(wang, ONE, shop)
    path = f"/api/v1/command-batches/{both['id']}"
    seen = home.get(path).json()
    assert (seen["total"], seen["counts"]) == (1, {"asked": 1})
    assert [item["address"] for item in home.get(f"{path}/commands").json()["items"]] == [ONE]
    assert refused(home.post(f"{path}/approve", json={})) == (409, "second-person-needed")
    alone = asked(wang, shop)
    assert home.get(f"/api/v1/command-batches/{alone['id']}").status_code == 404
    assert home.get(f"/commands/{alone['id']}").status_code == 404
    (command,) = wang.get(f"/api/v1/command-batches/{alone['id']}/commands").json()["items"]
    assert home.get(f"/api/v1/commands/{command['id']}").status_code == 404
    for path_of_theirs in ("", "/steps.csv"):
        assert home.get(f"/commands/{alone['id']}/{command['id']}{path_of_theirs}").status_code == 404
    assert wang.get(f"/commands/{both['id']}/{command['id']}").status_code == 404  # of another batch
    assert home.get(f"/api/v1/meters/{own_town.meters[shop]}/control").status_code == 404
    assert home.get("/commands/standing").status_code == 403
    li.post(f"{path}/reject", json={})
    li.post(f"/api/v1/command-batches/{alone['id']}/reject", json={})


# -- the console --------------------------------------------------------------------------------------------------------


def mark_of(page: str) -> str:
    return re.search(r'name="mark" value="([0-9a-f]+)"', page)[1]


def test_the_preview_says_who_is_left_out_and_just_what_was_shown_is_asked(own_town, wang):
    form = {"kind": "trip", "which": "addresses", "addresses": f"100, 101\n999 {KEEPING}", "reason": "Debt"}
    page = wang.post("/commands/new/preview", data=form).text
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())
    assert "Meters that would be told: 2" in text
    assert "There is no such meter: 1" in text
    assert "It keeps power: end that first, if a trip is meant: 1" in text
    newest = wang.get("/api/v1/command-batches?limit=1").json()["items"][0]["id"]
    form["addresses"] = "100, 102"
    moved = wang.post("/commands/new", data=form | {"mark": mark_of(page)})
    assert "The meters are others than those you looked at." in moved.text
    assert wang.get("/api/v1/command-batches?limit=1").json()["items"][0]["id"] == newest
    done = wang.post("/commands/new", data=form | {"mark": mark_of(moved.text)}, follow_redirects=False)
    assert done.status_code == 303
    batch = own_town.commands.batch(int(done.headers["location"].rpartition("/")[2]))
    assert (batch.id > newest, batch.total, batch.reason) == (True, 2, "Debt")


def test_a_command_is_asked_for_an_area_or_for_what_the_list_of_meters_shows(own_town, wang):
    with own_town.database.read() as session:
        trade = session.query(Area.id).where(Area.code == "A2").scalar()
    page = wang.post(
        "/commands/new/preview", data={"kind": "set_clock", "which": "area", "area": str(trade)}
    ).text
    in_area = wang.get(f"/api/v1/meters?area={trade}").json()["total"]
    assert f'<b class="num">{in_area}</b>' in page
    listed = wang.get("/meters?search=00000000010").text
    assert 'href="/commands/new?search=00000000010"' in listed
    form = {"kind": "set_clock", "which": "list", "search": "00000000010"}
    assert '<b class="num">10</b>' in wang.post("/commands/new/preview", data=form).text
    wrong = wang.post("/commands/new/preview", data={"kind": "set_clock", "which": "area"})
    assert (wrong.status_code, "No area was chosen." in wrong.text) == (422, True)
    chosen_first = wang.post("/commands/new/preview", data={"kind": "set_parameter"}).text
    assert "Identifier (8 digits)" in chosen_first
    assert "Meters that would be told" not in chosen_first


def test_each_sees_only_what_they_may_do(app, wang, li, secrets):
    batch = asked(wang, TWO)
    path = f"/commands/{batch['id']}"
    own, other = wang.get(path).text, li.get(path).text
    assert "a colleague has to agree" in own
    assert (f"{path}/approve" in own, f"{path}/withdraw" in own) == (False, True)
    assert (f"{path}/approve" in other, f"{path}/reject" in other) == (True, True)
    looker = signed_in(app, secrets["clerk"]).get(path).text
    assert ("/approve" in looker, "/withdraw" in looker) == (False, False)
    assert "Trip waits for your decision (meters: 1)" in li.get("/").text
    assert "waits for your decision" not in signed_in(app, secrets["clerk"]).get("/").text
    late = wang.post(f"{path}/approve", follow_redirects=False)
    assert (late.status_code, "another person has to decide" in late.text) == (409, True)
    agreed = li.post(f"{path}/approve", data={"note": "Seen."}, follow_redirects=False)
    assert (agreed.status_code, agreed.headers["location"]) == (303, path)
    page = li.get(path).text
    assert "Seen." in page
    assert f"{path}/approve" not in page


def test_what_waits_stands_on_top_of_the_history_and_by_itself(wang, li):
    batch = asked(wang, ONE, reason="Waits on top")
    page = li.get("/commands").text
    assert page.index("Waiting for a second person") < page.index("Command history")
    assert "Waits on top" in page[: page.index("Command history")]
    waiting = li.get("/api/v1/command-batches?waiting=true").json()["items"]
    assert batch["id"] in {item["id"] for item in waiting}
    assert all(item["waits_for_decision"] for item in waiting)
    rows = li.get("/commands.csv?waiting=1").content.decode("utf-8-sig").splitlines()
    assert len(rows) == len(waiting) + 1
    li.post(f"/commands/{batch['id']}/reject")


def test_direct_close_is_offered_only_where_it_was_opted_in(own_town, wang, secrets):
    assert 'value="close"' not in wang.get("/commands/new").text
    own_town_commands = own_town.commands
    own_town.commands = CommandService(
        own_town.database, own_town.hub, check=check_command, options=CommandOptions(direct_close=True)
    )
    try:
        with TestClient(create_application(own_town.services())) as opened:
            bold = signed_in(opened.app, secrets["wang"])
            page = bold.get("/commands/new?kind=close").text
            assert '<option value="close" selected>' in page
            assert "whoever touches the wires behind it is under voltage" in page
            assert asked(bold, ONE, kind="close")["counts"] == {"asked": 1}
    finally:
        own_town.commands = own_town_commands


def test_a_standing_order_is_asked_agreed_to_and_ended_on_its_page(own_town, wang, li):
    form = {"kind": "close_allowed", "daily_cap": "9", "until": "2026-12-24T18:00", "reason": "After payment"}
    wang.post("/commands/standing", data=form)
    order = own_town.commands.standing.all(now=own_town.now)[0]
    assert (order.daily_cap, order.expires_at.isoformat()) == (9, "2026-12-24T10:00:00+00:00")
    assert f"/commands/standing/{order.id}/approve" not in wang.get("/commands/standing").text
    assert f"/commands/standing/{order.id}/approve" in li.get("/commands/standing").text
    li.post(f"/commands/standing/{order.id}/approve")
    offered = {"kind": "close_allowed", "addresses": ONE}
    assert "After payment" in wang.post("/commands/new/preview", data=offered).text
    wang.post(f"/commands/standing/{order.id}/end")
    assert "ended by wang" in li.get("/commands/standing").text
    wrong = wang.post("/commands/standing", data=form | {"until": "2030-01-01T00:00"})
    assert (wrong.status_code, "within a year" in wrong.text) == (422, True)


def test_pages_hear_of_steps_of_meters_in_sight_only():
    news = CommandNews(command_id=1, meter_id=7, state=CommandState.CONFIRMED)
    for sight, events in ((Sight(), 1), (Sight(meters=frozenset({8})), 0)):
        batch = Batch(frozenset({"commands"}), language("en"), sight)
        batch.take(news)
        assert len(list(batch.events())) == events


def test_every_command_state_and_outcome_has_its_words_in_both_languages():
    assert (set(KINDS), set(MEANINGS)) == (set(CommandKind), set(CommandKind))
    assert (set(STATES), set(OUTCOMES)) == (set(CommandState), set(Outcome))
    chinese = language("zh")
    texts = [*KINDS.values(), *MEANINGS.values(), *(text for _, text in STATES.values()), *OUTCOMES.values()]
    assert [text for text in texts if chinese.text(text) == text] == []
    assert [chinese.text(KINDS[kind]) for kind in (CommandKind.TRIP, CommandKind.CLOSE_ALLOWED)] == [
        "跳闸", "合闸允许",
    ]  # fmt: skip
