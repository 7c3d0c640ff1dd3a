"""Registers that run over, told from those that fall."""

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.web.queries.events import ran_over, register_events

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = TimeRange(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))


@pytest.mark.parametrize(
    ("before", "value", "digits", "over"),
    [
        pytest.param("999999.87", "3.20", 6, True, id="through zero"),
        pytest.param("9999.9", "0.0", 4, True, id="exactly to zero"),
        pytest.param("500.00", "499.00", 6, False, id="a step back"),
        pytest.param("500000.01", "0.00", 6, True, id="just more than half way"),
        pytest.param("500000.00", "0.00", 6, False, id="half way: it may as well have been reset"),
        pytest.param("10000.5", "3.0", 4, False, id="more than the display has"),
        pytest.param("3.20", "3.20", 6, False, id="unchanged"),
        pytest.param("3.20", "4.00", 6, False, id="forward"),
    ],
)
def test_a_register_ran_over_where_the_way_through_zero_is_the_shorter_one(before, value, digits, over):
    assert ran_over(Decimal(before), Decimal(value), digits) is over


def readings(*rows):
    return pa.Table.from_pylist(
        [
            {"meter_id": 7, "quantity": quantity, "read_at": NOON.replace(minute=minute), "value": Decimal(value), "status": status,
             "source": "meter", "exchange_id": None}
            for minute, quantity, value, status in rows
        ],
        READING_SCHEMA,
    )  # fmt: skip


def test_rollovers_are_found_in_the_readings_themselves(tmp_path):
    energy, export = "active_energy_import", "active_energy_export"
    with ReadingsStore.open(tmp_path / "readings") as store:
        store.append_readings(
            readings(
                (0, energy, "999999.90", 0), (15, energy, "0.35", 0), (30, energy, "0.60", 0), (45, energy, "0.40", 0),
                (0, export, "5.00", 0), (15, export, "4.00", 4), (30, export, "5.10", 0),
            ),
            NOON,
        )  # fmt: skip
        found = list(register_events(store, 7, 6, DAY))
    assert [(event.kind, event.at.minute, event.facts["counted"]) for event in found] == [
        ("rollover", 15, Decimal("0.45")),  # 0.35 + 1,000,000 - 999,999.90
        ("register_fell", 45, None),  # a reading that validation doubts, of the export, is passed over
    ]
