"""Columns of whole numbers: each packing by hand, and any numbers there and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.readings.transmission.errors import BadBatch
from wattkeeper.readings.transmission.numbers import (
    BITS,
    CONSTANT,
    PLANES,
    Reader,
    pack_bytes,
    pack_numbers,
    unpack_bytes,
    unpack_numbers,
)


def packed(*values: int) -> tuple[int, bytes]:
    return pack_numbers(np.array(values, np.int64))


def test_a_constant_is_one_number_whatever_its_length():
    assert packed(*[-3] * 1000) == (CONSTANT, bytes([5]))  # -3 is written as 2 * 3 - 1


def test_bits_hold_the_rest_above_the_least_in_steps():
    # 100, 107, 114, 128 are 100 + 7 * (0, 1, 2, 4): three bits each, the lowest first: 000 100 010 001
    assert packed(100, 107, 114, 128) == (BITS, bytes([0xC8, 0x01, 7, 3, 0b10001000, 0b1000]))


def test_planes_hold_the_low_bytes_then_the_high_ones():
    packing, found = packed(*range(255), 0xFF, 0x0100)
    assert packing == PLANES
    reader = Reader(found)
    assert (reader.signed(), reader.varint(), reader.byte()) == (0, 1, 2)
    assert unpack_bytes(reader, 257) == bytes([*range(256), 0])
    assert unpack_bytes(reader, 257) == bytes([*[0] * 256, 1])
    assert reader.left == 0


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 300)), min_size=1, max_size=70))
def test_any_numbers_come_back(values):
    packing, found = packed(*values)
    reader = Reader(found)
    assert unpack_numbers(packing, reader, len(values)).tolist() == values
    assert reader.left == 0


@pytest.mark.parametrize("width", [1, 7, 8, 21, 56])
def test_bits_of_any_width_cross_the_parts_they_are_made_in(width):
    random = np.random.default_rng(width)
    values = random.integers(0, 1 << width, (1 << 16) + 13)
    values[0], values[1] = 0, (1 << width) - 1
    packing, found = pack_numbers(values)
    assert np.array_equal(unpack_numbers(packing, Reader(found), len(values)), values)


@given(st.binary(max_size=200))
def test_any_bytes_come_back(source):
    assert unpack_bytes(Reader(pack_bytes(source)), len(source)) == source


def test_a_compressed_run_is_never_unpacked_beyond_what_was_told():
    bomb = pack_bytes(bytes(range(200)) * 50_000)
    assert len(bomb) < 20_000
    for told in (100, 9_999_999, 10_000_001):
        with pytest.raises(BadBatch, match=r"damaged|another number"):
            unpack_bytes(Reader(bomb), told)
