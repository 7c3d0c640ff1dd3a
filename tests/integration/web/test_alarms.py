"""Alarms and notices on pages and in the API: what they say, who may do what, what is out of scope is not there."""

import asyncio
import json
from datetime import timedelta
from decimal import Decimal

import httpx2
import pytest
from tests.integration.web.conftest import add_user, signed_in

from wattkeeper.collection.values import LiveReading
from wattkeeper.kernel.hub import Message
from wattkeeper.monitoring.models import SubjectKind
from wattkeeper.monitoring.values import FindingFilter
from wattkeeper.security.rights import Role
from wattkeeper.web.access import COOKIE
from wattkeeper.web.application import create_application
from wattkeeper.web.server import build_server

HOME, FACTORY = "000000000100", "000000000123"


def readings(town, address, *values, quantity="voltage_l1"):
    meter = town.meters[address]
    return [
        Message(
            "reading",
            [LiveReading(meter_id=meter, quantity=quantity, value=Decimal(value), unit="V", read_at=town.now, exchange_id=town.exchanges[meter])],
        )
        for value in values
    ]  # fmt: skip


@pytest.fixture(scope="module")
def troubled(town):
    """The town with two voltages too high, a silent meter and a link down."""
    town.monitoring.tick(town.now, readings(town, HOME, "240.0", "248.3"))
    town.monitoring.tick(town.now + timedelta(seconds=2), readings(town, FACTORY, "241.0", "242.0"))
    return town


def alarm(town, address, code="voltage_high"):
    found = town.monitoring.findings(FindingFilter(state="all", code=code, search=address)).rows
    return found[0]


def test_the_list_says_what_is_wrong_in_the_visitors_language(troubled, client, english):
    assert "电表 000000000100 A相电压越上限：248.3 V &gt; 235.4 V" in client.get("/alarms").text
    page = english.get("/alarms").text
    assert "Meter 000000000100: Voltage L1 too high, 248.3 V &gt; 235.4 V" in page
    assert "Link works is down" in page
    assert "Meter 000000000107 does not answer" in page
    assert 'data-alarms data-state="bad"' in page


def test_filters_and_empty_states(troubled, english):
    assert "Link works is down" not in english.get("/alarms?severity=warning").text
    assert "No alarm matches." in english.get("/alarms?search=nowhere").text
    assert "No alarm matches." in english.get("/alarms?state=cleared").text
    assert english.get("/alarms?state=nonsense").status_code == 422
    fragment = english.get("/alarms", headers={"hx-request": "true", "hx-target": "div#results"}).text
    assert "<html" not in fragment
    assert "000000000100" in fragment


def test_the_page_of_an_alarm_shows_what_it_rests_on_and_leads_to_the_frame(troubled, english):
    found = alarm(troubled, HOME)
    page = english.get(f"/alarms/{found.id}").text
    assert "235.4 V" in page
    assert f'href="/exchanges/{troubled.exchanges[troubled.meters[HOME]]}"' in page
    assert "GB/T 12325-2008" in page
    assert "22 Nov 2026, 17:37:05" in page, "times are the site's"
    assert f'href="/meters/{troubled.meters[HOME]}"' in page
    assert english.get("/alarms/999999").status_code == 404


def test_acknowledging_is_once_with_a_note_and_on_record(troubled, english):
    found = alarm(troubled, FACTORY)
    answer = english.post(
        f"/alarms/{found.id}/acknowledge", data={"note": "Tap is being set."}, follow_redirects=False
    )
    assert (answer.status_code, answer.headers["location"]) == (303, f"/alarms/{found.id}")
    page = english.get(f"/alarms/{found.id}").text
    assert "Acknowledged by chief" in page
    assert "Tap is being set." in page
    assert '<form method="post" action="/alarms/' not in page
    again = english.post(f"/alarms/{found.id}/acknowledge")
    assert "was acknowledged by chief already" in again.text
    problem = english.post(f"/api/v1/alarms/{found.id}/acknowledge", json={})
    assert (problem.status_code, problem.json()["type"]) == (
        409,
        "urn:wattkeeper:problem:already-acknowledged",
    )


def test_the_api_lists_pages_and_tells_evidence(troubled, english):
    first = english.get("/api/v1/alarms?limit=2").json()
    assert (len(first["items"]), first["total"]) == (2, 4)
    rest = english.get("/api/v1/alarms", params={"limit": 2, "after": first["next"]}).json()
    assert len({item["id"] for item in first["items"] + rest["items"]}) == 4
    one = english.get(f"/api/v1/alarms/{alarm(troubled, HOME).id}").json()
    assert (one["code"], one["severity"], one["evidence"]["limit"]) == ("voltage_high", "warning", "235.4")
    assert one["text"] == "Meter 000000000100: Voltage L1 too high, 248.3 V > 235.4 V"
    assert english.get("/api/v1/alarms?after=nonsense").status_code == 400
    assert english.get("/api/v1/alarms?severity=dreadful").status_code == 422


def test_alarms_out_of_scope_are_not_there(troubled, browser, english):
    with troubled.database.read() as session:
        area = troubled.services().registry(session).area_by_code(1, "A1")
    limited = signed_in(browser.app, add_user(troubled, "areaone", Role.OPERATOR, areas=frozenset({area.id})))
    inside, outside = alarm(troubled, HOME), alarm(troubled, FACTORY)
    page = limited.get("/alarms").text
    assert HOME in page
    assert FACTORY not in page
    assert limited.get(f"/alarms/{inside.id}").status_code == 200
    assert limited.get(f"/alarms/{outside.id}").status_code == 404
    assert limited.post(f"/api/v1/alarms/{outside.id}/acknowledge", json={}).status_code == 404
    assert {item["subject_name"] for item in limited.get("/api/v1/alarms").json()["items"]} <= {
        HOME, "000000000107", "north",
    }  # fmt: skip
    assert limited.get("/notices").status_code == 403


def test_recipients_are_added_refused_and_removed(troubled, english):
    area = {"email": "duty@example.org", "language": "zh", "severity": "critical", "part": "site:1"}
    assert english.post("/notices/recipients", data=area, follow_redirects=False).status_code == 303
    page = english.get("/notices").text
    assert "duty@example.org" in page
    assert "滨江社区" in page
    assert "No mail server is set up" in page
    assert "is told of that already" in english.post("/notices/recipients", data=area).text
    wrong = english.post("/api/v1/notice-recipients", json={"email": "nobody"})
    assert (wrong.status_code, wrong.json()["type"]) == (422, "urn:wattkeeper:problem:recipient-refused")
    [listed] = english.get("/api/v1/notice-recipients").json()
    assert (listed["site_id"], listed["minimum_severity"]) == (1, "critical")
    assert english.post(f"/api/v1/notice-recipients/{listed['id']}/test").status_code == 503
    assert english.delete(f"/api/v1/notice-recipients/{listed['id']}").status_code == 204
    assert english.delete(f"/api/v1/notice-recipients/{listed['id']}").status_code == 404
    assert "Nothing has been sent yet." in english.get("/notices").text
    assert english.get("/api/v1/notices").json() == {"items": [], "next": None, "total": None}


@pytest.mark.parametrize("path", ["/alarms.csv", "/alarms.xlsx", "/notices.csv"])
def test_tables_leave_as_files(troubled, english, path):
    answer = english.get(path)
    assert answer.status_code == 200
    assert path != "/alarms.csv" or "Voltage L1 too high" in answer.content.decode("utf-8-sig")


def test_the_open_alarms_of_a_meter(troubled):
    [found] = troubled.monitoring.of_subject(SubjectKind.METER, troubled.meters[HOME])
    assert found.code == "voltage_high"


async def test_open_pages_are_told_of_a_new_alarm(troubled, administrator):
    server = build_server(create_application(troubled.services()), port=0)
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(20):
            while not server.started:  # noqa: ASYNC110 (nobody announces it)
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            listening = asyncio.create_task(_first_alarm(f"http://127.0.0.1:{port}", administrator))
            while not troubled.hub.subscribers("finding"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            low = readings(troubled, HOME, "190.0", "189.0", quantity="voltage_l2")
            before = troubled.monitoring.counts().unacknowledged
            await asyncio.to_thread(troubled.monitoring.tick, troubled.now + timedelta(seconds=4), low)
            told = await listening
    finally:
        server.should_exit = True
        await serving
    assert told["count"] == before + 1
    assert told["state"] == "bad"
    assert told["raised"] == [
        {
            "href": f"/alarms/{alarm(troubled, HOME, 'voltage_low').id}",
            "text": "Meter 000000000100: Voltage L2 too low, 189.0 V < 198.0 V",
            "state": "warn",
        }
    ]


async def _first_alarm(address, secret):
    async with (
        httpx2.AsyncClient(base_url=address, timeout=20, cookies={COOKIE: secret}) as http,
        http.stream("GET", "/events?topics=tick,alarms", headers={"accept-language": "en"}) as answer,
    ):
        lines = answer.aiter_lines()
        async for line in lines:
            if line == "event: alarms":
                return json.loads((await anext(lines))[6:])
    return None
