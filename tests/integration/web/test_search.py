"""Global search: finds what a text names, by right and within the scope, in the dialog, as a page and for programs."""

import re

import pytest
from sqlalchemy import select
from tests.integration.web.conftest import add_user, signed_in

from wattkeeper.registry.models import Area
from wattkeeper.security.rights import Role
from wattkeeper.web.queries.search import pieces

DIALOG = {"hx-request": "true", "hx-target": "div#hits"}


def found(client, text, **wanted):
    """What the API finds, as (kind, title)."""
    answer = client.get("/api/v1/search", params={"q": text, **wanted})
    assert answer.status_code == 200, answer.text
    return [(item["kind"], item["title"]) for item in answer.json()]


def test_a_meter_is_found_by_address_point_and_name(client, town):
    for text in ("000000000100", "P000", "1号楼101室"):
        answer = client.get("/api/v1/search", params={"q": text}).json()
        meter = next(item for item in answer if item["kind"] == "meter")
        assert meter == {
            "kind": "meter", "id": str(town.meters["000000000100"]), "title": "000000000100",
            "detail": "1号楼101室 · P000 · 1号公变台区", "address": f"/meters/{town.meters['000000000100']}",
        }  # fmt: skip


def test_customers_accounts_bills_links_areas_tariffs_and_users_are_found(client, town):
    bill = town.billing.bill(town.bills[0]).number
    assert ("customer", "滨江物业") in found(client, "C022")
    assert ("customer", "陈先生") in found(client, "1380000", limit=50)
    assert ("account", "物业办公室") in found(client, "33010000022")
    assert ("account", "物业办公室") in found(client, "滨江物业")
    assert found(client, bill) == [("bill", bill)]
    assert ("link", "南区总线") in found(client, "ttyUSB0")
    assert ("area", "2号公变台区") in found(client, "A2")
    assert [kind for kind, _ in found(client, "zhejiang residential")] == ["tariff"]
    assert ("user", "Chief") in found(client, "chief")


def test_what_is_the_text_comes_before_what_begins_with_it_and_what_holds_it(client):
    assert [title for kind, title in found(client, "A1") if kind == "area"] == ["1号公变台区"]
    assert found(client, "00000000010")[0] == ("meter", "000000000100")
    assert len([kind for kind, _ in found(client, "0000", limit=3) if kind == "meter"]) == 3


def test_every_word_has_to_be_there(client):
    assert ("meter", "000000000100") in found(client, "1号楼 101")
    assert found(client, "1号楼 nobody") == []


@pytest.mark.parametrize("text", ["%", "_", "\\", "'", "%00", "\x00", " ", "(", "[", "100%"])
def test_signs_of_patterns_are_plain_text(client, text):
    assert client.get("/search", params={"q": text}).status_code == 200
    assert client.get("/search", params={"q": text}, headers=DIALOG).status_code == 200
    assert [kind for kind, _ in found(client, text) if kind == "meter"] == []


def test_only_what_one_has_a_right_to_is_found(town, browser):
    clerk = signed_in(browser.app, add_user(town, "find-clerk", Role.CLERK))
    assert ("link", "南区总线") not in found(clerk, "南区")
    assert ("account", "物业办公室") in found(clerk, "物业办公室")
    assert found(clerk, "find-clerk") == []
    operator = signed_in(browser.app, add_user(town, "find-operator", Role.OPERATOR))
    assert ("link", "南区总线") in found(operator, "南区")
    assert {kind for kind, _ in found(operator, "物业")} == {"meter"}
    assert "/bills" not in operator.get("/search?q=bills", headers=DIALOG).text


def test_only_what_lies_in_ones_areas_is_found(town, browser):
    with town.database.read() as session:
        area = session.scalars(select(Area.id).where(Area.code == "A2")).one()
    limited = signed_in(browser.app, add_user(town, "find-a2", Role.ANALYST, areas=frozenset({area})))
    assert found(limited, "1号楼101室") == []
    assert found(limited, town.billing.bill(town.bills[0]).number) == []
    assert found(limited, "公变台区") == [("area", "2号公变台区")]
    assert found(limited, "陈先生") == []
    assert ("meter", "000000000122") in found(limited, "物业办公室")


def test_a_customer_has_no_search(town, browser):
    with town.database.read() as session:
        customer = town.services().registry(session).get_account(town.accounts["000000000100"]).customer_id
    home = signed_in(browser.app, add_user(town, "find-home", Role.CUSTOMER, customer_id=customer))
    assert home.get("/search?q=1").status_code == 403
    assert home.get("/api/v1/search?q=1").status_code == 403


def test_pages_are_found_by_their_names_in_both_languages(client, english):
    for text in ("Tariffs", "电价"):
        for opened in (client, english):
            assert 'href="/tariffs"' in opened.get("/search", params={"q": text}, headers=DIALOG).text
    everything = client.get("/search", headers=DIALOG).text
    assert 'href="/import"' in everything
    assert "电表" in everything


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.OPERATOR, Role.CLERK, Role.ANALYST])
def test_every_page_that_is_offered_may_be_opened(town, browser, role):
    visitor = signed_in(browser.app, add_user(town, f"find-pages-{role}", role))
    offered = re.findall(r'<a href="([^"]+)" role="option"', visitor.get("/search", headers=DIALOG).text)
    assert len(offered) >= 8
    assert {address: visitor.get(address).status_code for address in offered} == dict.fromkeys(offered, 200)


def test_the_dialog_gets_options_and_the_page_links(client):
    options = client.get("/search?q=101", headers=DIALOG).text
    assert "<html" not in options
    assert 'role="listbox"' in options
    assert re.search(r'<a href="/meters/\d+" role="option"', options)
    assert "000000000<mark>101</mark>" in options
    page = client.get("/search?q=101").text
    assert "<html" in page
    assert 'role="option"' not in page
    assert "000000000<mark>101</mark>" in page
    assert "没有找到与“zzz”匹配的内容" in client.get("/search?q=zzz").text


def test_more_matches_than_are_shown_lead_to_the_list(client):
    assert 'href="/meters?search=0000000001"' in client.get("/search?q=0000000001", headers=DIALOG).text
    assert 'href="/meters?search=%23%26"' not in client.get("/search?q=%23%26", headers=DIALOG).text


def test_what_was_looked_for_is_marked_whatever_its_case():
    assert pieces("Meter METER 12", "meter 12") == [
        ("Meter", True), (" ", False), ("METER", True), (" ", False), ("12", True),
    ]  # fmt: skip
    assert pieces("a<b>", "<b>") == [("a", False), ("<b>", True)]
    assert pieces("plain", "") == [("plain", False)]


def test_markup_in_names_stays_text(client):
    assert "<script>" not in client.get("/search?q=<script>", headers=DIALOG).text
