"""Energy between two registers has the meter's ratio once, and none where a register cannot be believed."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from wattkeeper.billing.registers import register_ends
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.registry.values import InstalledMeter

START = datetime(2026, 1, 1, tzinfo=UTC)
MONTH = TimeRange(START, START + timedelta(days=30))


@pytest.fixture
def between():
    def run(*registers, ratio=1, first="0", digits=6, at=None, installed=START - timedelta(days=400)):
        meter = InstalledMeter(
            1,
            1,
            1,
            TimeRange(installed, None),
            Decimal(ratio),
            digits,
            2,
            Decimal(first),
            None,
            15,
            ZoneInfo("Asia/Shanghai"),
            Decimal(10_000),
        )
        times = at or [MONTH.start, MONTH.end]
        rows = [
            {
                "meter_id": 1,
                "quantity": "active_energy_import",
                "read_at": moment,
                "value": Decimal(value),
                "status": 0,
                "source": "meter",
                "exchange_id": number,
            }
            for number, (moment, value) in enumerate(zip(times, registers, strict=True))
        ]
        return register_ends(
            pa.Table.from_pylist(rows, schema=READING_SCHEMA), meter, "active_energy_import", MONTH
        )

    return run


def ratio_of(case):
    parts = [case["input"].get(name, "1/1").split("/") for name in ("ct", "pt")]
    return Decimal(parts[0][0]) / Decimal(parts[0][1]) * Decimal(parts[1][0]) / Decimal(parts[1][1])


def test_published_ratios_of_current_and_voltage_transformers(shared, between):
    lines = (shared / "cases" / "billing_cases.jsonl").read_text(encoding="utf-8").splitlines()
    cases = {case["id"]: case for case in map(json.loads, lines) if case["kind"] == "multiplier"}
    assert between("100", "120", ratio=ratio_of(cases["MULT-CN-100/5"])).energy_kwh == 400
    assert between("150", "200", ratio=ratio_of(cases["MULT-CN-50/5"])).energy_kwh == 500
    wrong = cases["MULT-CN-6KV-BAD"]
    energy = between("0", "1", ratio=ratio_of(wrong)).energy_kwh
    assert energy == Decimal(wrong["recomputed"]["multiplier"])
    assert energy != Decimal(wrong["expected"]["multiplier"])


def test_a_register_that_rolled_over_goes_on_counting(between):
    assert between("99850", "120", digits=5, first="90000").energy_kwh == 270


def test_the_registers_and_their_exchanges_stand_at_both_ends(between):
    ends = between("12.34", "56.78")
    assert (ends.start, ends.end, ends.start_exchange_id, ends.end_exchange_id) == (
        Decimal("12.34"),
        Decimal("56.78"),
        0,
        1,
    )


def test_without_a_register_near_an_end_there_is_no_energy(between):
    ends = between("1", "2", at=[MONTH.start, MONTH.end - timedelta(minutes=5)])
    assert (ends.start, ends.end, ends.energy_kwh) == (1, None, None)


def test_a_meter_put_up_at_the_start_begins_with_the_register_noted_then(between):
    ends = between("30", at=[MONTH.end], first="7", installed=MONTH.start)
    assert (ends.start, ends.end, ends.start_exchange_id, ends.energy_kwh) == (7, 30, None, 23)
