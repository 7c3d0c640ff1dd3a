"""A map says what a register means; a wrong one is told with file, line, key and what would be right."""

import csv
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.protocols.modbus import MapError, reorder
from wattkeeper.protocols.modbus.coalescing import Span
from wattkeeper.protocols.modbus.mapfiles import load_folder, load_map, shipped_maps
from wattkeeper.protocols.modbus.values import decode, encode

HEAD = """name = "my-meter"
maker = "Me"
models = ["M1"]
source = "the label"
shows = "primary"
"""


def written(folder, body, *, head=HEAD, name="my.toml"):
    path = folder / name
    path.write_text(head + body, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("addressing", "address", "span"),
    [
        ("wire", 0, Span(3, 0, 1)),
        ("number", 1, Span(3, 0, 1)),
        ("modicon", 40001, Span(3, 0, 1)),
        ("modicon", 30001, Span(4, 0, 1)),
        ("modicon", 400124, Span(3, 123, 124)),
    ],
)
def test_the_first_register_is_the_first_in_every_notation(tmp_path, addressing, address, span):
    path = written(
        tmp_path,
        f'addressing = "{addressing}"\n[registers]\nfrequency = {{ address = {address}, type = "uint16", unit = "Hz" }}\n',
    )
    found = load_map(path)
    assert found.registers[0].span == span
    if address < 100_000:
        assert found.printed_address(found.registers[0]) == str(address)


def test_everything_wrong_is_told_at_once_with_its_line(tmp_path):
    path = written(
        tmp_path,
        """addressing = "modicon"
colour = "red"
largest_request = 200
[registers]
voltage_l1 = { address = 0, type = "uint16", unit = "V" }
voltage_l2 = { address = 40003, type = "flaot32", unit = "V" }
voltage_l3 = { address = 40005, type = "float32", unit = "Volt" }
current_l1 = { address = 40007, type = "float32", unit = "A", oder = "ABCD" }
current_l2 = { type = "float32", unit = "A" }
power_factor = { address = 40011, type = "string" }
active_power = { address = 40013, function = 4, type = "int32", unit = "W" }
""",
    )
    with pytest.raises(MapError) as refused:
        load_map(path)
    assert refused.value.problems == [
        f"{path}, line 7: colour: there is no entry 'colour'.",
        (
            f'{path}, line 10: registers.voltage_l1: address 0: with addressing = "modicon" an address is 40001 to 49999, '
            "30001 to 39999, or has six digits."
        ),
        (
            f"{path}, line 11: registers.voltage_l2: 'flaot32' is no type; is 'float32' meant?; there are uint16, int16, "
            "uint32, int32, uint64, int64, float32, float64, bcd, string, bits."
        ),
        f"{path}, line 12: registers.voltage_l3: 'Volt' is no unit that is known.",
        f"{path}, line 13: registers.current_l1.oder: there is no entry 'oder'; is 'order' meant?.",
        f"{path}, line 14: registers.current_l2: it has no address; write address = 0 (0x0000 for hexadecimal).",
        f"{path}, line 15: registers.power_factor: type = 'string' needs words, the number of registers: words = 8.",
        f"{path}, line 16: registers.active_power: address 40013 is of function 3, and function = 4 is given.",
        f"{path}, line 8: largest_request: 200 is no number from 1 to 125.",
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('[registers]\nfrequency = { address = 0, type = "uint16", unit = "Hz" }\n', "addressing: it is missing"),
        ('addressing = "wire"\n', "registers: there is no register"),
        ('addressing = "wire"\n[registers]\nx = 3\n', "line 8: registers.x: write { address"),
        ('addressing = "wire"\n[registers]\na = { address = 1, type = "uint32" }\nb = { address = 2, type = "uint16" }\n',
         "line 9: registers.b: its registers 3:2-2 overlap a (3:1-2)"),
        ('addressing = "wire"\n[registers]\na = { address = 65535, type = "uint32" }\n', "beyond the last address"),
        ('addressing = "wire"\n[registers]\na = { address = 1, type = "uint16", scale = 0 }\n', "scale = 0 is no number but 0"),
        ('addressing = "wire"\n[registers]\na = \n', "line 8: this is not TOML"),
        ('addressing = "wire"\nextends = "eastron-sdm63"\n', "line 7: extends: there is no map 'eastron-sdm63'; is 'eastron-sdm630' meant?"),
        ('addressing = "wire"\n[[detect]]\naddress = 1\ntype = "uint16"\n', "line 7: detect[0]: say what is expected"),
    ],
)  # fmt: skip
def test_a_slip_is_told_where_it_is(tmp_path, body, said):
    with pytest.raises(MapError) as refused:
        load_map(written(tmp_path, body))
    assert said in str(refused.value)


def test_a_map_may_change_another_in_its_word_order(tmp_path):
    path = written(tmp_path, 'extends = "eastron-sdm630"\norder = "CDAB"\n', head='name = "sdm630-swapped"\n')
    found, base = load_map(path), shipped_maps()["eastron-sdm630"]
    assert [register.span for register in found.registers] == [register.span for register in base.registers]
    octets = base.registers[0].encode(Decimal("230.5"))
    assert found.registers[0].decode(octets[2:] + octets[:2]) == Decimal("230.5")


def test_one_s_own_map_replaces_a_shipped_one_by_name(tmp_path):
    body = 'addressing = "wire"\n[registers]\nfrequency = { address = 0, type = "uint16", unit = "Hz" }\n'
    written(tmp_path, body, head=HEAD.replace("my-meter", "abb-b2x"))
    maps = load_folder(tmp_path, shipped_maps())
    assert len(maps) == len(shipped_maps())
    assert maps["abb-b2x"].maker == "Me"


@given(st.binary(min_size=8, max_size=8), st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"]))
def test_every_order_is_its_own_inverse(octets, order):
    assert reorder(reorder(octets, order), order) == octets


@pytest.mark.parametrize(
    ("order", "octets"),
    [("ABCD", "01020304"), ("CDAB", "03040102"), ("BADC", "02010403"), ("DCBA", "04030201")],
)
def test_the_orders_are_those_of_the_trade(order, octets):
    assert reorder(bytes.fromhex(octets), order).hex() == "01020304"


@given(
    st.sampled_from([("uint16", 1), ("int16", 1), ("uint32", 2), ("int32", 2), ("uint64", 4), ("int64", 4)]),
    st.data(),
)
def test_integers_come_back(kind_words, data):
    kind, words = kind_words
    octets = data.draw(st.binary(min_size=2 * words, max_size=2 * words))
    assert encode(kind, decode(kind, octets), words=words) == octets


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_single_comes_back_from_its_shortest_decimal(number):
    octets = encode("float32", Decimal(number), words=2)
    assert encode("float32", decode("float32", octets), words=2) == octets


def test_a_single_that_is_no_number_is_no_value():
    assert [decode("float32", bytes.fromhex(raw)) for raw in ("7FC00000", "7F800000", "FF800000")] == [
        None
    ] * 3


def test_not_available_is_no_value():
    abb = {register.key: register for register in shipped_maps()["abb-b2x"].registers}
    assert abb["voltage_l1"].decode(b"\xff" * 4) is None
    assert abb["active_power"].decode(b"\x7f\xff\xff\xff") is None
    assert abb["active_power"].decode(b"\xff\xff\xff\x9c") == Decimal("-1.00")
    assert abb["active_energy_import"].decode((123456).to_bytes(8)) == Decimal("1234.56")


@pytest.mark.parametrize(
    ("folded", "plain"), [("0.9", "0.9"), ("-0.9", "-0.9"), ("1.2", "0.8"), ("-1.2", "-0.8")]
)
def test_a_power_factor_in_four_quadrants_is_unfolded(folded, plain):
    iem = {register.key: register for register in shipped_maps()["schneider-iem3000"].registers}
    factor = iem["power_factor"]
    assert factor.decode(encode("float32", Decimal(folded), words=2)) == Decimal(plain)


def test_every_register_of_the_facts_is_in_a_shipped_map(shared):
    with (shared / "facts" / "modbus_meters.csv").open(encoding="utf-8", newline="") as file:
        facts = [row for row in csv.DictReader(file) if row["type"] != "block"]
    known = {
        (register.span.function, register.span.start)
        for each in shipped_maps().values()
        for register in (*each.registers, *each.details)
    }
    missing = [row for row in facts if (int(row["fc"]), int(row["register_dec"])) not in known]
    assert (len(facts), missing) == (523, [])
    assert sum(len(each.registers) + len(each.details) for each in shipped_maps().values()) == 523


def test_every_shipped_map_says_where_it_is_from():
    for name, each in shipped_maps().items():
        assert each.source
        assert each.models
        assert each.file == f"{name}.toml"
