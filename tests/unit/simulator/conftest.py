from datetime import UTC, datetime

import numpy as np
import pytest

from wattkeeper.simulator import FixedClock, MeterSpec, VirtualMeter


class ConstantLoad:
    """The same power day and night: energies are checked in the head."""

    def __init__(self, kw: float = 4.0, *, given_kw: float = 0.0) -> None:
        self.kw = kw
        self.given_kw = given_kw

    def taken(self, slots):
        return np.full(len(slots), round(self.kw * 250_000), dtype=np.int64)

    def given(self, slots):
        return np.full(len(slots), round(self.given_kw * 250_000), dtype=np.int64)


@pytest.fixture
def clock():
    """Wednesday 2026-03-04 12:00 in China."""
    return FixedClock(datetime(2026, 3, 4, 4, 0, tzinfo=UTC))


@pytest.fixture
def meter(clock):
    """Make a meter that takes 4 kW (1 kWh in each quarter hour) since 2026-01-01."""

    def make(*, load=None, **overrides):
        spec = MeterSpec(**{"address": "000000000161", **overrides})
        return VirtualMeter(spec, load or ConstantLoad(), clock)

    return make


@pytest.fixture
def constant_load():
    return ConstantLoad
