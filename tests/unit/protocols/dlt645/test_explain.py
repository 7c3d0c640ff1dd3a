"""Any bytes are explained to the last one, and the JSON is what other programs were promised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.protocols.dlt645 import Frame, encode_value
from wattkeeper.protocols.dlt645.explain import explain
from wattkeeper.protocols.dlt645.identifiers import TABLE_2007
from wattkeeper.protocols.dlt645.requests import identifier_bytes

REPLY = bytes.fromhex("6861010000000068910833333433593333338A16")


def test_the_json_of_a_reply():
    assert explain(REPLY).as_json() == {
        "valid": True,
        "protocol": "dlt645-2007",
        "direction": "response",
        "address": "000000000161",
        "control": "91",
        "identifier": "00010000",
        "values": [
            {"quantity": "current_forward_active_energy_total", "value": "0.26", "unit": "kWh"},
        ],
    }


def test_the_json_of_a_block_tells_whose_each_value_is():
    found = explain(bytes.fromhex("6861010000000068910A33323435365533333232F016")).as_json()
    assert found["identifier"] == "0201FF00"
    assert found["values"][1:] == [
        {"quantity": "voltage_phase_b", "value": "0.0", "unit": "V", "identifier": "02010200"},
        {"quantity": "voltage_phase_c", "value": None, "unit": "V", "identifier": "02010300"},
    ]


def test_the_caller_names_the_quantities_it_knows():
    names = {"00010000": "active_energy_import"}
    assert explain(REPLY).as_json(quantity_of=names.get)["values"][0]["quantity"] == "active_energy_import"


def test_the_json_of_a_request():
    assert explain(bytes.fromhex("FEFE68610100000000681104333334331416")).as_json() == {
        "valid": True,
        "protocol": "dlt645-2007",
        "direction": "request",
        "address": "000000000161",
        "control": "11",
        "identifier": "00010000",
    }


def test_the_json_of_a_refusal():
    found = explain(bytes.fromhex("6801000000000068D10136D916")).as_json()
    assert found["valid"]
    assert found["meter_error"] == {
        "err": "03",
        "err_bits": ["other", "no_such_data"],
        "message": "other error; the meter has no such data",
        "message_zh": "其他错误；无请求数据",
    }


def test_the_same_error_byte_means_something_else_in_1997():
    found = explain(bytes.fromhex("6895320600000068C101359416")).as_json()
    assert (found["protocol"], found["meter_error"]["err_bits"]) == ("dlt645-1997", ["data_identifier"])


def test_the_json_of_a_broken_frame():
    assert explain(REPLY[:-2] + b"\x8b\x16").as_json() == {"valid": False, "error": "checksum 8B expected 8A"}


def test_a_demand_says_when_it_occurred():
    raw = bytes.fromhex("6861010000000068910C3333343489674567453534563D16")
    (value,) = explain(raw).as_json()["values"]
    assert value == {
        "quantity": "current_forward_active_max_demand_total_time",
        "value": "12.3456",
        "unit": "kW",
        "occurred_at": "2023-01-02 12:34:00",
    }


def test_a_status_word_names_its_bits():
    raw = Frame("000000000161", 0x91, identifier_bytes("04000504") + b"\x84\x00").encode()
    (value,) = explain(raw).as_json()["values"]
    assert (value["value"], value["bits"]) == ("0x0084", ["overvoltage", "phase_failure"])


def test_a_small_number_is_not_written_with_an_exponent():
    raw = Frame("000000000161", 0x91, identifier_bytes("02030000") + encode_value("02030000", 0)).encode()
    assert explain(raw).as_json()["values"][0]["value"] == "0.0000"


def test_data_that_is_no_bcd_is_a_sound_frame_with_an_error_in_its_value():
    found = explain(bytes.fromhex("68610100000000689108333334330032FF33FC16")).as_json()
    assert found["valid"]
    assert "values" not in found
    assert found["value_error"] == "00CCFFCD is not BCD"


def test_every_part_of_a_reply_is_named_in_both_languages():
    parts = explain(b"\xfe\xfe" + REPLY).parts
    assert [(part.offset, part.octets.hex(" "), part.label_en, part.label_zh, part.value) for part in parts] == [
        (0, "fe fe", "wake-up bytes", "前导字节", "2"),
        (2, "68", "start", "起始符", ""),
        (3, "61 01 00 00 00 00", "address", "地址域", "000000000161"),
        (9, "68", "start", "起始符", ""),
        (10, "91", "control", "控制码 应答 读数据", "reply: read"),
        (11, "08", "length", "数据域长度", "8"),
        (12, "33 33 34 33", "identifier", "数据标识", "00010000 current forward active energy total (当前)正向有功总电能"),
        (16, "59 33 33 33", "current forward active energy total", "(当前)正向有功总电能", "0.26 kWh"),
        (20, "8a", "checksum", "校验码", "correct"),
        (21, "16", "end", "结束符", ""),
    ]  # fmt: skip


def parts_of(di, body):
    raw = Frame("000000000161", 0x91, identifier_bytes(di) + body).encode(0)
    return [(len(part.octets), part.label_en, part.value) for part in explain(raw).parts[6:-2]]


def test_a_load_record_is_explained_value_by_value():
    raw = bytes.fromhex("A0A01145230211259009910992099389AAAAAAAA00E5")
    assert parts_of("06030001", raw) == [
        (2, "start of load record", "A0A0"),
        (1, "its length", "17"),
        (5, "recorded at YYMMDDhhmm", "2511022345"),
        (2, "power factor total", "0.990"),
        (2, "power factor phase A", "0.991"),
        (2, "power factor phase B", "0.992"),
        (2, "power factor phase C", "-0.993"),
        *[(1, "end of group", "AA")] * 4,
        (2, "checksum and end of record", "00E5"),
    ]


def test_a_load_record_of_a_wrong_length_is_explained_all_the_same():
    raw = bytes.fromhex("A0A00E45230211259009910992099389AAAAAAAA00E5")
    assert sum(size for size, _, _ in parts_of("06030001", raw)) == len(raw)


def test_a_freeze_is_explained_value_by_value():
    assert parts_of("0504FF01", bytes.fromhex("0012021125AA00000100AAAA")) == [
        (5, "last-1 hourly freeze time", "2025-11-02 12:00:00"),
        (1, "end of group", "AA"),
        (4, "last-1 hourly freeze forward active total", "100.00 kWh"),
        (1, "end of group", "AA"),
        (1, "end of group", "AA"),
    ]


def test_an_event_is_explained_part_by_part():
    assert parts_of("03050001", bytes.fromhex("000012021125563412300012021125")) == [
        (6, "last-1 all-phase voltage loss record: start", "2025-11-02 12:00:00"),
        (3, "last-1 all-phase voltage loss record: current", "123.456 A"),
        (6, "last-1 all-phase voltage loss record: end", "2025-11-02 12:00:30"),
    ]


def test_a_block_of_1997_is_explained_value_by_value():
    parts = explain(
        bytes.fromhex("6861010000000068811752C33333343333583333335833333358333333583333DD4D16")
    ).parts
    assert [(part.label_en, part.value) for part in parts[6:-2]] == [
        ("present forward active energy total", "100.00 kWh"),
        *[(f"present forward active energy tariff {tariff}", "25.00 kWh") for tariff in range(1, 5)],
        ("end of group", "AA"),
    ]


def test_a_status_word_is_explained_bit_by_bit():
    assert parts_of("04000504", b"\x84\x00") == [
        (2, "running status word 4", "0x0084 (overvoltage; phase failure)")
    ]


def test_an_aa_that_is_data_is_not_taken_for_a_separator():
    ((size, label, value),) = parts_of("04000501", b"\xaa\x00")
    assert (size, label, value[:6]) == (2, "running status word 1", "0x00AA")


def test_a_piece_of_a_longer_reply_is_no_error():
    found = explain(bytes.fromhex("6861010000000068B10C333334334444444444444444DC16")).as_json()
    assert (found["more_follows"], found["value_error"]) == (True, "a piece of a longer reply")


def test_a_relay_command_in_cipher_text_is_not_taken_for_a_plain_one():
    raw = Frame("000000000161", 0x1C, bytes.fromhex("9800000078563412") + bytes(20)).encode()
    assert explain(raw).anatomy.fields == {
        "pa": "98", "password": "000000", "operator": "12345678", "data": "00" * 20,
    }  # fmt: skip


bodies = st.binary(max_size=120) | st.lists(st.sampled_from([0xAA, 0x00, 0xFF, 0x11, 0xE5]), max_size=16).map(
    bytes
)


@given(st.sampled_from(sorted(TABLE_2007)), bodies, st.sampled_from([0x91, 0x92, 0x14]))
def test_every_byte_of_any_data_is_explained(di, body, control):
    raw = Frame("000000000161", control, identifier_bytes(di) + body).encode()
    assert b"".join(part.octets for part in explain(raw).parts) == raw


def test_a_broken_frame_is_named_as_far_as_it_goes():
    parts = explain(REPLY[:-2] + b"\x8b\x16").parts
    assert [(part.label_en, part.value) for part in parts][-3:] == [
        ("data", "00 00 01 00 26 00 00 00"),
        ("checksum", "wrong, 8A expected"),
        ("end", ""),
    ]


def test_a_frame_in_the_middle_of_noise_is_found():
    found = explain(b"\x00\x01\xfe" + REPLY + b"\x99")
    assert found.valid
    assert [part.label_en for part in found.parts][:2] == ["not part of the frame", "wake-up bytes"]
    assert found.parts[-1].octets == b"\x99"


@pytest.mark.parametrize("raw", [b"", b"\xfe", b"\x68", b"\x16", b"\x00" * 20, REPLY[:11], REPLY[:9]])
def test_what_is_no_frame_says_why(raw):
    found = explain(raw)
    assert not found.valid
    assert found.error
    assert b"".join(part.octets for part in found.parts) == raw


frames = st.builds(
    Frame, st.text("0123456789A", min_size=12, max_size=12), st.integers(0, 255), st.binary(max_size=80)
)
lines = (
    st.binary(max_size=80)
    | frames.map(Frame.encode)
    | st.tuples(frames.map(Frame.encode), st.integers(0, 100), st.integers(0, 255)).map(
        lambda damaged: damaged[0][: damaged[1]] + bytes([damaged[2]]) + damaged[0][damaged[1] + 1 :]
    )
)


@given(lines)
def test_every_byte_is_explained_whatever_it_is(raw):
    found = explain(raw)
    assert b"".join(part.octets for part in found.parts) == raw
    assert [part.offset for part in found.parts] == [
        sum(len(part.octets) for part in found.parts[:number]) for number in range(len(found.parts))
    ]
    assert found.as_json()["valid"] == found.valid
    assert all(part.label_en and part.label_zh for part in found.parts)
