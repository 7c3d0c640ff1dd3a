"""The commands for Modbus meters, as a newcomer types them."""

import json

import pytest

MAP = """name = "my-meter"
maker = "Me"
models = ["M1"]
source = "its label"
shows = "primary"
addressing = "number"
[registers]
voltage_l1 = { address = 1, type = "uint16", scale = 0.1, unit = "V" }
"""


def test_one_s_own_map_is_checked_and_shown(wattkeeper, tmp_path):
    file = tmp_path / "my.toml"
    file.write_text(MAP)
    done = wattkeeper("modbus", "check", str(file), "--json")
    assert done.returncode == 0
    [register] = json.loads(done.stdout)["registers"]
    assert register == {
        "key": "voltage_l1",
        "function": 3,
        "wire_address": 0,
        "words": 1,
        "type": "uint16",
        "order": "ABCD",
        "scale": "0.1",
        "unit": "V",
    }


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            "voltage_l1 =",
            "line 8: registers.voltage_1: the catalogue has no such quantity; is 'voltage_l1' meant? Else",
        ),
        ('unit = "V"', "line 8: registers.voltage_l1: unit 'A'; voltage_l1 is told in 'V'"),
    ],
)
def test_a_wrong_map_is_told_with_line_and_what_is_right(wattkeeper, tmp_path, wrong, said):
    right = {"voltage_l1 =": "voltage_1 =", 'unit = "V"': 'unit = "A"'}[wrong]
    file = tmp_path / "my.toml"
    file.write_text(MAP.replace(wrong, right))
    done = wattkeeper("modbus", "check", str(file))
    assert done.returncode == 1
    assert f"{file}, {said}" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_shipped_maps_are_listed_and_shown(wattkeeper):
    listed = [json.loads(line)["map"] for line in wattkeeper("modbus", "maps", "--json").stdout.splitlines()]
    assert len(listed) == 20
    shown = wattkeeper("modbus", "maps", "abb-b2x", "--json")
    assert json.loads(shown.stdout)["requests"]
    unknown = wattkeeper("modbus", "maps", "abb")
    assert (unknown.returncode, "Did you mean abb-b2x?" in unknown.stderr) == (1, True)


def test_modbus_frames_are_explained(wattkeeper):
    done = wattkeeper(
        "decode", "01040000000271CB", "00 01 00 00 00 06 01 03 00 00 00 02", "010300610001C5D5", "--json"
    )
    assert done.returncode == 1
    rtu, tcp, broken = map(json.loads, done.stdout.splitlines())
    assert (rtu["protocol"], rtu["function"], rtu["address"], rtu["count"]) == ("modbus-rtu", 4, 0, 2)
    assert (tcp["protocol"], tcp["transaction"], tcp["unit"]) == ("modbus-tcp", 1, 1)
    assert broken == {"valid": False, "error": "CRC C5D5, D5D4 expected"}
