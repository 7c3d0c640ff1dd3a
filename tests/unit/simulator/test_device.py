# ruff: noqa: DTZ001 -- a meter knows civil time without a zone
"""What a meter says, octet by octet: 4 kW since 2026-01-01 00:00, asked on 2026-03-04 at 12:00."""

from datetime import UTC, datetime, timedelta

import pytest

from wattkeeper.protocols.dlt645 import values
from wattkeeper.protocols.dlt645.load_records import decode_load_records

# 62 days and 12 hours of 96 kWh: 6000.00 kWh.
FORWARD = "00 00 60 00"


def read(meter, di, tail=""):
    data = meter.read(di, bytes.fromhex(tail))
    return data.hex(" ") if isinstance(data, bytes) else data


def test_the_forward_register_counts_what_was_taken(meter):
    assert read(meter(), "00010000") == FORWARD


def test_a_block_holds_the_total_and_the_tariffs(meter):
    # The tariffs of 62 days and of the morning (7 h valley, 2 h flat, 3 h peak).
    block = values.decode_body("0001FF00", meter().read("0001FF00", b""))
    assert [str(value.value) for value in block] == ["6000.00", "496.00", "1500.00", "1992.00", "2012.00"]


def test_settlements_are_the_registers_at_the_first_of_each_month(meter):
    # January: 31 days, February: 28 days, of 96 kWh.
    assert read(meter(), "00010001") == "00 64 56 00"
    assert read(meter(), "00010002") == "00 76 29 00"
    assert read(meter(), "00010003") == "00 00 00 00"
    assert meter().read("000100FF", b"")[:12].hex(" ") == f"{FORWARD} 00 64 56 00 00 76 29 00"


def test_combined_energy_counts_both_directions(meter, constant_load):
    both = meter(load=constant_load(4.0, given_kw=1.0))
    assert read(both, "00020000") == "00 00 15 00"
    assert read(both, "00000000") == "00 00 75 00"


@pytest.mark.parametrize(
    "di",
    [
        "00010500",
        "0001000D",
        "00110000",
        "02110000",
        "02010400",
        "05060000",
        "0506003F",
        "04FFFFFF",
        "03010000",
    ],
)
def test_what_a_meter_does_not_know_is_none(meter, di):
    assert meter().read(di, b"") is None


def test_a_single_phase_meter_fills_absent_phases_with_ff(meter):
    voltages = meter().read("0201FF00", b"")
    assert voltages[2:] == b"\xff\xff\xff\xff"
    assert 2000 < int(voltages[1::-1].hex()) < 2400


def test_voltage_current_power_and_factor_agree(meter):
    three = meter(phases=3)

    def numbers(di):
        return [float(value.value) for value in values.decode_body(di, three.read(di, b""))]

    voltage, current = numbers("0201FF00"), numbers("0202FF00")
    active, reactive, apparent = numbers("0203FF00"), numbers("0204FF00"), numbers("0205FF00")
    factor = numbers("0206FF00")
    assert active[0] == pytest.approx(4.0, rel=0.21)  # the ripple
    for phase in range(3):
        assert voltage[phase] * current[phase] / 1000 == pytest.approx(apparent[phase + 1], abs=5e-4)
    for place in range(4):
        assert active[place] ** 2 + reactive[place] ** 2 == pytest.approx(apparent[place] ** 2, rel=1e-3)
        assert active[place] / apparent[place] == pytest.approx(factor[place], abs=1e-3)
    assert sum(active[1:]) == pytest.approx(active[0], abs=5e-4)


def test_power_given_back_is_negative(meter, constant_load):
    [power] = values.decode_body(
        "02030000", meter(load=constant_load(0.0, given_kw=2.0)).read("02030000", b"")
    )
    assert power.value < -1


def test_the_largest_demand_says_when_it_was(meter):
    # 4.0000 kW in every quarter hour: the first of the month, which ended at 00:15.
    assert read(meter(), "01010000") == "00 00 04 15 00 01 03 26"
    assert read(meter(), "01010001") == "00 00 04 15 00 01 02 26"


def test_daily_freezes_are_the_registers_at_midnight(meter):
    # 62 days of 96 kWh: 5952.00.
    assert read(meter(), "05060001") == "00 00 04 03 26"
    assert meter().read("05060101", b"")[:4].hex(" ") == "00 52 59 00"
    assert meter().read("05060102", b"")[:4].hex(" ") == "00 56 58 00"
    block = meter().read("0506FF01", b"")
    assert block[:6].hex(" ") == "00 00 04 03 26 aa"


def test_no_freeze_is_older_than_the_meter(meter):
    young = meter(installed=datetime(2026, 3, 3))
    assert read(young, "05060002") == "00 00 03 03 26"
    assert young.read("05060003", b"") is None


def test_the_clock_is_told_in_the_order_of_the_standard(meter):
    assert read(meter(), "04000101") == "03 04 03 26"  # Wednesday, 4 March 2026
    assert read(meter(clock_offset=-420), "04000102") == "00 53 11"
    assert read(meter(), "0400010C") == "00 00 12 03 04 03 26"
    assert read(meter(), "04000401") == "61 01 00 00 00 00"
    assert read(meter(ct_ratio=40), "04000306") == "40 00 00"


def test_a_load_record_of_class_4_is_the_block_of_annex_b(meter):
    [piece] = meter().read("06040002", b"\x01")
    # LEN 27: time, three empty classes, class 4, two empty ones.
    assert piece[:11].hex(" ") == "a0 a0 1b 00 12 04 03 26 aa aa aa"
    assert piece[11:15].hex(" ") == FORWARD
    assert piece[27:30] == b"\xaa\xaa\xaa"
    assert piece[30] == sum(piece[:30]) & 0xFF
    assert piece[31] == 0xE5


def test_six_class_4_records_go_into_a_frame_and_a_whole_record_fills_one(meter):
    assert [len(piece) for piece in meter().read("06040002", b"\x20")] == [192, 192, 192, 64]
    assert [len(piece) for piece in meter().read("06000002", b"\x03")] == [103, 103, 103]


def test_all_classes_of_a_record_can_be_read_back(meter):
    [record] = decode_load_records("06000002", b"".join(meter(phases=3).read("06000002", b"\x01")))
    assert record.recorded_at == datetime(2026, 3, 4, 12, 0)
    assert record.faults == ()
    assert len(record.values) == 7 + 8 + 4 + 4 + 4 + 2


def test_records_are_read_from_a_time_on_from_the_first_or_the_last(meter):
    def times(di, tail):
        body = b"".join(meter(record_days=2).read(di, bytes.fromhex(tail)))
        return [record.recorded_at for record in decode_load_records(di, body)]

    assert times("06040001", "02 05 11 04 03 26") == [
        datetime(2026, 3, 4, 11, 15),
        datetime(2026, 3, 4, 11, 30),
    ]
    assert times("06040001", "09 45 11 04 03 26") == [
        datetime(2026, 3, 4, 11, 45),
        datetime(2026, 3, 4, 12, 0),
    ]
    assert times("06040001", "01 00 00 01 01 26") == [datetime(2026, 3, 2, 12, 0)]  # older ones are forgotten
    assert times("06040000", "01") == [datetime(2026, 3, 2, 12, 0)]
    assert times("06040002", "02") == [datetime(2026, 3, 4, 11, 45), datetime(2026, 3, 4, 12, 0)]
    assert times("06040001", "01 15 12 04 03 26") == []  # not yet


@pytest.mark.parametrize(
    "tail", ["", "0a", "01 00", "01 00 00 32 01 26"], ids=["none", "not BCD", "short", "no such day"]
)
def test_a_request_for_records_that_is_none_is_refused_or_empty(meter, tail):
    assert meter().read("06040001", bytes.fromhex(tail)) in (None, [b""])


def test_a_slow_clock_stamps_its_records_by_itself(meter):
    [piece] = meter(clock_offset=-420).read("06040002", b"\x01")
    assert piece[3:8].hex(" ") == "45 11 04 03 26"
    # By the true clock it was 11:52: 8 minutes before 6000.00 kWh, about half a kWh.
    assert int(piece[14:10:-1].hex()) == pytest.approx(599_947, abs=6)


def test_a_broadcast_sets_a_clock_that_is_a_little_off(meter, clock):
    slow = meter(clock_offset=-60)
    slow.set_time(datetime(2026, 3, 4, 12, 0))
    assert slow.local_time() == datetime(2026, 3, 4, 12, 0)
    lost = meter(clock_offset=-420)
    lost.set_time(datetime(2026, 3, 4, 12, 0))
    assert lost.local_time() == datetime(2026, 3, 4, 11, 53)


def test_the_register_follows_the_worlds_time(meter, clock):
    device = meter()
    clock.at += timedelta(hours=1)
    assert read(device, "00010000") == "00 04 60 00"
    assert device.register(datetime(2026, 3, 4, 4, 0, tzinfo=UTC)) == 600_000


def test_a_command_without_a_password_is_refused(meter):
    assert meter().execute(0x14, b"") == 0x04
