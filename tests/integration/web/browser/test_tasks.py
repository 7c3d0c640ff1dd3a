"""What each role comes for, done in a real browser as a person would: by the words on the page."""

import re
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from wattkeeper.collection.values import LiveReading
from wattkeeper.kernel.hub import Message
from wattkeeper.registry.repository import Registry
from wattkeeper.security.rights import Role
from wattkeeper.security.values import UserWanted

PASSWORD = "a quiet river in autumn"


@pytest.fixture(scope="session")
def let_in(town):
    """The secret of a session of a user with a role, added once."""
    secrets = {}

    def secret(role, **wanted):
        if role not in secrets:
            login = f"walker.{role.value}"
            with town.database.write() as session:
                described = UserWanted(name=role.value.title(), role=role, **wanted)
                town.security.users.add_in(session, login, described, now=town.now, password=PASSWORD)
            here = {"address": "203.0.113.7", "agent": "browser", "now": town.now}
            secrets[role] = town.security.sign_in.sign_in(login, PASSWORD, **here).secret
        return secrets[role]

    return secret


@pytest.fixture
def high_voltage(town):
    """An alarm: two readings in a row above what GB/T 12325 allows."""
    meter = town.meters["000000000112"]
    reading = LiveReading(
        meter_id=meter,
        quantity="voltage_l1",
        value=Decimal("248.6"),
        unit="V",
        read_at=town.now,
        exchange_id=town.exchanges[meter],
    )
    town.monitoring.tick(town.now, [Message("reading", [reading])] * 2)


def test_an_operator_finds_a_silent_meter_asks_it_and_watches_its_bus(visit, let_in):
    page = visit(let_in(Role.OPERATOR))
    page.goto("/")
    page.get_by_role("link", name="Meters", exact=True).click()
    page.get_by_label("Search meters").fill("107")
    expect(page.locator("#results tbody tr")).to_have_count(1)
    page.get_by_role("link", name="000000000107").click()
    page.get_by_role("button", name="Read now").click()
    expect(page.locator("#live .notice")).to_contain_text("did not answer")
    page.goto("/meters/1")
    page.get_by_role("button", name="Read now").click()
    expect(page.locator("#live .notice")).to_contain_text("The meter answered with 1 values.")
    page.get_by_role("link", name="Links", exact=True).click()
    page.get_by_role("link", name="北区集中").first.click()
    expect(page.locator("[data-monitor]")).to_be_visible()


def test_an_operator_sees_every_wrong_cell_of_a_file_before_anything_is_written(visit, let_in):
    page = visit(let_in(Role.OPERATOR))
    page.goto("/import")
    wrong = "address,link_code,link_url,point_code\n12,north,tcp://10.0.0.11:8001,P900\n"
    file = {"name": "meters.csv", "mimeType": "text/csv", "buffer": wrong.encode()}
    page.locator("input[type=file]").set_input_files(file)
    page.locator("main form button").last.click()
    expect(page.locator("main")).to_contain_text("12")
    expect(page.locator("main")).to_contain_text("row", ignore_case=True)


def test_a_clerk_takes_a_payment_once_and_finds_its_receipt(visit, let_in):
    page = visit(let_in(Role.CLERK))
    page.goto("/accounts")
    page.get_by_label("Search accounts").fill("33010000005")
    expect(page.locator("#results tbody tr")).to_have_count(1)
    page.locator("#results tbody a").first.click()
    page.get_by_label("Amount (CNY)").fill("10.00")
    page.get_by_role("button", name="Record payment").click()
    expect(page.locator(".notice")).to_contain_text("recorded")
    page.get_by_role("link", name="Payments", exact=True).click()
    expect(page.locator("main")).to_contain_text("33010000005")
    expect(page.locator("main")).to_contain_text("CN¥10.00")


def test_a_clerk_takes_the_list_of_bills_home(visit, let_in):
    page = visit(let_in(Role.CLERK))
    page.goto("/bills")
    page.locator("main details.menu summary").first.click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Excel").first.click()
    assert re.fullmatch(r"Bills \d{4}-\d\d-\d\d\.xlsx", download.value.suggested_filename)


def test_an_analyst_looks_at_everything_and_changes_nothing(visit, let_in):
    page = visit(let_in(Role.ANALYST))
    page.goto("/meters/1")
    assert page.get_by_role("button", name="Read now").count() == 0
    page.get_by_role("link", name="Month", exact=True).click()
    page.wait_for_url("**span=month**")
    page.goto("/users")
    expect(page.locator("main")).to_contain_text("may not do this")


def test_an_administrator_adds_a_user_and_finds_that_in_the_audit(visit, administrator):
    page = visit(administrator)
    page.goto("/users")
    page.get_by_role("link", name="New user").click()
    page.get_by_label("User name").fill("zhang.san")
    page.get_by_label("Full name").fill("张三")
    page.locator("input[name=role][value=analyst]").check()
    page.get_by_role("button", name="Add the user").click()
    expect(page.locator(".secret code")).to_have_text(re.compile(r"^(\w{4}-){3}\w{4}$"))
    page.get_by_role("link", name="Audit", exact=True).click()
    expect(page.locator("main tbody tr").first).to_contain_text("zhang.san")


def test_an_alarm_is_acknowledged_with_a_note(visit, let_in, high_voltage):
    page = visit(let_in(Role.OPERATOR))
    page.goto("/alarms")
    page.get_by_role("link", name="248.6 V").first.click()
    page.get_by_label("What was found or done").fill("Tap changer lowered.")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator("main")).to_contain_text("Tap changer lowered.")


def test_a_customer_sees_what_is_theirs_on_a_phone_and_nothing_else(visit, let_in, town):
    with town.database.read() as session:
        customer = Registry(session).customer_by_code("C003").id
    page = visit(let_in(Role.CUSTOMER, customer_id=customer), language="zh", phone=True)
    page.goto("/")
    page.wait_for_url("**/portal")
    expect(page.locator("main")).to_contain_text("33010000003")
    page.get_by_role("link", name="账单").first.click()
    page.locator("main a[href^='/portal/bills/']").first.click()
    expect(page.locator("main")).to_contain_text("kWh")
    response = page.request.get("/meters")
    assert response.status == 403
