"""Series over the API: any of the named, reduced honestly, and as files."""

import io
from decimal import Decimal

import pyarrow.csv
import pyarrow.parquet
import pytest

API = "/api/v1/series"


def asked(client, **params):
    return client.get(API, params=params)


def total(answer):
    return [Decimal(series["total"]) for series in answer["shown"]["series"]]


def test_a_point_by_id_by_code_and_its_meter_by_address_are_the_same_energy(client):
    meter = client.get("/api/v1/meters/1").json()
    period = {"period": "last-month", "resolution": "day"}
    by_id = asked(client, point_id=1, **period).json()
    by_code = asked(client, point=by_id["shown"]["series"][0]["code"], **period).json()
    by_meter = asked(client, meter=meter["address"], **period).json()
    assert total(by_id) == total(by_code) == total(by_meter) == [Decimal("265.0700")]
    assert (by_id["resolution"], by_id["reduced"], len(by_id["shown"]["starts"])) == ("day", None, 31)
    assert by_id["shown"]["start"] == "2026-09-30T16:00:00Z"
    assert set(by_id["shown"]["series"][0]["status"]) == {"measured"}
    assert by_meter["shown"]["series"][0]["kind"] == "meter"


def test_what_does_not_fit_is_added_up_and_says_so(client):
    answer = asked(
        client, point_id=1, start="2026-01-01T00:00", end="2026-12-01T00:00", resolution="15min"
    ).json()
    assert answer["resolution"] == "hour"
    assert answer["reduced"] == {
        "asked": "15min",
        "why": "limit",
        "how": "sum",
        "kept": ["lowest", "highest"],
    }
    series = answer["shown"]["series"][0]
    assert len(series["energy"]) <= 10_000
    first = next(place for place, energy in enumerate(series["energy"]) if energy is not None)
    assert (
        Decimal(series["lowest"][first])
        <= Decimal(series["mean"][first])
        <= Decimal(series["highest"][first])
    )


def test_an_area_is_the_sum_of_its_points_and_together_of_all_that_is_named(client):
    area = next(line for line in client.get("/api/v1/areas").json()[0]["children"])
    found = asked(client, area_id=area["id"], period="last-month", resolution="month").json()
    assert found["shown"]["series"][0]["code"] == area["code"]
    both = asked(client, point_id=[1, 2], period="last-month", resolution="month").json()
    summed = asked(client, point_id=[1, 2], period="last-month", resolution="month", together=True).json()
    assert total(summed) == [sum(total(both))]
    assert [one["kind"] for one in summed["shown"]["series"]] == ["together"]


def test_a_period_is_compared_with_the_one_before(client):
    answer = asked(client, point_id=1, period="month", resolution="day", compare="previous").json()
    assert (answer["before"]["start"], answer["before"]["end"]) == (
        "2026-09-30T16:00:00Z",
        "2026-10-31T16:00:00Z",
    )
    assert answer["before"]["series"][0]["total"] == "265.0700"
    last_year = asked(client, point_id=1, period="month", compare="year-before").json()
    assert last_year["before"]["start"] == "2025-10-31T16:00:00Z"
    assert last_year["before"]["series"][0]["total"] is None
    assert set(last_year["before"]["series"][0]["status"]) == {"missing"}


def test_what_was_known_then_is_told_as_it_was(client):
    early = asked(
        client, point_id=1, period="last-month", resolution="month", as_known_at="2026-01-01T00:00:00Z"
    )
    assert early.json()["shown"]["series"][0]["total"] is None


def test_samples_have_their_lowest_and_highest(client):
    answer = asked(client, meter_id=1, quantity="voltage_l1", period="today", resolution="day").json()
    series = answer["shown"]["series"][0]
    assert (answer["unit"], series["energy"], series["readings"]) == ("V", None, [1])
    assert series["lowest"] == series["highest"] == series["mean"] == ["230.4000"]
    at_point = asked(client, point_id=1, quantity="voltage_l1", period="today", resolution="day").json()
    assert at_point["shown"]["series"][0]["last"] == ["230.4000"]


@pytest.mark.parametrize(
    ("params", "status", "said"),
    [
        ({}, 422, "No meter, metering point or area is named"),
        ({"point": "nowhere"}, 404, "There is no metering point nowhere"),
        ({"point_id": 1, "quantity": "active_demand_import_max_occurred_at"}, 400, "has no course over time"),
        ({"point_id": 1, "quantity": "voltage"}, 404, "There is no quantity"),
        ({"point_id": 1, "zone": "Mars/Olympus"}, 400, "no time zone"),
        ({"point_id": 1, "resolution": "second"}, 422, ""),
    ],
)
def test_what_cannot_be_answered_is_said(client, params, status, said):
    answer = asked(client, **params)
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_the_file_has_every_slot_in_each_format(client):
    params = {"point_id": [1, 2], "period": "last-month", "resolution": "hour"}
    tables = []
    for file_format, read in (
        ("csv", lambda data: pyarrow.csv.read_csv(io.BytesIO(data))),
        ("parquet", lambda data: pyarrow.parquet.read_table(io.BytesIO(data))),
        ("arrow", lambda data: pyarrow.ipc.open_stream(data).read_all()),
    ):
        answer = client.get(f"{API}/file", params=params | {"format": file_format})
        assert answer.status_code == 200
        tables.append(read(answer.content))
    assert {table.num_rows for table in tables} == {2 * 31 * 24}
    json = asked(client, **params).json()
    for table in tables[1:]:
        assert [None if e is None else f"{e:f}" for e in table["energy"].to_pylist()] == [
            energy for series in json["shown"]["series"] for energy in series["energy"]
        ]
    first = client.get(f"{API}/file", params=params).text.splitlines()
    assert first[1].startswith('"point",')
    assert "2026-10-01T00:00:00+08:00" in first[1]
