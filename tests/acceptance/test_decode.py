"""`wattkeeper decode`: any frame explained, one JSON object per frame for machines."""

import json

import pytest

REPLY = "6861010000000068910833333433593333338A16"


def test_a_reply_becomes_one_line_of_json(wattkeeper):
    done = wattkeeper("decode", "--json", REPLY)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "valid": True,
        "protocol": "dlt645-2007",
        "direction": "response",
        "address": "000000000161",
        "control": "91",
        "identifier": "00010000",
        "values": [{"quantity": "active_energy_import", "value": "0.26", "unit": "kWh"}],
    }


def test_standard_input_is_a_frame_per_line_and_one_broken_frame_stops_nothing(wattkeeper):
    broken = REPLY[:-4] + "8B16"
    done = wattkeeper("decode", "--json", "-", stdin=f"{REPLY}\n\n{broken}\nFE FE {REPLY}\nnot hex\n")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["valid"] for line in lines] == [True, False, True, False]
    assert "8B" in lines[1]["error"]
    assert "8A" in lines[1]["error"]
    assert done.returncode == 1


def test_a_refusal_is_a_meter_error_and_not_a_value(wattkeeper):
    body = bytes([0x68, 0x61, 1, 0, 0, 0, 0, 0x68, 0xD1, 1, 0x02 + 0x33])
    frame = body + bytes([sum(body) % 256, 0x16])
    line = json.loads(wattkeeper("decode", "--json", frame.hex()).stdout)
    assert line["valid"]
    assert "no such data" in json.dumps(line["meter_error"])
    assert not line.get("values")


def test_people_see_every_byte(wattkeeper):
    done = wattkeeper("decode", REPLY)
    for piece in ("000000000161", "0.26", "kWh", "8A"):
        assert piece in done.stdout


def test_the_explanation_is_in_chinese_where_the_terminal_is(wattkeeper):
    assert "正向有功总电能" in wattkeeper("decode", REPLY, LANG="zh_CN.UTF-8").stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("68 6G", "'G' is no hexadecimal digit", id="not_hex"),
        pytest.param("686", "3 digits are not whole bytes", id="half_a_byte"),
    ],
)
def test_what_is_not_hexadecimal_is_said_in_a_sentence(wattkeeper, text, said):
    done = wattkeeper("decode", text)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
