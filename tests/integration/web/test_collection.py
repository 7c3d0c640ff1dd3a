"""Reading quality and clocks: what the ledger has counted, as pages, files and the API tell it, to whom it concerns."""

import csv
import io
import re
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.integration.web.conftest import NOW, SILENT, add_user, signed_in

from wattkeeper.collection.counts import NO_METER, HourKey
from wattkeeper.collection.models import MeterProgress
from wattkeeper.collection.repository import CollectionRepository
from wattkeeper.registry.models import Area
from wattkeeper.security.rights import Role

HOUR = NOW.replace(minute=0, second=0)
DLT = "dlt645-2007"
HOME, SHOP = "000000000100", "000000000119"
"""A household of area A1 on the link north, and a shop of area A2 on the link south."""


@pytest.fixture(scope="module")
def counted(town):
    """Two hours of north and south, a week-old hour of works, and four clocks."""
    north, south, works = (town.links[code] for code in ("north", "south", "works"))
    home, shop = town.meters[HOME], town.meters[SHOP]
    with town.database.write() as session:
        repository = CollectionRepository(session)
        repository.add_counts(
            {
                HourKey(HOUR, north, home, DLT): Counter(attempts=11, reads=10, first_time=9, succeeded=10, answer_ms=1500),
                HourKey(HOUR - timedelta(hours=1), north, home, DLT): Counter(attempts=10, reads=10, first_time=10, succeeded=10, answer_ms=500),
                HourKey(HOUR, south, shop, DLT): Counter(attempts=9, reads=4, first_time=1, succeeded=1, answer_ms=100, no_reply=2, garbled=1),
                HourKey(HOUR, south, NO_METER, DLT): Counter(reads=1, link_down=1),
                HourKey(HOUR - timedelta(days=6), works, 0, DLT): Counter(reads=7, link_down=7),
            }
        )  # fmt: skip
        seconds = {HOME: -2.5, SHOP: 3600 + 23 * 60, "000000000101": 61, SILENT: -5.1}
        repository.save_clocks(
            {town.meters[address]: (timedelta(seconds=off), NOW) for address, off in seconds.items()}
        )
    yield town
    with town.database.write() as session:  # the other tests of this town have seen no clock
        for row in session.scalars(select(MeterProgress)):
            session.delete(row)


@pytest.fixture(scope="module")
def limited(counted, browser):
    """An operator of the households only."""
    with counted.database.read() as session:
        area = session.scalars(select(Area.id).where(Area.code == "A1")).one()
    return signed_in(browser.app, add_user(counted, "homes-only", Role.OPERATOR, areas=frozenset({area})))


def table(answer) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.split("<main", 1)[1]))


def test_the_worst_link_comes_first_and_leads_to_its_page(counted, english):
    page = english.get("/collection?period=today").text
    assert re.findall(r'<td class="nowrap" data-label="Link"><a href="(/links/\w+)">', page) == [
        "/links/south",
        "/links/north",
    ]
    shown = text_of(page)
    # 25 reads, 21 succeeded, 20 of them at once, 30 requests for the 24 that could be sent, 2100 ms for 21 answers.
    assert "Success 84.0% 25 reads" in shown
    assert "At the first attempt 80.0%" in shown
    assert "Requests sent again 6 of 30 requests" in shown
    assert "Mean answer time 100 ms" in shown


def test_the_reasons_of_failure_say_where_to_look(counted, english):
    shown = text_of(english.get("/collection").text)
    assert "No reply 2 50.0% Supply, wiring, address or baud rate" in shown
    assert "Garbled 1 25.0% Noise, termination" in shown
    assert "Refused 0" not in shown


def test_the_hours_of_a_link_are_drawn_to_scale(counted, english):
    page = english.get("/collection?link=north").text
    bars = re.findall(r"<title>[^<]*?(\d\d:\d\d: [^<]*)</title>((?:<rect[^>]*>)+)", page)
    assert [title for title, _ in bars] == [
        "16:00: 10 reads, 100.0% succeeded, 100.0% at the first attempt",
        "17:00: 10 reads, 100.0% succeeded, 90.0% at the first attempt",
    ]
    assert re.findall(r'class="(\w+)" x="(\d+)" y="([\d.]+)" width="8" height="([\d.]+)"', bars[1][1]) == [
        ("first", "170", "10.00", "90.00"),
        ("later", "170", "0.00", "10.00"),
    ]
    assert 'viewBox="0 0 240 100"' in page
    assert "00:00" in page


def test_the_page_of_a_link_has_its_hours_of_today(counted, english):
    assert "Reads today, hour by hour" in english.get("/links/north").text
    assert "Reads today, hour by hour" not in english.get("/links/works").text


def test_a_longer_period_counts_what_was_before(counted, english):
    assert "/links/works" not in english.get("/collection").text
    page = english.get("/collection?period=last-7-days").text
    assert re.findall(r'<td class="nowrap" data-label="Link"><a href="/links/(\w+)">', page) == [
        "works",
        "south",
        "north",
    ]
    assert 'viewBox="0 0 1680 100"' in page


def test_the_files_hold_the_same_and_all_columns(counted, english):
    rows = table(english.get("/collection.csv"))
    assert rows[0][:4] == ["Code", "Link", "Reads", "Succeeded"]
    assert rows[1][:9] == ["south", "南区总线", "5", "1", "20", "20", "5", "100", "0"]
    assert rows[1][9:] == ["2", "1", "0", "0", "1"]
    assert [row[0] for row in table(english.get("/collection/protocols.csv"))[1:]] == ["DL/T 645-2007"]
    assert [row[1] for row in table(english.get("/collection/hours.csv?link=north"))[1:]] == ["10", "10"]
    assert english.get("/collection/hours.xlsx").content.startswith(b"PK")


def test_the_api_tells_apart_what_is_asked(counted, english):
    found = english.get("/api/v1/collection/statistics?by=link,protocol").json()
    assert [(item["link"], item["protocol"], item["reads"], item["retries"]) for item in found] == [
        ("north", DLT, 20, 1),
        ("south", DLT, 5, 5),
    ]
    assert found[1]["failures"] == {"no_reply": 2, "garbled": 1, "link_down": 1}
    assert (found[0]["success"], found[0]["mean_answer_ms"], found[0]["hour"], found[0]["meter"]) == (
        1.0,
        100.0,
        None,
        None,
    )
    hours = english.get(f"/api/v1/collection/statistics?by=hour&meter={counted.meters[HOME]}").json()
    assert [(item["hour"], item["reads"]) for item in hours] == [
        ("2026-11-22T08:00:00Z", 10),
        ("2026-11-22T09:00:00Z", 10),
    ]
    assert english.get("/api/v1/collection/statistics?by=&period=last-30-days").json()[0]["reads"] == 32


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("by=colour", 400, "told apart"),
        ("link=nowhere", 404, "nowhere"),
        ("meter=999999", 404, "999999"),
        ("period=someday", 400, "someday"),
    ],
)
def test_the_api_says_what_it_cannot_answer(counted, english, query, status, says):
    answer = english.get(f"/api/v1/collection/statistics?{query}")
    assert (answer.status_code, says in answer.json()["detail"]) == (status, True)


def test_whoever_sees_one_area_gets_its_meters_only(counted, limited):
    found = limited.get("/api/v1/collection/statistics?by=meter").json()
    assert [item["meter"] for item in found] == [counted.meters[HOME]]
    links = limited.get("/api/v1/collection/statistics?by=link").json()
    assert [(item["link"], item["reads"], item["failures"]) for item in links] == [
        ("north", 20, {}),
        (
            "south",
            1,
            {"link_down": 1},
        ),  # it carries households too: its outage is theirs, the shop's reads are not
    ]
    assert "Requests sent again 1 of 21 requests" in text_of(limited.get("/collection").text)
    assert limited.get(f"/api/v1/collection/statistics?meter={counted.meters[SHOP]}").status_code == 404
    assert limited.get("/api/v1/collection/statistics?link=works").status_code == 404
    assert HOME in limited.get("/clocks").text
    assert SHOP not in limited.get("/clocks").text
    assert SHOP not in limited.get("/clocks.csv").text


def test_the_worst_clock_comes_first_and_can_be_set(counted, english):
    page = english.get("/clocks").text
    assert re.findall(r'<td data-label="Clock"><span class="state" data-state="(\w+)">([^<]*)', page) == [
        ("bad", "1 h 23 min ahead"),
        ("warn", "1 min 1 s ahead"),
        ("ok", "5.1 s behind"),
        ("ok", "2.5 s behind"),
    ]
    assert f'href="/commands/new?kind=set_clock&amp;meter={counted.meters[SHOP]}"' in page
    assert "More than 5 min off raises an alarm." in page


def test_clocks_are_counted_by_how_far_they_are_off(counted, english):
    page = english.get("/clocks").text
    bands = re.findall(r'href="(/clocks\?band=\w+)"[^>]*>.*?<div class="figure">(\d+)</div>', page)
    assert bands == [
        ("/clocks?band=good", "1"),
        ("/clocks?band=small", "1"),
        ("/clocks?band=large", "1"),
        ("/clocks?band=beyond", "1"),
        ("/clocks?band=unknown", "20"),
    ]
    assert re.findall(
        r'<td data-label="Address"><a class="mono" href="/meters/\d+">(\d+)',
        english.get("/clocks?band=large").text,
    ) == ["000000000101"]
    assert "no deviation to show" in english.get("/clocks?band=unknown").text


def test_clocks_leave_as_a_file_in_seconds(counted, english):
    rows = table(english.get("/clocks.csv"))
    assert [(row[0], row[3]) for row in rows[1:]] == [
        (SHOP, "4980"),
        ("000000000101", "61"),
        (SILENT, "-5.1"),
        (HOME, "-2.5"),
    ]
    assert rows[0] == ["Address", "Metering point", "Link", "Deviation (s)", "Measured (Asia/Shanghai)"]


def test_clocks_go_on_by_page(counted, town):
    from wattkeeper.web.language import language
    from wattkeeper.web.queries.clocks import clock_lines

    seen, after = [], None
    while True:
        found = clock_lines(town.services(), language("en"), after=after, limit=1)
        seen += [line.address for line in found.lines]
        after = found.after
        if after is None:
            break
    assert seen == [SHOP, "000000000101", SILENT, HOME]


def test_without_anything_read_the_pages_say_so(empty):
    assert "No meter was read in this period" in empty.get("/collection?lang=en").text
    assert "No clock was measured yet." in empty.get("/clocks?lang=en").text
