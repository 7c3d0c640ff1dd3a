"""Readings and installations as tables a person can check."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.registry.values import InstalledMeter


@pytest.fixture(scope="session")
def installed() -> Callable[..., InstalledMeter]:
    """One valid installation: six digits, no ratio, 10 kW, since the new year; any part can be given."""

    def build(**given: Any) -> InstalledMeter:
        values: dict[str, Any] = {
            "installation_id": 1,
            "point_id": 1,
            "meter_id": 1,
            "period": TimeRange(datetime(2026, 1, 1, tzinfo=UTC), None),
            "ratio": Decimal(1),
            "register_digits": 6,
            "register_decimals": 2,
            "first_register": Decimal(0),
            "last_register": None,
            "interval_minutes": 15,
            "zone": ZoneInfo("Asia/Shanghai"),
            "rated_power_kw": Decimal(10),
        }
        return InstalledMeter(**(values | given))

    return build


@pytest.fixture(scope="session")
def registers() -> Callable[..., pa.Table]:
    """Readings of ``(instant, value)`` or ``(instant, value, source)``."""

    def build(*rows: tuple, meter_id: int = 1, quantity: str = "active_energy_import") -> pa.Table:
        return pa.Table.from_pylist(
            [
                {
                    "meter_id": meter_id,
                    "quantity": quantity,
                    "read_at": read_at,
                    "value": Decimal(value),
                    "status": 0,
                    "source": source[0] if source else "meter",
                    "exchange_id": None,
                }
                for read_at, value, *source in rows
            ],
            schema=READING_SCHEMA,
        )

    return build
