"""Quantities and data identifiers of 1997, requests and what their answers become."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from wattkeeper.collection.drivers.base import Measured
from wattkeeper.collection.drivers.dlt645_1997 import IDENTIFIERS_1997, Dlt645Driver1997
from wattkeeper.protocols.dlt645.edition1997 import lookup
from wattkeeper.protocols.dlt645.errors import BodyError, MeterRefused
from wattkeeper.protocols.dlt645.frames import Frame
from wattkeeper.readings.quantities import QUANTITIES

ADDRESS = "000000000414"
SHANGHAI = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
DRIVER = Dlt645Driver1997()
DEMAND = "active_demand_import_max"


def reply(di, body):
    """A meter's answer: the identifier low byte first, then `body` in wire order."""
    return Frame(ADDRESS, 0x81, bytes.fromhex(di)[::-1] + bytes.fromhex(body)).encode()


def asked(quantities, refused=()):
    return [request.key for request in DRIVER.plan(ADDRESS, quantities, zone=SHANGHAI, refused=refused)]


def answered(quantities, *bodies, at=NOON):
    """What one request measures, given the bodies of its replies."""
    [request] = DRIVER.plan(ADDRESS, quantities, zone=SHANGHAI)
    for di, body in bodies:
        assert request.exchange.feed(reply(di, body))
    assert request.exchange.request is None
    return request.measured(at)


@pytest.mark.parametrize("key", IDENTIFIERS_1997)
def test_every_identifier_is_one_quantity_of_the_catalogue_in_its_unit(key):
    found = lookup(IDENTIFIERS_1997[key])
    if key.endswith("_occurred_at"):
        assert (found.format, QUANTITIES[key].unit) == ("MMDDhhmm", "s")
    else:
        assert found.unit == QUANTITIES[key].unit
    assert DRIVER.brings(IDENTIFIERS_1997[key]) == (key,)


def test_an_identifier_is_what_the_standards_name_says():
    named = {
        "active_energy_import_t2": "present forward active energy tariff 2",
        "active_energy_export": "present reverse active energy total",
        "reactive_energy_q2": "present Q2 reactive energy total",
        "reactive_energy_q4": "present Q4 reactive energy total",
        "active_demand_export_max_t1": "present reverse active max demand tariff 1",
        "reactive_demand_combined1_max_occurred_at": "present forward reactive max demand time total",
        "current_l3": "phase C current",
        "reactive_power": "total reactive power",
        "power_factor_l1": "phase A power factor",
    }
    assert {key: lookup(IDENTIFIERS_1997[key]).name_en for key in named} == named


def test_what_the_edition_has_no_identifier_for_is_not_supported():
    assert [DRIVER.supports(key) for key in ("clock", "voltage_l1", "frequency", "active_energy")] == [
        True,
        True,
        False,
        False,
    ]
    assert asked(["frequency"]) == []


def test_blocks_are_asked_for_where_they_save_frames_and_exist():
    assert asked(["active_energy_import", "active_energy_import_t1", "voltage_l1", "frequency"]) == [
        "901F",
        "B611",
    ]
    assert asked(["active_power", "active_power_l1"]) == ["B630", "B631"]  # table A.4 has no block of powers
    assert asked([DEMAND, f"{DEMAND}_occurred_at"]) == ["A010", "B010"]


def test_a_refused_block_is_asked_item_by_item():
    voltages = ["voltage_l1", "voltage_l2", "voltage_l3"]
    [block] = DRIVER.plan(ADDRESS, voltages, zone=SHANGHAI)
    assert [(part.key, part.quantities, list(part.parts)) for part in block.parts] == [
        ("B611", ("voltage_l1",), []),
        ("B612", ("voltage_l2",), []),
        ("B613", ("voltage_l3",), []),
    ]
    assert asked(voltages, refused={"B61F"}) == ["B611", "B612", "B613"]
    assert asked(voltages, refused={"B61F", "B612"}) == ["B611", "B613"]
    assert asked(["clock"], refused={"C011"}) == []


def test_only_what_was_wanted_is_taken_from_a_block_that_ends_in_aa():
    measured = answered(["active_energy_import", "active_energy_import_t2"], ("901F", "45230100" * 5 + "AA"))
    assert measured == [
        Measured("active_energy_import", Decimal("123.45")),
        Measured("active_energy_import_t2", Decimal("123.45")),
    ]


@pytest.mark.parametrize(
    ("stamp", "occurred"),
    [
        # 2026-03-04 05:06 in Shanghai is 21:06 UTC of the day before
        pytest.param("06050403", datetime(2026, 3, 3, 21, 6, tzinfo=UTC), id="this_year"),
        pytest.param("45153112", datetime(2025, 12, 31, 7, 45, tzinfo=UTC), id="last_year"),
        # noon and five minutes, told at noon: the meter's clock is a little ahead
        pytest.param("05121003", datetime(2026, 3, 10, 4, 5, tzinfo=UTC), id="a_little_ahead"),
        pytest.param("00000000", None, id="never"),
        pytest.param("00002902", None, id="the_29th_of_february_was_not_in_a_year"),
    ],
)
def test_the_time_of_a_maximum_demand_has_no_year_and_is_the_latest_possible(stamp, occurred):
    expected = (
        [] if occurred is None else [Measured(f"{DEMAND}_occurred_at", Decimal(int(occurred.timestamp())))]
    )
    assert answered([f"{DEMAND}_occurred_at"], ("B010", stamp)) == expected


def test_at_new_year_a_meter_ahead_is_in_the_next_year_already():
    at = datetime(2026, 12, 31, 15, 58, tzinfo=UTC)  # 23:58 in Shanghai
    occurred = int(datetime(2026, 12, 31, 16, 1, tzinfo=UTC).timestamp())
    assert answered([f"{DEMAND}_occurred_at"], ("B010", "01000101"), at=at) == [
        Measured(f"{DEMAND}_occurred_at", Decimal(occurred))
    ]


def test_the_clock_is_the_second_time_of_day_with_the_date_between():
    replies = [("C011", "585911"), ("C010", "02100326"), ("C011", "000012")]
    assert answered(["clock"], *replies) == [Measured("clock", Decimal(int(NOON.timestamp())))]


def test_a_clock_that_shows_no_time_is_an_error_of_the_meter():
    with pytest.raises(BodyError, match=r"Data of C010 cannot be read: the clock shows 26133202 120000"):
        answered(["clock"], ("C011", "000012"), ("C010", "02321326"), ("C011", "000012"))


@pytest.mark.parametrize(("bits", "unsupported"), [(0x01, True), (0x02, True), (0x03, True), (0x04, False)])
def test_illegal_data_or_identifier_in_reply_to_a_read_is_remembered(bits, unsupported):
    error = MeterRefused(address=ADDRESS, identifier="B611", bits=bits, edition=1997)
    assert DRIVER.is_refusal(error)
    assert DRIVER.is_unsupported(error) is unsupported


def test_its_meters_take_no_commands_and_tell_no_past():
    assert (DRIVER.commander, tuple(DRIVER.pasts)) == (None, ())
