"""The JSON API: pages by cursor, exact decimals, problems, and no 500 whatever is asked."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wattkeeper.web.access import routes
from wattkeeper.web.problems import MEDIA_TYPE

API = "/api/v1"


def test_lists_go_on_by_cursor_without_repeat_or_hole(client):
    addresses, after = [], None
    while True:
        page = client.get(
            f"{API}/meters", params={"limit": 7, "search": "0000000001"} | ({"after": after} if after else {})
        ).json()
        addresses += [item["address"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert addresses == sorted(set(addresses))
    assert len(addresses) == page["total"] == 24


def test_a_meter_has_identity_state_and_installations(client):
    meter = client.get(f"{API}/meters/24").json()
    assert meter["address"] == "000000000123"
    assert (meter["ratio"], meter["zone"], meter["state"]) == ("40", "Asia/Shanghai", "answering")
    assert meter["installations"][0]["start"] == "2026-09-30T16:00:00Z"
    assert meter["installations"][0]["end"] is None


def test_numbers_are_exact_strings_and_instants_are_utc(client, town):
    values = {item["quantity"]: item for item in client.get(f"{API}/meters/1/values").json()}
    assert values["voltage_l1"] == {
        "quantity": "voltage_l1", "obis": "1-0:32.7.0", "value": "230.4000", "unit": "V", "read_at": "2026-11-22T09:36:45Z",
        "source": "polled", "status": 0, "exchange_id": str(town.exchanges[1]),
    }  # fmt: skip


def test_a_load_curve_leaves_open_what_is_not_known(client):
    url = f"{API}/points/1/load-curve"
    curve = client.get(url, params={"period": "today"}).json()
    assert (curve["zone"], curve["start"], len(curve["starts"])) == (
        "Asia/Shanghai",
        "2026-11-21T16:00:00Z",
        96,
    )
    assert curve["energy_kwh"][-1] is None
    assert curve["status"].count("measured") == 70  # 17:30 is the last full quarter
    month = client.get(url, params={"period": "last-month", "resolution": "month"}).json()
    assert month["energy_kwh"] == ["265.0700"]
    assert month["total_kwh"] == "265.0700"
    days = client.get(url, params={"period": "last-month", "resolution": "day"}).json()
    assert len(days["starts"]) == 31


def test_all_points_together_are_the_sum_of_each(client, town):
    total = client.get(f"{API}/load-curve", params={"period": "last-month", "resolution": "month"}).json()[
        "total_kwh"
    ]
    each = [
        client.get(
            f"{API}/points/{point}/load-curve", params={"period": "last-month", "resolution": "month"}
        ).json()["total_kwh"]
        for point in town.points.values()
    ]
    from decimal import Decimal

    assert Decimal(total) == sum(map(Decimal, each))


def test_reading_now_goes_to_the_collector(client, town):
    answer = client.post(f"{API}/meters/1/read-now", params={"quantity": "voltage_l1"})
    assert answer.json()[0]["value"] == "229.7"
    assert town.collector.asked[-1] == (1, ("voltage_l1",))
    silent = client.post(f"{API}/meters/{town.meters['000000000107']}/read-now")
    assert silent.status_code == 502
    assert silent.json()["hint"] == "Check its wiring and its supply."


def test_an_exchange_is_explained(client, town):
    found = client.get(f"{API}/exchanges/{town.exchanges[1]}").json()
    assert found["outcome"] == "ok"
    assert [part["octets"] for part in found["request"][0]["parts"]][:3] == [
        "FE FE FE FE",
        "68",
        "00 01 00 00 00 00",
    ]
    assert found["reply"][0]["parts"][-3]["value"].endswith("kWh")


def test_a_payment_is_recorded_once_per_key(client, town):
    account = town.accounts["000000000109"]
    body = {"amount": "10.00", "currency": "CNY", "method": "card"}
    url, key = f"{API}/accounts/{account}/payments", {"Idempotency-Key": "once-and-only"}
    first, second = (client.post(url, json=body, headers=key) for _ in range(2))
    assert first.status_code == 201
    assert first.json()["cashier"] == "Chief"  # who is signed in
    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert len(town.billing.payments(account)) == 1
    other = client.post(url, json=body | {"amount": "11.00"}, headers=key)
    assert (other.status_code, other.json()["type"]) == (422, "urn:wattkeeper:problem:idempotency-key-reused")
    assert client.post(url, json=body).status_code == 422


def test_bills_tariffs_links_and_accounts_are_there(client):
    bills = client.get(f"{API}/bills", params={"limit": 5}).json()
    assert len(bills["items"]) == 5
    assert (
        client.get(f"{API}/bills", params={"limit": 5, "after": bills["next"]}).json()["items"][0]["id"]
        < bills["items"][-1]["id"]
    )
    assert client.get(f"{API}/bills/1").json()["readings"][0]["energy_kwh"].startswith("265.07")
    assert "cn-zhejiang-residential" in {tariff["code"] for tariff in client.get(f"{API}/tariffs").json()}
    assert [link["level"] for link in client.get(f"{API}/links").json()] == ["ok", "ok", "bad"]
    assert client.get(f"{API}/accounts", params={"search": "机械"}).json()["total"] == 1
    assert client.get(f"{API}/overview").json()["silent"] == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/meters/99999", 404),
        ("/meters/1/readings?quantity=voltage_l1&period=never", 400),
        ("/points/1/load-curve?period=last-300-days", 400),
        ("/points/1/load-curve?quantity=nonsense", 404),
        ("/meters?limit=0", 422),
        ("/meters?after=not-a-cursor", 422),
        ("/bills?after=x", 400),
        ("/exchanges/1", 404),
        ("/nothing", 404),
    ],
)
def test_an_error_is_a_problem_document(client, path, status):
    answer = client.get(API + path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == MEDIA_TYPE
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:wattkeeper:problem:")
    assert problem["detail"].endswith(".")


def test_a_value_that_may_not_be_json_is_no_error_of_ours(client):
    answer = client.post(
        f"{API}/accounts/1/payments",
        content=b"{",
        headers={"Idempotency-Key": "12345678", "content-type": "application/json"},
    )
    assert answer.status_code == 422


def test_the_description_lists_every_error_it_may_answer(client):
    described = client.get(f"{API}/openapi.json").json()
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert operation["tags"], f"{method} {path}"
            assert operation["summary"], f"{method} {path}"
            if "{" in path:
                assert "404" in operation["responses"], f"{method} {path}"
    text = json.dumps(described)
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', text)) == set(described["components"]["schemas"])
    assert "HTTPValidationError" not in text


WORDS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "-1", "0", "1e9", "9" * 25, "null", "day", "2026-13", "%00", "\x00", "today"]),
)


def gets(client):
    """Every address that can be opened, but for documents and the stream without end."""
    found = {route.path for route in routes(client.app) if "GET" in route.methods}
    return sorted(path for path in found if not path.endswith("pdf") and path != "/events")


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_get_answers_500_whatever_is_asked(client, data):
    path = data.draw(st.sampled_from(gets(client)))
    for part in re.findall(r"\{\w+\}", path):
        drawn = data.draw(st.sampled_from(["1", "24", "0", "-1", "x", "9" * 30, "%00", "north"]))
        path = path.replace(part, drawn)
    names = ["search", "link", "area", "state", "sort", "descending", "limit", "after", "period", "start", "end", "resolution",
             "quantity", "span", "at", "compare", "hex", "lang", "language",
             "account", "customer", "month", "unbilled", "kind", "show", "day", "cashier", "method", "estimated", "tariff", "q", "done"]  # fmt: skip
    query = data.draw(st.dictionaries(st.sampled_from(names), WORDS, max_size=3))
    answer = client.get(path, params=query)
    assert answer.status_code < 500, (path, query, answer.text[-300:])
