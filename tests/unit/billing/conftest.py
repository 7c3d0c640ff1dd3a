"""Tariffs from a few lines, and uses of energy."""

from datetime import date
from decimal import Decimal

import pytest

from wattkeeper.billing.entries import Entry
from wattkeeper.billing.rating import Use, rate
from wattkeeper.billing.tariff_reader import read_tariff
from wattkeeper.kernel.timerange import TimeRange, start_of_day

HEAD = """
code: test
names: {zh: 测试, en: Test}
currency: CNY
zone: ZONE
source: a test
in_force: "no"
versions:
"""
TWO_CLOCK = """
    tou:
      periods:
        - {code: peak, names: {zh: 峰, en: Peak}, register: active_energy_import_t2}
        - {code: valley, names: {zh: 谷, en: Valley}, register: rest}
      days:
        - {months: 1-12, times: {peak: ["08:00-21:00"]}, rest: valley}
"""


@pytest.fixture(scope="session")
def make_tariff():
    """A tariff of one version of these components, with the sections given as YAML."""

    def make(
        components,
        *,
        tiers="",
        tou="",
        rounding="{at: line, digits: 2, mode: half_up}",
        zone="Asia/Shanghai",
        start="2000-01-01",
        end="",
        more="",
    ):
        lines = [
            HEAD.replace("ZONE", zone),
            f"  - valid_from: {start}",
            f"    valid_to: {end}",
            f"    rounding: {rounding}",
        ]
        if tiers:
            lines.append(f"    tiers: {tiers}")
        if tou:
            lines.append(tou.strip("\n"))
        lines.append("    components:")
        lines += [f"      - {component}" for component in components]
        return read_tariff(Entry.of_yaml("\n".join(lines) + more, file="test.yaml"))

    return make


@pytest.fixture(scope="session")
def energy():
    """A component of the price of energy, as YAML."""
    return lambda price, more="": (
        f"{{code: energy, kind: energy, names: {{zh: 电费, en: Energy}}, price: {price}{more}}}"
    )


@pytest.fixture(scope="session")
def surcharge():
    return lambda code, price: (
        f"{{code: {code}, kind: surcharge, names: {{zh: 附加, en: Surcharge}}, price: {price}}}"
    )


@pytest.fixture(scope="session")
def two_clock():
    return TWO_CLOCK


@pytest.fixture(scope="session")
def bill():
    """Rates one use of energy from 1 January 2024 (or `start`), `before` used in its cycle already."""

    def make(
        tariff, kwh, *, before="0", by_tou=None, start=date(2024, 1, 1), end=date(2024, 2, 1), in_force=None
    ):
        period = TimeRange(start_of_day(start, tariff.zone), start_of_day(end, tariff.zone))
        parts = tuple((code, Decimal(part)) for code, part in (by_tou or {}).items())
        tiers = tariff.version_at(period.start).tiers
        used = {} if tiers is None else {tiers.cycle_at(period.start, tariff.zone).start: Decimal(before)}
        uses = [Use(period, Decimal(kwh), parts)]
        return rate(tariff, uses, in_force=in_force or tariff.period, used_before=used)

    return make
