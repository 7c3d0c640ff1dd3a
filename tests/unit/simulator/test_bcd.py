import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.simulator.bcd import bcd, bcd_columns


@pytest.mark.parametrize(
    ("value", "size", "signed", "octets"),
    [
        pytest.param(12345678, 4, False, "78 56 34 12", id="low byte first"),
        pytest.param(2204, 2, False, "04 22", id="voltage 220.4"),
        pytest.param(-15, 3, True, "15 00 80", id="sign in the top bit"),
        pytest.param(100000001, 4, False, "01 00 00 00", id="turned over"),
        pytest.param(0, 1, False, "00", id="zero"),
    ],
)
def test_numbers_go_out_as_packed_bcd_low_byte_first(value, size, signed, octets):
    assert bcd(value, size, signed=signed).hex(" ") == octets


@given(st.lists(st.integers(-(10**6) + 1, 10**6 - 1), min_size=1), st.booleans())
def test_many_at_once_are_the_same_as_one_by_one(values, signed):
    many = bcd_columns(np.array(values, dtype=np.int64), 3, signed=signed)
    assert [row.tobytes() for row in many] == [bcd(value, 3, signed=signed) for value in values]
