"""What implementers of DL/T 645 get wrong, each with the published case it went wrong in, if there is one."""

from datetime import datetime
from decimal import Decimal

import pytest

from wattkeeper.protocols.dlt645 import (
    Frame,
    FrameReader,
    MeterRefused,
    MeterSide,
    ReadExchange,
    decode_body,
    decode_load_records,
    edition1997,
    encode_value,
    requests,
)
from wattkeeper.protocols.dlt645.errors import error_reasons
from wattkeeper.protocols.dlt645.explain import explain

METER = "000000000161"


class OneValue:
    """A meter that knows its energy."""

    address = METER

    def read(self, di, tail):
        return encode_value(di, Decimal("0.26")) if di == "00010000" else None

    def set_time(self, at):
        raise AssertionError(at)

    def execute(self, function, body):
        return 0x04


@pytest.mark.parametrize("preamble", range(6))
def test_1_preamble_bytes_are_no_part_of_length_or_checksum(preamble):
    raw = b"\xfe" * preamble + bytes.fromhex("6861010000000068910833333433593333338A16")
    assert FrameReader().feed(raw) == [Frame(METER, 0x91, bytes.fromhex("0000010026000000"))]


def test_2_the_end_is_found_by_length_and_not_by_16h():
    frame = Frame("000016818505", 0x91, requests.identifier_bytes("00010000") + bytes.fromhex("E3351600"))
    raw = frame.encode()
    assert raw.count(b"\x16") >= 2  # in the address, in the data, at the end
    assert raw.count(b"\x68") >= 3
    assert FrameReader().feed(raw) == [frame]


def test_3_33h_is_added_to_data_bytes_only_and_wraps():
    raw = bytes.fromhex("68610100000000689108333334330032FF33FC16")
    assert Frame.decode(raw).body == bytes.fromhex("00000100CDFFCC00")
    assert Frame.decode(raw).encode(0) == raw


def test_3_a_baud_word_sent_without_33h_is_seen_to_be_none():
    found = explain(bytes.fromhex("68010012011920681701083D16"))
    assert found.anatomy.fields["baud_word"] == "D5 (no speed of the standard)"


def test_4_identifier_value_password_operator_and_time_are_low_byte_first():
    access = requests.Access(4, "123456", "12345678")
    frame = requests.write(METER, "04000101", bytes.fromhex("00021125"), access=access)
    assert frame.body.hex(" ") == "01 01 00 04 04 56 34 12 78 56 34 12 00 02 11 25"
    assert requests.broadcast_time(datetime(2025, 11, 2, 23, 59, 58)).body.hex(" ") == "58 59 23 02 11 25"  # noqa: DTZ001


def test_5_wildcards_travel_raw_in_the_high_bytes_and_the_reply_has_the_real_address():
    exchange = ReadExchange("AAAAAAAA0161", "00010000")
    assert exchange.request[5:11].hex() == "6101aaaaaaaa"
    (reply,) = MeterSide(OneValue()).feed(exchange.request)
    exchange.feed(reply)
    assert exchange.address == METER


def test_5_a_read_of_99_is_not_answered_but_an_answer_of_a_real_meter_is_taken():
    exchange = ReadExchange("999999999999", "00010000")
    assert MeterSide(OneValue()).feed(exchange.request) == []
    assert exchange.feed(bytes.fromhex("6861010000000068910833333433593333338A16"))


def test_6_d5_asks_for_follow_up_frames_with_a_number_and_1997_has_none():
    exchange = ReadExchange(METER, "00010000")
    exchange.feed(bytes.fromhex("6861010000000068B10C333334334444444444444444DC16"))
    assert Frame.decode(exchange.request).body == bytes.fromhex("0000010001")
    request_1997 = explain(bytes.fromhex("6861010000000068020252C34B16"))
    assert request_1997.anatomy.fields == {"di": "901F"}


@pytest.mark.parametrize(
    ("di", "body", "value"),
    [
        pytest.param("02030000", "452381", "-1.2345", id="power_is_signed"),
        pytest.param("02060000", "7688", "-0.876", id="power_factor_is_signed"),
        pytest.param("02020100", "235180", "-5.123", id="current_is_signed"),
        pytest.param("00000000", "34120080", "-12.34", id="combined_energy_is_signed"),
        pytest.param("02800007", "2381", "-12.3", id="temperature_is_signed"),
        pytest.param("00010000", "34120080", "800012.34", id="forward_energy_is_not"),
        pytest.param("02010100", "0382", "820.3", id="voltage_is_not"),
    ],
)
def test_7_bit_7_is_a_sign_only_where_the_standard_says(di, body, value):
    assert str(decode_body(di, bytes.fromhex(body))[0].value) == value


def test_7_voltage_has_2_bytes_current_3_and_an_absent_phase_is_ff():
    assert len(encode_value("02010100", Decimal("220.3"))) == 2
    assert len(encode_value("02020100", Decimal("5.123"))) == 3
    assert decode_body("0201FF00", bytes.fromhex("0322FFFFFFFF"))[1].value is None


def test_8_the_error_byte_is_a_bit_mask_and_differs_between_editions():
    assert [reason.key for reason in error_reasons(0x03)] == ["other", "no_such_data"]
    assert [reason.key for reason in error_reasons(0x03, edition=1997)] == ["illegal_data", "data_identifier"]


def test_8_address_requests_that_fail_are_answered_by_silence():
    assert MeterSide(OneValue()).feed(requests.write_address("000000000162").encode()) == []


def test_9_an_echo_of_the_request_is_not_the_answer():
    exchange = ReadExchange(METER, "00010000")
    assert exchange.feed(exchange.request + bytes.fromhex("6861010000000068910833333433593333338A16"))
    assert exchange.values[0].value == Decimal("0.26")


def test_10_a_pause_inside_a_frame_does_not_cut_it():
    exchange = ReadExchange(METER, "00010000")
    raw = bytes.fromhex("6861010000000068910833333433593333338A16")
    assert [exchange.feed(raw[:11]), exchange.feed(b""), exchange.feed(raw[11:])] == [False, False, True]


def test_writes_need_level_password_and_operator_and_1997_has_no_operator():
    fields = explain(bytes.fromhex("686101000000006814103434333737896745AB896745333544587816")).anatomy.fields
    assert (fields["pa"], fields["password"], fields["operator"]) == ("04", "123456", "12345678")
    fields = explain(bytes.fromhex("6861010000000068040A43F33389674533354458E216")).anatomy.fields
    assert (fields["pa"], fields["password"], "operator" in fields) == ("00", "123456", False)


def test_a_load_record_with_a_checksum_of_its_own_kind_is_kept():
    raw = bytes.fromhex("A0A01C45230211250322042205220015000115000215800050AAAAAAAAAAAA00E5")
    (record,) = decode_load_records("06010002", raw)
    assert record.faults == ("checksum",)
    assert record.values[0].value == Decimal("220.3")


def test_a_class_read_without_the_separators_of_the_other_classes_is_understood():
    raw = bytes.fromhex("A0A00E4523021125 9009910992099389AA 1DE5".replace(" ", ""))
    (record,) = decode_load_records("06030002", raw)
    assert [str(value.value) for value in record.values] == ["0.990", "0.991", "0.992", "-0.993"]


def test_the_aa_that_closes_a_block_of_1997_is_not_data():
    body = bytes.fromhex("0000010000250000AA")
    assert [str(value.value) for value in edition1997.decode_body("901F", body)] == ["100.00", "25.00"]


def test_voltage_of_1997_has_no_decimal():
    assert str(edition1997.decode_body("B611", bytes.fromhex("2002"))[0].value) == "220"


def test_a_refusal_is_not_data():
    with pytest.raises(MeterRefused):
        ReadExchange(METER, "00010000").feed(Frame(METER, 0xD1, b"\x02").encode())
