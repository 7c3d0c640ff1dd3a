"""Quantities and data identifiers, requests and what their answers become."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from wattkeeper.collection.drivers import DRIVERS
from wattkeeper.collection.drivers.base import Measured
from wattkeeper.collection.drivers.dlt645 import IDENTIFIERS, Dlt645Driver, identifiers_of, quantity_of
from wattkeeper.collection.drivers.dlt645_past import LoadRecords
from wattkeeper.protocols.dlt645.errors import BodyError, MeterRefused
from wattkeeper.protocols.dlt645.frames import Frame
from wattkeeper.protocols.dlt645.identifiers import lookup
from wattkeeper.readings.quantities import QUANTITIES

ADDRESS = "000000000161"
SHANGHAI = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
DRIVER = Dlt645Driver()


def reply(di, body):
    """A meter's answer: the identifier low byte first, then `body` in wire order."""
    return Frame(ADDRESS, 0x91, bytes.fromhex(di)[::-1] + bytes.fromhex(body)).encode()


def asked(quantities, refused=()):
    return [request.key for request in DRIVER.plan(ADDRESS, quantities, zone=SHANGHAI, refused=refused)]


def answered(quantities, *bodies, at=NOON):
    """What one request measures, given the bodies of its replies."""
    [request] = DRIVER.plan(ADDRESS, quantities, zone=SHANGHAI)
    for di, body in bodies:
        assert request.exchange.feed(reply(di, body))
    assert request.exchange.request is None
    return request.measured(at)


@pytest.mark.parametrize("key", IDENTIFIERS)
def test_every_identifier_is_one_quantity_of_the_catalogue_in_its_unit(key):
    di = IDENTIFIERS[key]
    assert quantity_of(di) == quantity_of(di.lower()) == key
    spelled = {"deg": "°", "degC": "°C"}  # as the standard's table in ASCII writes them
    assert spelled.get(lookup(di).unit, lookup(di).unit) == QUANTITIES[key].unit


def test_the_protocol_can_name_the_whole_catalogue_but_what_its_tables_lack():
    # Table A.1 has a combined energy, whose word may say "import less export", but none that always is; table A.3 has
    # no voltage between phases, and one present demand each: active, reactive, apparent (02800004 to 02800006).
    assert [key for key in QUANTITIES if not DRIVER.supports(key)] == [
        "active_energy_net",
        "voltage_l12",
        "voltage_l23",
        "voltage_l31",
        "active_demand_export",
        "reactive_demand_combined2",
        *(f"reactive_demand_q{quadrant}" for quadrant in range(1, 5)),
        "apparent_demand_export",
    ]
    assert all(lookup(di) is not None for key in QUANTITIES for di in identifiers_of(key))


def test_what_is_no_quantity_of_its_own_has_no_name():
    assert [quantity_of(di) for di in ("0001FF00", "00010001", "04000101", "nonsense")] == [None] * 4


def test_blocks_are_asked_for_where_they_save_frames():
    assert asked(
        ["active_energy_import", "active_energy_import_t1", "voltage_l1", "voltage_l3", "frequency"]
    ) == [
        "0001FF00",
        "0201FF00",
        "02800002",
    ]
    assert asked(["active_demand_import_max", "active_demand_import_max_occurred_at"]) == ["01010000"]


def test_a_refused_block_is_asked_item_by_item():
    voltages = ["voltage_l1", "voltage_l2", "voltage_l3"]
    [block] = DRIVER.plan(ADDRESS, voltages, zone=SHANGHAI)
    assert [part.key for part in block.parts] == ["02010100", "02010200", "02010300"]
    assert asked(voltages, refused={"0201FF00"}) == ["02010100", "02010200", "02010300"]
    assert asked(voltages, refused={"0201FF00", "02010200", "02010300"}) == ["02010100"]
    assert asked(voltages, refused={"02010200", "02010300"}) == ["02010100"]


def test_only_what_was_wanted_is_taken_from_a_block():
    measured = answered(["active_energy_import", "active_energy_import_t2"], ("0001FF00", "45230100" * 5))
    assert measured == [
        Measured("active_energy_import", Decimal("123.45")),
        Measured("active_energy_import_t2", Decimal("123.45")),
    ]


def test_an_absent_phase_has_no_value():
    measured = answered(["voltage_l1", "voltage_l2", "voltage_l3"], ("0201FF00", "0322FFFFFFFF"))
    assert measured == [Measured("voltage_l1", Decimal("220.3"))]


def test_a_negative_power_keeps_its_sign():
    assert answered(["active_power"], ("02030000", "341280")) == [
        Measured("active_power", Decimal("-0.1234"))
    ]


def test_a_maximum_demand_brings_the_instant_it_occurred():
    wanted = ["active_demand_import_max", "active_demand_import_max_occurred_at"]
    # 1.2345 kW on 2026-03-04 at 05:06 in Shanghai, which is 21:06 UTC of the day before
    occurred = int(datetime(2026, 3, 3, 21, 6, tzinfo=UTC).timestamp())
    assert answered(wanted, ("01010000", "4523010605040326")) == [
        Measured(wanted[0], Decimal("1.2345")),
        Measured(wanted[1], Decimal(occurred)),
    ]


def clock(before, date, after):
    return answered(["clock"], ("04000102", before), ("04000101", date), ("04000102", after))


def test_the_clock_is_the_second_time_of_day_with_the_date_between():
    assert clock("585911", "02100326", "000012") == [Measured("clock", Decimal(int(NOON.timestamp())))]


def test_a_clock_read_over_midnight_is_not_guessed():
    assert clock("595923", "02100326", "000000") == []


def test_a_clock_that_shows_no_time_is_an_error_of_the_meter():
    with pytest.raises(BodyError, match="the clock shows 26133202 120000"):
        clock("000012", "02321326", "000012")


def test_load_records_are_stamped_by_the_meter():
    request = LoadRecords().since(ADDRESS, NOON, count=3, zone=SHANGHAI, now=NOON)
    sent = Frame.decode(request.exchange.request)
    assert sent.body.hex() == "01000406" + "03" + "0012100326"  # 3 records from 2026-03-10 12:00 on
    content = "0012100326" + "aaaaaa" + "45230100" * 4 + "aa" + "aaaa"
    block = bytes.fromhex("a0a0" + f"{len(content) // 2:02x}" + content)
    block += bytes([sum(block) & 0xFF, 0xE5])
    assert request.exchange.feed(reply("06040001", block.hex()))
    assert request.measured(NOON) == [
        Measured(key, Decimal("123.45"), stamped_at=NOON)
        for key in (
            "active_energy_import",
            "active_energy_export",
            "reactive_energy_combined1",
            "reactive_energy_combined2",
        )
    ]


def test_a_record_that_the_meter_marks_as_wrong_is_doubtful():
    request = LoadRecords().latest(ADDRESS, zone=SHANGHAI)
    content = "0012100326" + "aaaaaa" + "45230100" * 4 + "aa" + "aaaa"
    block = bytes.fromhex("e0e0" + f"{len(content) // 2:02x}" + content)
    block += bytes([sum(block) & 0xFF, 0xE5])
    request.exchange.feed(reply("06040002", block.hex()))
    assert {value.doubtful for value in request.measured(NOON)} == {True}


def test_no_matching_record_is_no_value():
    request = LoadRecords().since(ADDRESS, NOON - timedelta(days=400), count=1, zone=SHANGHAI, now=NOON)
    assert request.exchange.feed(reply("06040001", ""))
    assert request.measured(NOON) == []


@pytest.mark.parametrize(("bits", "unsupported"), [(0x02, True), (0x03, True), (0x01, False), (0x04, False)])
def test_only_no_such_data_is_remembered(bits, unsupported):
    error = MeterRefused(address=ADDRESS, identifier="02010100", bits=bits)
    assert DRIVER.is_refusal(error)
    assert DRIVER.is_unsupported(error) is unsupported


def test_drivers_are_found_by_the_protocol_of_a_meter():
    assert {name: driver.protocol for name, driver in DRIVERS.items()} == {
        name: name for name in ("dlt645-2007", "dlt645-1997", "dlt645", "modbus-rtu", "modbus-tcp")
    }
    assert [DRIVER.brings(key) for key in ("02010100", "0201FF00", "04000102")] == [
        ("voltage_l1",),
        (),
        ("clock",),
    ]
