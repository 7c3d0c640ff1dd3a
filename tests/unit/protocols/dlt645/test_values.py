"""Values are exact, signed only where the standard says, and survive the way out and back for every identifier."""

import random
from contextlib import suppress
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.protocols.dlt645 import (
    BodyError,
    LoadRecord,
    RequestError,
    Value,
    decode_body,
    decode_load_records,
    edition1997,
    encode_body,
    encode_load_record,
    encode_value,
    lookup,
)
from wattkeeper.protocols.dlt645.codecs import Bits, Demand, Digits, Hex, Moment, Number, Raw, Stamp, Text
from wattkeeper.protocols.dlt645.freezes import is_whole_freeze
from wattkeeper.protocols.dlt645.identifiers import TABLE_1997, TABLE_2007
from wattkeeper.protocols.dlt645.layouts import layout_of
from wattkeeper.protocols.dlt645.load_records import LOAD_CLASSES
from wattkeeper.protocols.dlt645.status import describe_bits

AT = datetime(2025, 11, 2, 23, 45)  # noqa: DTZ001 - a meter's clock


def wire(text):
    return bytes.fromhex(text)


def one(di, text):
    (value,) = decode_body(di, wire(text))
    return value


@pytest.mark.parametrize(
    ("di", "body", "value", "unit"),
    [
        pytest.param("00010000", "78563412", "123456.78", "kWh", id="energy"),
        pytest.param("00010000", "00000080", "800000.00", "kWh", id="top_bit_of_unsigned_energy_is_data"),
        pytest.param("00000000", "34120080", "-12.34", "kWh", id="sign_of_combined_energy"),
        pytest.param("00000000", "00000080", "0.00", "kWh", id="negative_zero_is_zero"),
        pytest.param("02010100", "0322", "220.3", "V", id="voltage_2_bytes"),
        pytest.param("02020100", "235180", "-5.123", "A", id="current_3_bytes_with_sign"),
        pytest.param("02030000", "999979", "79.9999", "kW", id="largest_power"),
        pytest.param("02060000", "0010", "1.000", "", id="power_factor_one"),
        pytest.param("02060000", "7688", "-0.876", "", id="negative_power_factor"),
        pytest.param("02800002", "9849", "49.98", "Hz", id="frequency"),
        pytest.param("02800007", "2381", "-12.3", "degC", id="temperature"),
        pytest.param("0280000A", "78563412", "12345678", "min", id="whole_number"),
    ],
)
def test_numbers_checked_by_hand(di, body, value, unit):
    found = one(di, body)
    assert (str(found.value), found.unit) == (value, unit)
    assert encode_value(di, found.value) == wire(body) or found.value == 0


@pytest.mark.parametrize(
    ("di", "body", "value"),
    [
        ("04000101", "00021125", "25110200"),
        ("04000102", "585923", "235958"),
        ("0400010C", "58592300021125", datetime(2025, 11, 2, 23, 59, 58)),  # noqa: DTZ001
        ("04000106", "0000010125", datetime(2025, 1, 1)),  # noqa: DTZ001
        ("04000106", "0000000000", None),
        ("04000106", "0000000199", "9901000000"),
        ("04000401", "610100000000", "000000000161"),
        ("04000404", "000056303232", "220V"),
        ("04000501", "0400", 4),
        ("04040101", "00FF0100", "0001FF00"),
        ("04000B01", "9999", "9999"),
    ],
)
def test_what_is_no_number(di, body, value):
    assert one(di, body).value == value
    if value is not None:
        assert encode_value(di, value) == wire(body)


def test_a_demand_carries_when_it_occurred():
    found = one("01010000", "5634123412020123")
    assert found == Value("01010000", Decimal("12.3456"), "kW", datetime(2023, 1, 2, 12, 34))  # noqa: DTZ001
    assert encode_value("01010000", found.value, occurred_at=found.occurred_at) == wire("5634123412020123")


def test_a_demand_that_never_occurred_has_no_time():
    assert one("01010000", "0000000000000000") == Value("01010000", Decimal("0.0000"), "kW", None)


def test_an_absent_phase_is_no_value():
    assert [value.value for value in decode_body("0201FF00", wire("03220000FFFF"))] == [
        Decimal("220.3"), Decimal("0.0"), None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("block", "size", "members"),
    [
        ("0001FF00", 20, ["00010000", "00010100", "00010200", "00010300", "00010400"]),
        ("0001FF0C", 8, ["0001000C", "0001010C"]),
        ("000100FF", 12, ["00010000", "00010001", "00010002"]),
        ("0101FF00", 16, ["01010000", "01010100"]),
        ("0201FF00", 6, ["02010100", "02010200", "02010300"]),
        ("0201FF00", 2, ["02010100"]),
        ("0203FF00", 12, ["02030000", "02030100", "02030200", "02030300"]),
        ("020A01FF", 4, ["020A0101", "020A0102"]),
        ("040005FF", 14, [f"0400050{word}" for word in range(1, 8)]),
    ],
)
def test_a_block_is_expanded_by_its_length(block, size, members):
    found = decode_body(block, bytes(size))
    assert [value.identifier for value in found] == members
    for value in found:
        alone = decode_body(value.identifier, bytes(size // len(members)))
        assert alone == (value,)


@pytest.mark.parametrize("size", [0, 1, 3, 5, 4 * 65])
def test_a_block_of_an_odd_length_is_refused(size):
    with pytest.raises(BodyError, match=r"bytes, not 4, 8 \.\.\. 256"):
        decode_body("0001FF00", bytes(size))


def test_a_nibble_that_is_no_digit_is_an_error_and_says_which():
    with pytest.raises(BodyError) as refused:
        decode_body("00010000", wire("CDFFCC00"))
    assert str(refused.value) == "Data of 00010000 cannot be read: 00CCFFCD is not BCD."


def test_an_unknown_identifier_is_a_body_error():
    with pytest.raises(BodyError, match="no such identifier"):
        decode_body("04FFAAF9", b"")


@pytest.mark.parametrize(
    ("di", "value", "problem"),
    [
        ("00010000", Decimal("0.001"), "more than 2 decimals"),
        ("00010000", Decimal(1000000), "does not fit"),
        ("00000000", Decimal(800000), "does not fit"),
        ("00010000", Decimal(-1), "has no sign"),
        ("00010000", Decimal("NaN"), "not a number"),
        ("00010000", Decimal("Infinity"), "not a number"),
        ("00010000", "12", "not a number"),
        ("04000102", "1234", "not hhmmss"),
        ("04000501", 65536, "not a word of 16 bits"),
        ("04000404", "230 Volt", "not a text of at most 6"),
        ("04040101", "00", "not 8 hexadecimal digits"),
        ("0001000D", Decimal(1), "no identifier 0001000D"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_before_it_is_sent(di, value, problem):
    with pytest.raises(RequestError, match=problem):
        encode_value(di, value)


# --- every identifier of both tables -------------------------------------------------------------------------------


def _sample(codec, chance):  # noqa: PLR0911 - one line per kind of field
    match codec:
        case Number(size=size, decimals=decimals, signed=signed):
            limit = (8 if signed else 10) * 10 ** (2 * size - 1)
            number = Decimal(chance.randrange(limit)).scaleb(-decimals)
            return -number if signed and chance.random() < 0.5 else number
        case Demand(number=number):
            return _sample(number, chance)
        case Moment(order=order):
            return AT.replace(day=chance.randint(1, 30), second=chance.randrange(60) if "ss" in order else 0)
        case Stamp(order=order):
            return "".join(str(chance.randrange(10)) for _ in order)
        case Digits(size=size):
            return "".join(str(chance.randrange(10)) for _ in range(2 * size))
        case Hex(size=size):
            return chance.randbytes(size).hex().upper()
        case Bits(size=size):
            return chance.getrandbits(8 * size)
        case Text(size=size):
            return "".join(chance.choice("ABCxyz019.-") for _ in range(chance.randint(0, size)))
        case Raw(size=size):
            return chance.randbytes(size or 7).hex().upper()


def _values(layout, count, chance):
    return [
        Value(
            field.identifier,
            _sample(field.codec, chance),
            field.codec.unit,
            AT if isinstance(field.codec, Demand) else None,
            field.part,
        )
        for field in layout.fields[:count]
    ]


def _round_trip_once(di, chance):
    if di.startswith("06"):
        values = [
            value._replace(occurred_at=AT)
            for members in LOAD_CLASSES.values()
            for member in members
            for value in _values(layout_of(member), 1, chance)
        ]
    elif is_whole_freeze(di):
        items = [layout_of(f"{di[:4]}{item:02X}{di[6:]}") for item in (*range(11), 16)]
        values = [v for item in items if item for v in _values(item, min(item.counts.values()), chance)]
    else:
        layout = layout_of(di)
        counts = list(layout.counts.values()) or [1]
        values = _values(layout, chance.choice(counts), chance)
    assert decode_body(di, encode_body(di, values)) == tuple(values), di


def test_every_identifier_of_2007_survives_the_round_trip():
    chance = random.Random(645)
    for di in TABLE_2007:
        _round_trip_once(di, chance)


@given(st.sampled_from(sorted(TABLE_2007)), st.randoms(use_true_random=False))
def test_any_value_of_any_identifier_survives_the_round_trip(di, chance):
    _round_trip_once(di, chance)


def test_every_identifier_of_2007_can_say_that_it_has_no_value():
    for di in TABLE_2007:
        layout = layout_of(di)
        if all(
            isinstance(field.codec, Number | Demand | Stamp | Moment | Digits | Text)
            for field in layout.fields
        ):
            body = b"\xff" * max(layout.counts)
            assert all(value.value is None for value in decode_body(di, body)), di


@given(st.sampled_from(sorted(TABLE_2007)), st.binary(max_size=300))
def test_no_data_makes_decoding_raise_anything_but_a_body_error(di, body):
    try:
        values = decode_body(di, body)
    except BodyError:
        return
    assert all(isinstance(value, Value) for value in values)


@given(st.sampled_from(sorted(TABLE_1997)), st.binary(max_size=80))
def test_no_data_of_1997_makes_decoding_raise_anything_but_a_body_error(di, body):
    try:
        edition1997.decode_body(di, body)
    except BodyError:
        return


# --- records -------------------------------------------------------------------------------------------------------


def test_an_event_record_has_named_parts():
    body = wire("000012021125563412300012021125")
    assert decode_body("03050001", body) == (
        Value("03050001", datetime(2025, 11, 2, 12, 0, 0), part="start"),  # noqa: DTZ001
        Value("03050001", Decimal("123.456"), "A", part="current"),
        Value("03050001", datetime(2025, 11, 2, 12, 0, 30), part="end"),  # noqa: DTZ001
    )


def test_the_record_of_a_trip_has_named_parts_and_may_stop_early():
    body = wire("000012021125 78563412 00006000 00000000 00001200")
    assert [(value.part, str(value.value)) for value in decode_body("1D000101", body)] == [
        ("time", "2025-11-02 12:00:00"),
        ("operator", "12345678"),
        ("fwd_active_total", "6000.00"),
        ("rev_active_total", "0.00"),
        ("q1_reactive_total", "1200.00"),
    ]


def test_counts_and_durations_come_per_phase():
    body = wire("010000 100000 020000 200000 030000 300000")
    assert [(value.part, int(value.value), value.unit) for value in decode_body("03010000", body)] == [
        ("count_a", 1, "times"), ("duration_a", 10, "min"), ("count_b", 2, "times"), ("duration_b", 20, "min"),
        ("count_c", 3, "times"), ("duration_c", 30, "min"),
    ]  # fmt: skip


def test_a_whole_freeze_is_split_at_its_separators_by_size():
    body = wire("0000021125AA00010000 00010000AA00000000AA" + "AA" * 9)
    assert [(v.identifier, v.part, str(v.value)) for v in decode_body("0506FF01", body)] == [
        ("05060001", "", "2025-11-02 00:00:00"),
        ("05060101", "total", "1.00"),
        ("05060101", "t1", "1.00"),
        ("05060201", "total", "0.00"),
    ]


def test_a_freeze_takes_only_its_own_items():
    with pytest.raises(RequestError, match="0504FF01 holds no 05060101"):
        encode_body("0504FF01", [Value("05060101", Decimal(1), part="total")])


def test_a_freeze_with_bytes_behind_its_items_is_a_body_error():
    with pytest.raises(BodyError, match="2 bytes are left"):
        decode_body("0504FF01", wire("0012021125AAAAAA0102"))


def test_load_record_values_cannot_be_written_without_their_time():
    with pytest.raises(RequestError, match="carry its time"):
        encode_body("06000002", [Value("02060000", Decimal(1))])


@pytest.mark.parametrize(
    "di", ["00010000", "01010000", "02010100", "04000101", "04000106", "04000401", "04000404"]
)
def test_no_value_is_written_as_ff_and_read_as_none(di):
    size = max(layout_of(di).counts)
    assert encode_value(di, None)[:3] == (b"\xff" * size)[:3]
    assert one(di, encode_value(di, None).hex()).value is None


@pytest.mark.parametrize(
    ("di", "value"),
    [
        ("00010000", 0.5),
        ("04040101", "XY" * 4),
        ("04040101", 5),
        ("070002FF", 5),
        ("070002FF", "0"),
        ("04000404", "€"),
    ],
)
def test_values_of_the_wrong_kind_are_refused(di, value):
    with pytest.raises(RequestError):
        encode_value(di, value)


def test_a_wrong_number_of_values_is_refused():
    with pytest.raises(RequestError, match=r"0201FF00 has 1, 2 \.\.\. 3 values, not 0"):
        encode_body("0201FF00", [])


def test_a_freeze_that_does_not_end_is_a_body_error():
    with pytest.raises(BodyError, match="not closed by AA"):
        decode_body("0506FF01", wire("0000021125AA000100"))


def test_status_bits_have_names():
    (word,) = decode_body("04000504", wire("8400"))
    assert [item.key for item in describe_bits(word.identifier, word.value) if item.value] == [
        "overvoltage",
        "phase_failure",
    ]
    supply = describe_bits("04000503", 0x0004)[1]
    assert (supply.key, supply.value) == ("supply", 2)


# --- load records --------------------------------------------------------------------------------------------------

CLASS_1 = "0322042205220015000115000215800050"
CLASS_2 = "00330000110000110000118000040000040000040000 0400".replace(" ", "")
TIME = "4523021125"


def block(content, *, length=None, checksum=0, mark="A0A0"):
    inner = wire(TIME + content)
    head = wire(mark) + bytes([len(inner) if length is None else length]) + inner
    return head + bytes([sum(head) + checksum & 0xFF]) + b"\xe5"


def test_a_load_record_class_that_is_not_recorded_is_a_lone_separator():
    (record,) = decode_load_records("06000002", block(CLASS_1 + "AA" * 6))
    assert record.recorded_at == AT
    assert record.faults == ()
    assert [value.identifier for value in record.values] == list(LOAD_CLASSES[1])
    assert record.values[5].value == Decimal("-1.502")


def test_a_class_reply_without_the_leading_separators_is_understood():
    (record,) = decode_load_records("06020001", block(CLASS_2 + "AA"))
    assert [value.identifier for value in record.values] == list(LOAD_CLASSES[2])
    assert record.values[3].value == Decimal("-0.1100")


def test_a_class_reply_with_the_leading_separators_is_understood():
    (record,) = decode_load_records("06020001", block("AA" + CLASS_2 + "AA" * 5))
    assert [value.identifier for value in record.values] == list(LOAD_CLASSES[2])


def test_a_load_record_with_another_checksum_is_kept_and_flagged():
    (record,) = decode_load_records("06000002", block(CLASS_1 + "AA" * 6, checksum=7))
    assert record.faults == ("checksum",)
    assert len(record.values) == 7


def test_a_load_record_with_another_length_is_kept_and_flagged():
    (record,) = decode_load_records("06000002", block(CLASS_1 + "AA" * 6, length=0x1E))
    assert record.faults == ("length",)


def test_a_block_the_meter_calls_wrong_is_marked():
    (record,) = decode_load_records("06000002", block(CLASS_1 + "AA" * 6, mark="E0E0"))
    assert record.marked_wrong


def test_an_absent_value_in_a_load_record_does_not_shift_the_others():
    (record,) = decode_load_records(
        "06000002", block("0322FFFFFFFF" + "001500" + "FFFFFF" * 2 + "0050" + "AA" * 6)
    )
    assert [value.value for value in record.values] == [
        Decimal("220.3"), None, None, Decimal("1.500"), None, None, Decimal("50.00"),
    ]  # fmt: skip


def test_several_blocks_follow_each_other():
    body = block(CLASS_1 + "AA" * 6) * 3
    assert len(decode_load_records("06000001", body)) == 3


def test_no_block_is_no_record():
    assert decode_load_records("06000001", b"") == ()


@pytest.mark.parametrize("cut", [1, 3, 7, 9, 20, 30])
def test_half_a_load_record_is_a_body_error(cut):
    with pytest.raises(BodyError):
        decode_load_records("06000002", block(CLASS_1 + "AA" * 6)[:cut])


def test_a_class_reply_that_ends_behind_its_time_is_a_body_error():
    with pytest.raises(BodyError, match="class 1 of a load record"):
        decode_load_records("06060001", wire("A0A039" + TIME))


@given(st.binary(max_size=250))
def test_no_bytes_make_load_records_raise_anything_else(body):
    with suppress(BodyError):
        decode_load_records("06030001", b"\xa0\xa0" + body)


def test_a_load_record_is_written_as_it_is_read():
    raw = block(CLASS_1 + "AA" + CLASS_2 + "AA" * 5)
    (record,) = decode_load_records("06000002", raw)
    assert encode_load_record(record) == raw


def test_half_a_class_cannot_be_written():
    record = LoadRecord(AT, (Value("02010100", Decimal("220.0")),))
    with pytest.raises(RequestError, match="whole or not at all"):
        encode_load_record(record)


def test_lookup_and_decoding_know_the_same_identifiers():
    assert all(layout_of(di) and lookup(di) for di in TABLE_2007)
