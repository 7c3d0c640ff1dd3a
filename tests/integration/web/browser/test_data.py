"""Data quality, exceptions, edits and traces in a real browser: what an operator and a colleague do with a doubted value."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect
from tests.integration.web.conftest import add_user, finding

from wattkeeper.kernel.severity import Severity
from wattkeeper.security.rights import Role

HOME, SHOP = "000000000103", "000000000119"
ENERGY = "active_energy_import"
DAY = datetime(2026, 11, 18, 16, tzinfo=UTC)
"""The first instant of 19 November in Shanghai."""


@pytest.fixture(scope="module")
def people(town):
    """An operator and a colleague."""
    return {name: add_user(town, name, Role.OPERATOR) for name in ("lin", "shen")}


@pytest.fixture(scope="module")
def doubted(town):
    """Two open exceptions, the later one first in the queue."""
    reading = {"quantity": ENERGY, "read_at": (DAY + timedelta(hours=4)).isoformat(), "value": "320.5", "unit": "kWh", "source": "meter"}  # fmt: skip
    evidence = {"readings": [reading], "load_kw": "31.4", "limit": {"parameter": "factor", "value": "1.2", "unit": "", "since": None}}  # fmt: skip
    spike = finding(
        town, "spike_rating", Severity.CRITICAL, SHOP, quantity=ENERGY, evidence=evidence, day=DAY
    )
    gap = {"missing": 8, "expected": 96, "gaps": []}
    missing = finding(
        town, "missing", Severity.WARNING, HOME, quantity=ENERGY, evidence=gap, day=DAY - timedelta(days=1)
    )
    return {"spike": spike, "missing": missing}


def test_an_operator_decides_by_keys_proposes_and_a_colleague_agrees(visit, people, doubted, serious):
    page = visit(people["lin"])
    page.goto("/")
    page.get_by_role("link", name=re.compile("Exceptions in the data, critical: 1")).click()
    page.goto("/exceptions")
    expect(page.locator("#results tbody tr")).to_have_count(2)
    assert serious(page) == []
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("tr.at")).to_contain_text("Missing readings")
    page.keyboard.press("a")
    expect(page.locator("#results .notice")).to_contain_text("1 exceptions accepted.")
    expect(page.locator("#results tbody tr")).to_have_count(1)

    page.get_by_role("link", name="More energy than the rating allows").click()
    expect(page.locator("figure.spark svg")).to_be_visible()
    expect(page.locator("main")).to_contain_text("320.5 kWh")
    assert serious(page) == []
    page.get_by_role("link", name="Edit", exact=True).click()
    assert serious(page) == []
    page.get_by_label("12:00").fill("0.75")
    page.get_by_label("Reason").fill("Check meter read 0.75 kWh")
    page.get_by_role("button", name="Propose").click()
    expect(page.locator("main")).to_contain_text("You proposed this")
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    edit = page.url

    colleague = visit(people["shen"])
    colleague.goto("/edits")
    colleague.get_by_role("link", name="便民超市").click()
    assert colleague.url == edit
    assert serious(colleague) == []
    colleague.get_by_role("button", name="Approve").click()
    expect(colleague.locator("main .head")).to_contain_text("counts now")
    colleague.get_by_role("link", name="trace").click()
    expect(colleague.locator("h1")).to_have_text("0.7500 kWh")
    expect(colleague.locator("main")).to_contain_text("Check meter read 0.75 kWh")
    expect(colleague.locator("main")).to_contain_text("entered by a person")
    assert serious(colleague) == []


def test_a_gap_is_followed_from_the_heat_map_to_the_quarter_hour(visit, people, serious):
    page = visit(people["lin"])
    page.goto("/quality?month=2026-11")
    assert serious(page) == []
    page.get_by_role("button", name="What lies below 10kV 滨江线").click()
    expect(page.locator("#map")).not_to_contain_text("1号公变台区")
    page.get_by_role("button", name="What lies below 10kV 滨江线").click()
    area = page.locator("#map tr").filter(has_text="1号公变台区")
    area.get_by_role("link", name="98").click()
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("1号楼208室")
    row.get_by_role("link", name="71").click()
    expect(page.locator('[data-ground="missing"]').first).to_be_visible()
    page.locator('td [data-ground="missing"]').first.click()
    expect(page.locator("main")).to_contain_text("Nothing is known of it yet.")
    assert serious(page) == []


def test_a_heat_map_of_a_meter_leads_to_the_quarter_hour_under_the_pointer(visit, people, town):
    page = visit(people["lin"])
    page.goto("/meters/1")
    carpet = page.locator(".carpet canvas")
    carpet.scroll_into_view_if_needed()
    expect(page.locator(".carpet-note")).to_contain_text("days")
    box = carpet.bounding_box()
    carpet.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    page.wait_for_url(re.compile(rf"/points/{town.points['000000000100']}/days/2026-\d\d-\d\d#t\d{{4}}"))
    expect(page.locator("td:target")).to_be_visible()
