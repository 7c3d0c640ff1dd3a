"""Data quality: what the town's gap of twenty quarter hours looks like from a site down to the quarter hour."""

import csv
import io
import re

import pytest
from sqlalchemy import select
from tests.integration.web.conftest import SILENT, add_user, signed_in

from wattkeeper.registry.models import Area
from wattkeeper.security.rights import Role

POINTS, HOMES = 24, 19


def cell(page: str, row: str, day: int) -> str:
    """What stands in a row's cell of a day of November, without its tags."""
    line = next(line for line in re.findall(r"<tr>.*?</tr>", page, re.DOTALL) if row in line)
    return re.sub(r"<[^>]+>", "", re.findall(r"<td[^>]*>(.*?)</td>", line, re.DOTALL)[day - 1])


def rows_of(answer):
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))


@pytest.fixture(scope="module")
def homes(town):
    with town.database.read() as session:
        return session.scalars(select(Area.id).where(Area.code == "A1")).one()


def test_a_gap_shows_from_the_site_down_to_its_point(english, homes):
    page = english.get("/quality?month=2026-11").text
    # The silent meter knows 50 of the 70 quarter hours that are over: 50/70, (19*70-20)/(19*70), (24*70-20)/(24*70).
    assert [cell(page, row, 22) for row in ("1号楼208室", "1号公变台区", "滨江社区", "2号公变台区")] == [
        "71",
        "98",
        "98",
        "100",
    ]
    assert cell(page, "滨江社区", 21) == "100"
    assert cell(page, "滨江社区", 23) == ""
    assert f'href="/quality/points?month=2026-11&amp;day=2026-11-22&amp;area={homes}"' in page
    missing = english.get("/quality?month=2026-11&show=missing").text
    assert [cell(missing, row, 22) for row in ("1号楼208室", "1号公变台区")] == ["29", "2"]


def test_the_tree_opens_and_closes_by_its_address(english):
    closed = english.get("/quality?open=none").text
    assert "1号公变台区" not in closed
    assert "滨江社区" in closed
    assert 'aria-expanded="false"' in closed
    assert "2号公变台区" not in english.get("/quality?open=site-1").text.split("The least complete")[0]


def test_the_points_of_an_area_and_day_begin_with_the_least_complete(english, town, homes):
    page = english.get(f"/quality/points?day=2026-11-22&area={homes}").text
    names = re.findall(r'<th scope="row"><a[^>]*>([^<]+)</a>', page)
    assert len(names) == HOMES
    assert names[0] == "1号楼208室"
    assert f'href="/points/{town.points[SILENT]}/days/2026-11-22"' in page
    assert english.get("/quality/points?area=99").status_code == 404
    assert english.get("/quality/points?month=2026-13").status_code == 422


def test_a_day_leads_to_the_trace_of_each_quarter_hour(english, town):
    point = town.points[SILENT]
    page = english.get(f"/points/{point}/days/2026-11-22").text
    found = re.findall(rf'href="/points/{point}/intervals/([^"]+)" data-ground="(\w+)"', page)
    assert len(found) == 70
    assert found[0] == ("2026-11-21T16:00:00Z", "measured")
    assert [ground for _, ground in found].count("missing") == 20
    assert page.count('data-ground="ahead"') == 26 + 1  # and once in the key
    assert english.get(f"/points/{point}/days/2026-11-23").status_code == 400
    assert english.get("/points/9999/days/2026-11-22").status_code == 404


def test_the_files_have_every_day_and_every_point(english):
    days = rows_of(english.get("/quality.csv?month=2026-11"))
    assert days[0][-6:] == [
        "Expected intervals", "Measured intervals", "Estimated intervals", "Intervals entered by a person", "Missing intervals", "Complete (%)",
    ]  # fmt: skip
    assert [row[1:] for row in days if row[0] == "riverside" and row[2] == "2026-11-22"] == [
        [
            "滨江社区",
            "2026-11-22",
            str(24 * 70),
            str(24 * 70 - 20),
            "0",
            "0",
            "20",
            "98.8095",
        ]
    ]
    assert len([row for row in days if row[0] == "riverside"]) == 22
    points = rows_of(english.get("/quality/points.csv?day=2026-11-22"))
    assert len(points) == 1 + POINTS
    assert points[1][1:8] == ["1号楼208室", "1号公变台区", "70", "50", "0", "0", "20"]


def test_who_is_limited_to_an_area_sees_the_quality_of_no_other(browser, town, homes):
    secret = add_user(town, "quality-of-homes", Role.OPERATOR, areas=frozenset({homes}))
    limited = signed_in(browser.app, secret)
    for path in ("/quality", "/quality/points", "/quality.csv", "/quality/points.csv"):
        text = limited.get(path).text
        assert "1号楼208室" in text or "1号公变台区" in text, path
        assert not any(other in text for other in ("2号公变台区", "便民超市")), path
    assert limited.get(f"/points/{town.points['000000000119']}/days/2026-11-22").status_code == 404
    factory = next(iter(set(range(1, 4)) - {homes}))
    assert limited.get(f"/quality/points?area={factory}").status_code == 404


def test_an_empty_installation_says_what_to_do(empty):
    page = empty.get("/quality?lang=en").text
    assert "No site yet." in page
    assert "Import meters" in page
