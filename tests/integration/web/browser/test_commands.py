"""A trip of three meters by two people in two browsers, and its results as they come in."""

import asyncio
import re
import threading

import pytest
from playwright.sync_api import expect
from tests.integration.web.conftest import add_user

from wattkeeper.collection.commands.desk import CommandDesk
from wattkeeper.collection.commands.kinds import CommandKind, CommandState, Outcome
from wattkeeper.collection.commands.service import Wanted
from wattkeeper.collection.commands.values import CommandOptions, ControlState
from wattkeeper.security.rights import Role

THREE = ("000000000100", "000000000101", "000000000102")


@pytest.fixture(scope="module")
def operators(town):
    return {name: add_user(town, name, Role.OPERATOR) for name in ("zhao", "qian")}


def carried_out(town, outcomes):
    """What a link's lane writes down of approved commands, in the order and by the hand it does."""
    desk = CommandDesk(town.database, town.hub, lambda: town.now, CommandOptions(), None)
    commands = {town.meters[address]: outcome for address, outcome in outcomes.items()}

    async def lane():
        waiting, _ = desk.waiting(thorough=True)
        mine = [command for command in waiting if command.meter_id in commands]
        desk.take(mine)
        for command in mine:
            state, outcome = commands[command.meter_id]
            await desk.begin_sending(command, meter_expires_at=town.now)
            exchange = town.exchanges[command.meter_id]
            await desk.became(command, state, outcome=outcome, exchange_id=exchange)
            await desk.save_control(command.meter_id, ControlState(relay_open=True), exchange_id=exchange)

    thread = threading.Thread(
        target=lambda: asyncio.run(lane())
    )  # Playwright's own loop is at work in this one
    thread.start()
    thread.join(20)


def test_the_card_of_a_decision_goes_when_somebody_else_has_decided(visit, operators, town):
    asker, second = visit(operators["zhao"]), visit(operators["qian"])
    asker.goto("/commands/new")
    asker.get_by_label("Addresses of meters").fill("000000000105")
    asker.get_by_role("button", name="Preview").click()
    asker.get_by_label("Reason").fill("To be taken back")
    asker.get_by_role("button", name="Ask for it").click()
    expect(asker.get_by_role("button", name="Withdraw")).to_be_visible()
    second.goto(asker.url)
    second.get_by_label("Note").fill("half a thought")
    second.evaluate("document.activeElement.blur()")
    expect(second.get_by_role("button", name="Approve")).to_be_visible()
    asker.get_by_role("button", name="Withdraw").click()
    expect(asker.get_by_role("button", name="Withdraw")).to_have_count(0)
    expect(second.get_by_role("button", name="Approve")).to_have_count(0)
    expect(second.locator("#batch")).to_contain_text("taken back")


def test_a_trip_of_three_meters_is_asked_by_one_agreed_to_by_another_and_seen_to_happen(
    visit, operators, town
):
    asker, second = visit(operators["zhao"]), visit(operators["qian"])
    asker.goto("/commands")
    asker.get_by_role("link", name="New command").first.click()
    asker.get_by_label("Addresses of meters").fill(", ".join(THREE) + "\n999999")
    asker.get_by_role("button", name="Preview").click()
    expect(asker.locator("#ask")).to_contain_text("Meters that would be told: 3")
    expect(asker.locator("#ask")).to_contain_text("There is no such meter: 1")
    asker.get_by_label("Reason").fill("Two months of debt, told in writing")
    asker.get_by_role("button", name="Ask for it").click()
    expect(asker.locator("main")).to_contain_text("a colleague has to agree")
    expect(asker.get_by_role("button", name="Approve")).to_have_count(0)
    address = re.search(r"/commands/\d+$", asker.url)[0]

    second.goto("/")
    second.get_by_role("link", name="Trip waits for your decision (meters: 3)").click()
    expect(second.locator("main")).to_contain_text("Two months of debt, told in writing")
    second.get_by_label("Note").fill("Looked at the list.")
    second.get_by_role("button", name="Approve").click()
    expect(second.locator("main")).to_contain_text("Looked at the list.")
    assert second.url.endswith(address)
    expect(second.locator("main .job-bar")).to_contain_text("0 / 3")

    second.evaluate("document.activeElement.blur()")
    carried_out(
        town,
        {
            THREE[0]: (CommandState.CONFIRMED, Outcome.READ_BACK),
            THREE[1]: (CommandState.FAILED, Outcome.REFUSED),
            THREE[2]: (CommandState.UNKNOWN, Outcome.NO_ANSWER),
        },
    )
    expect(second.locator("main .job-bar")).to_contain_text("2 / 3")  # by itself
    rows = second.locator("main tbody tr")
    expect(rows.filter(has_text=THREE[0])).to_contain_text("confirmed")
    expect(rows.filter(has_text=THREE[1])).to_contain_text("The meter refused it.")
    expect(rows.filter(has_text=THREE[2])).to_contain_text("outcome unknown")
    rows.filter(has_text=THREE[0]).get_by_role("link", name="Steps").click()
    second.locator("main tbody").get_by_role("link", name="frame").last.click()
    expect(second.locator("main")).to_contain_text("68")
    second.goto(f"/meters/{town.meters[THREE[0]]}")
    second.locator("#control").scroll_into_view_if_needed()
    expect(second.locator("#control")).to_contain_text("open: no power behind it")


@pytest.mark.parametrize(
    "look",
    [{"language": "zh"}, {"language": "en", "theme": "dark", "phone": True}],
    ids=["zh", "en-dark-phone"],
)
def test_pages_of_one_command_are_accessible_and_fit(visit, operators, town, serious, look):
    wanted = Wanted(
        kind=CommandKind.ALARM_ON, meter_ids=[town.meters[THREE[0]]], reason="A look at its pages"
    )
    batch = town.commands.ask(wanted, now=town.now)
    (command, *_) = town.commands.commands(batch_id=batch.id)
    page = visit(operators["qian"], **look)
    for path in (
        f"/commands/{batch.id}",
        f"/commands/{batch.id}/{command.id}",
        f"/meters/{command.meter_id}/control",
    ):
        page.goto(path)
        assert serious(page) == [], path
        wide = "document.scrollingElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) <= 0, path
