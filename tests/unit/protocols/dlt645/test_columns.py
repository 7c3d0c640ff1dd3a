"""A column of replies says exactly what its frames say one at a time."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.protocols.dlt645 import (
    BodyError,
    Frame,
    FrameError,
    RequestError,
    Value,
    decode_body,
    encode_body,
    encode_value,
)
from wattkeeper.protocols.dlt645.columns import decode_column, decode_columns
from wattkeeper.protocols.dlt645.requests import identifier_bytes

KINDS = ["00010000", "00000000", "02010100", "02020100", "02030000", "02060000", "02800002", "02800007"]


def reply(di, body, *, address="000000000161", control=0x91, preamble=0):
    return Frame(address, control, identifier_bytes(di) + body).encode(preamble)


def one_at_a_time(di, raw):
    try:
        frame = Frame.decode(raw)
        if frame.control != 0x91 or frame.body[:4] != identifier_bytes(di) or not frame.address.isdecimal():
            return None
        return decode_body(di, frame.body[4:])[0].value
    except (FrameError, BodyError):
        return None


@given(st.sampled_from(KINDS), st.data())
def test_any_bodies_give_what_single_decoding_gives(di, data):
    size = len(encode_value(di, Decimal(0)))
    body = st.binary(min_size=size, max_size=size) | st.sampled_from(
        [b"\xff" * size, b"\x00" * size, b"\x99" * size]
    )
    bodies = data.draw(st.lists(body, max_size=8))
    rows = [reply(di, body, preamble=data.draw(st.integers(0, 4))) for body in bodies]
    column = decode_column(di, rows)
    assert [column.decimal(row) for row in range(len(rows))] == [one_at_a_time(di, raw) for raw in rows]


@given(st.lists(st.binary(max_size=40) | st.just(reply("00010000", b"\x12\x00\x00\x00")), max_size=8))
def test_rows_that_are_no_frames_are_not_valid(rows):
    column = decode_column("00010000", rows)
    assert [column.decimal(row) for row in range(len(rows))] == [
        one_at_a_time("00010000", raw) for raw in rows
    ]


def test_every_single_damaged_bit_is_seen():
    raw = reply("02030000", bytes.fromhex("123480"))
    rows = [
        bytes(byte ^ (1 << bit) * (at == place) for at, byte in enumerate(raw))
        for place in range(len(raw))
        for bit in range(8)
    ]
    column = decode_column("02030000", rows)
    assert not column.valid.any()
    assert not column.values.any()


def test_a_matrix_checked_by_hand():
    rows = [reply("00000000", encode_value("00000000", Decimal(text)), address=f"{number:012d}")
            for number, text in enumerate(["-12.34", "0.00", "799999.99"], 1)]  # fmt: skip
    column = decode_column("00000000", np.frombuffer(b"".join(rows), np.uint8).reshape(3, -1))
    assert column.values.tolist() == [-1234, 0, 79999999]
    assert column.addresses.tolist() == [1, 2, 3]
    assert (column.unit, column.scale) == ("kWh", Decimal("0.01"))


def test_a_refusal_has_an_address_of_its_own_length_and_no_value():
    column = decode_column(
        "00010000", [Frame("000000000161", 0xD1, b"\x02").encode(), reply("00010000", b"\x26\x00\x00\x00")]
    )
    assert column.valid.tolist() == [False, True]


def test_an_empty_column():
    assert decode_column("00010000", []).values.tolist() == []


TARIFFS = ("total", "t1", "t2", "t3", "t4")


def freeze(*numbers, address="000000000161"):
    values = [
        Value("05060101", Decimal(number), part=part) for number, part in zip(numbers, TARIFFS, strict=False)
    ]
    return reply("05060101", encode_body("05060101", values), address=address, preamble=4)


def test_a_daily_freeze_is_a_column_for_each_tariff():
    rows = [freeze("10.00", "1.00", "2.00", "3.00", "4.00"), b"noise", freeze("7.00", "7.00")]
    columns = decode_columns("05060101", rows)
    assert [(column.identifier, column.part, column.unit) for column in columns] == [
        ("05060101", part, "kWh") for part in TARIFFS
    ]
    assert [[column.decimal(row) for row in range(3)] for column in columns] == [
        [Decimal("10.00"), None, Decimal("7.00")],
        [Decimal("1.00"), None, Decimal("7.00")],
        [Decimal("2.00"), None, None],
        [Decimal("3.00"), None, None],
        [Decimal("4.00"), None, None],
    ]
    assert columns[4].addresses.tolist() == [161, -1, 161]


@given(st.lists(st.lists(st.binary(min_size=4, max_size=4), min_size=1, max_size=6), max_size=6))
def test_blocks_of_any_length_give_what_single_decoding_gives(bodies):
    rows = [reply("0001FF00", b"".join(items), preamble=len(items) % 5) for items in bodies]
    columns = decode_columns("0001FF00", rows)
    for row, items in enumerate(bodies):
        for number, column in enumerate(columns):
            told = column.decimal(row)
            alone = (
                one_at_a_time(column.identifier, reply(column.identifier, items[number]))
                if number < len(items)
                else None
            )
            assert told == alone


@pytest.mark.parametrize("di", ["0001FF00", "01010000", "04000101", "04FFAAF9"])
def test_what_is_no_plain_number_is_refused(di):
    with pytest.raises(RequestError, match=r"one plain number|a block of numbers"):
        decode_column(di, [])
