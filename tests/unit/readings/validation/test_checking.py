"""The rules over tables alone: clean meters raise nothing, order does not matter, and known defects of real data are found."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.intervals import decimals
from wattkeeper.readings.schemas import INSTANT
from wattkeeper.readings.validation.checking import FINDING_SCHEMA, Context, MeterFacts, check
from wattkeeper.readings.validation.parameters import Parameters
from wattkeeper.readings.validation.values import ParameterValue

BEGIN = datetime(2026, 3, 9, 16, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def table(quantity: str, at: list[datetime], values: list[Any], meter: int = 1, **more: Any) -> pa.Table:
    columns = {
        "meter_id": pa.array([meter] * len(at), pa.int64()),
        "quantity": pa.array([quantity] * len(at), pa.string()),
        "read_at": pa.array(at, INSTANT),
        "value": pa.array([Decimal(str(value)) for value in values], pa.decimal128(18, 4)),
    }
    return pa.table(columns | more)


def codes(found: pa.Table) -> Counter[str]:
    return Counter(found["code"].to_pylist())


def grid(begin: datetime, count: int, minutes: int = 15) -> list[datetime]:
    return [begin + place * timedelta(minutes=minutes) for place in range(count)]


household = MeterFacts(
    meter_id=1,
    kind="household",
    register_digits=6,
    rated_power_kw=Decimal(10),
    interval_minutes=15,
    zone=SHANGHAI,
)


@st.composite
def clean_meters(draw: st.DrawFn) -> pa.Table:
    """Two days and a night of an ordinary home: registers that add up, voltages and currents of a healthy supply."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = 2 * 96 + 1
    tariffs = [np.zeros(count, np.int64) for _ in range(4)]
    for place, steps in enumerate(random.integers(10, 40, count)):  # hundredths: 0.4 to 1.6 kW
        tariffs[place * 4 // 96 % 4][place:] += steps
    at = grid(BEGIN, count)
    parts = {f"active_energy_import_t{n}": tariff for n, tariff in enumerate(tariffs, start=1)}
    parts["active_energy_import"] = sum(tariffs)
    tables = [table(key, at, list(np.asarray(units) / 100)) for key, units in parts.items()]
    for phase in ("l1", "l2", "l3"):
        tables.append(table(f"voltage_{phase}", at, list(np.round(random.uniform(224, 228, count), 1))))
        tables.append(table(f"current_{phase}", at, list(np.round(random.uniform(0.8, 1.2, count), 3))))
    tables.append(table("frequency", at, list(np.round(random.uniform(49.9, 50.1, count), 2))))
    return pa.concat_tables(tables)


@settings(max_examples=20, deadline=None)
@given(clean_meters())
def test_a_clean_meter_raises_nothing(readings: pa.Table) -> None:
    assert check(readings, Context(facts=[household])).to_pylist() == []


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(st.integers(0, 10_000_000), min_size=3, max_size=40),
    order=st.randoms(use_true_random=False),
)
def test_what_is_found_does_not_depend_on_the_order_of_rows(values: list[int], order: Any) -> None:
    at = grid(BEGIN, len(values))
    readings = pa.concat_tables(
        [
            table("active_energy_import", at, [v / 100 for v in values]),
            table("voltage_l1", at, [v / 10_000 for v in values]),
        ]
    )
    rows = list(range(readings.num_rows))
    order.shuffle(rows)
    told = check(readings, Context(facts=[household]))
    assert told.schema == FINDING_SCHEMA
    assert check(readings.take(rows), Context(facts=[household])) == told


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.integers(0, 3_000), min_size=8, max_size=120), day=st.integers(0, 4))
def test_a_day_judged_alone_is_told_as_it_is_among_others(values: list[int], day: int) -> None:
    """What the service does: a few days with what surrounds them say of themselves what all days would."""
    readings = table("active_energy_import", grid(BEGIN, len(values), 60), [v / 100 for v in values])
    start = int((BEGIN + timedelta(days=day)).timestamp() * 1e6)
    one = check(readings, Context(facts=[household], days=[(1, start, start + 86_400_000_000)]))
    whole = check(readings, Context(facts=[household])).to_pylist()
    inside = [
        row
        for row in whole
        if row["code"] != "missing" and start <= _us(row["start_at"]) < start + 86_400_000_000
    ]
    assert [row for row in one.to_pylist() if row["code"] != "missing"] == inside


def _us(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6)


def test_nothing_is_found_in_nothing() -> None:
    assert check(table("active_energy_import", [], []), Context()).num_rows == 0
    assert check(table("active_energy_import", [BEGIN], [1]), Context(facts=[])).num_rows == 0


@pytest.mark.parametrize(
    ("day", "slots"), [(date(2026, 3, 29), 92), (date(2026, 3, 28), 96), (date(2026, 10, 25), 100)]
)
def test_a_day_has_as_many_quarter_hours_as_its_zone_gives_it(day: date, slots: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    period = TimeRange.day(day, berlin)
    facts = MeterFacts(meter_id=1, interval_minutes=15, zone=berlin)
    days = [(1, _us(period.start), _us(period.closed_end))]
    readings = table("active_energy_import", [period.start], [0])
    (found,) = check(readings, Context(facts=[facts], days=days)).to_pylist()
    assert found["code"] == "missing"
    evidence = json.loads(found["evidence"])
    assert (evidence["expected"], evidence["missing"]) == (slots, slots - 1)


def test_a_value_of_a_class_goes_before_one_of_all_and_a_later_one_before_an_earlier_one() -> None:
    def version(number: int, kind: str, value: str, day: int) -> ParameterValue:
        since = BEGIN + timedelta(days=day)
        return ParameterValue(number, "voltage_high", kind, "limit_v", Decimal(value), since, since, "li")

    parameters = Parameters(
        [version(1, "*", "240", 0), version(2, "shop", "250", 1), version(3, "*", "245", 2)]
    )
    kinds = np.array(["shop", "office"])
    days = np.array([_us(BEGIN + timedelta(days=day)) for day in (-1, 0, 1, 2)])
    told = {
        kind: parameters.on_days("voltage_high", "limit_v", kinds, np.full(4, row), days).tolist()
        for row, kind in enumerate(kinds)
    }
    assert told == {"shop": [235.4, 240, 250, 250], "office": [235.4, 240, 240, 245]}


# -- real data ---------------------------------------------------------------------------------------------------------


def loads(kilowatts: np.ndarray, stamps: np.ndarray, meter: np.ndarray | None = None) -> pa.Table:
    """Mean powers as readings; stamps without a zone are taken as UTC, so that their civil days are days of UTC."""
    count = len(kilowatts)
    return pa.table(
        {
            "meter_id": pa.array(np.ones(count, np.int64) if meter is None else meter.astype(np.int64)),
            "quantity": pa.array(["active_power"]).take(pa.array(np.zeros(count, np.int64))),
            "read_at": pa.array(stamps.astype("datetime64[us]").astype(np.int64)).cast(INSTANT),
            "value": decimals(np.round(kilowatts * 10_000).astype(np.int64)),
        }
    )


@pytest.mark.parametrize(("minutes", "told"), [(2, 0), (14, 1)])
def test_a_register_that_a_poll_finds_unmoved_is_a_dip_only_where_it_would_have_moved(
    minutes: int, told: int
) -> None:
    # 1.2 kW are 30 last digits a quarter hour: 4 in two minutes, 28 in fourteen.
    quarters, registers = grid(BEGIN, 97), [Decimal(place * 30) / 100 for place in range(97)]
    polled = quarters[40] + timedelta(minutes=minutes)
    at = [*quarters[:41], polled, *quarters[41:]]
    values = [*registers[:41], registers[40], *registers[41:]]
    found = check(table("active_energy_import", at, values), Context(facts=[household]))
    assert codes(found)["dip"] == told


def days_of(found: pa.Table, code: str) -> set[str]:
    return {f"{row['start_at']:%Y-%m-%d}" for row in found.to_pylist() if row["code"] == code}


def test_the_near_zero_spikes_of_guangdong_are_dips(shared: Path) -> None:
    data = pq.read_table(shared / "data" / "guangdong_region_15min.parquet")
    readings = loads(data["kw"].to_numpy(), data["ts"].to_numpy())
    found = check(readings, Context(facts=[MeterFacts(meter_id=1, interval_minutes=15)]))
    assert {"2018-08-10", "2021-08-09"} <= days_of(found, "dip")
    assert "2019-06-15" in days_of(found, "low_history")  # all of that day is a tenth of the week before
    assert sum(_missing(row) for row in found.to_pylist()) == 388
    assert codes(found)["register_backwards"] == 0  # a load goes down without being wrong


def _missing(row: dict[str, Any]) -> int:
    return int(json.loads(row["evidence"])["missing"]) if row["code"] == "missing" else 0


def test_the_zero_voltages_and_doubled_stamps_of_the_transformer_are_told(shared: Path) -> None:
    data = pq.read_table(shared / "data" / "transformer_vi_15min.parquet")
    stamps = data["DeviceTimeStamp"].to_numpy().astype("datetime64[us]").astype(np.int64)
    parts = []
    for phase in ("1", "2", "3"):
        value = np.round(data[f"VL{phase}"].to_numpy() * 10_000).astype(np.int64)
        parts.append(
            pa.table(
                {
                    "meter_id": pa.array(np.ones(len(stamps), np.int64)),
                    "quantity": pa.array([f"voltage_l{phase}"] * len(stamps)),
                    "read_at": pa.array(stamps).cast(INSTANT),
                    "value": decimals(value),
                }
            )
        )
    found = check(pa.concat_tables(parts), Context())
    assert codes(found)["voltage_lost"] > 0
    unique, first = np.unique(stamps[::-1], return_index=True)
    assert len(stamps) - len(unique) == 437
    assert (codes(found)["duplicate_value"] > 0) == _differs(data, stamps, first)


def _differs(data: pa.Table, stamps: np.ndarray, last: np.ndarray) -> bool:
    """Whether any doubled stamp has two voltages, told in plain Python."""
    seen: dict[tuple[int, int], set[float]] = {}
    for phase in (1, 2, 3):
        for stamp, value in zip(stamps.tolist(), data[f"VL{phase}"].to_pylist(), strict=True):
            seen.setdefault((phase, stamp), set()).add(value)
    return any(len(values) > 1 for values in seen.values())


def test_the_doubled_half_hours_of_spring_forward_days_are_told(shared: Path) -> None:
    data = pq.read_table(shared / "data" / "sgsc_50hh_30min_raw.parquet")
    octobers = np.isin(
        data["ts_local"].to_numpy().astype("datetime64[M]"), np.array(["2012-10", "2013-10"], "M8[M]")
    )
    data = data.filter(pa.array(octobers))
    readings = loads(data["kwh"].to_numpy() * 2, data["ts_local"].to_numpy(), data["customer_id"].to_numpy())
    found = check(readings, Context())
    assert days_of(found, "duplicate_value") == {"2012-10-07", "2013-10-06"}
