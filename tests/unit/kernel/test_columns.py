"""Columns give back exactly what they were given, or refuse it."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from wattkeeper.kernel.columns import Instant, Json, ScaledDecimal

DIALECT = sqlite.dialect()


def round_trip(column, value):
    return column.process_result_value(column.process_bind_param(value, DIALECT), DIALECT)


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))])))
def test_an_instant_comes_back_in_utc_to_the_microsecond(instant):
    try:
        expected = instant.astimezone(UTC)
    except OverflowError:
        return  # the first hours of the year 1 in China are in no year of UTC
    found = round_trip(Instant(), instant)
    assert (found, found.tzinfo) == (expected, UTC)


def test_instants_are_microseconds_so_the_database_can_compare_them():
    assert Instant().process_bind_param(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC), DIALECT) == 1_000_005


def test_a_naive_instant_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        Instant().process_bind_param(datetime(2024, 1, 1), DIALECT)  # noqa: DTZ001 - what is refused


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 8))
def test_a_decimal_comes_back_with_the_decimals_of_its_column(units, scale):
    value = Decimal(units).scaleb(-scale)
    found = round_trip(ScaledDecimal(scale), value)
    assert (found, found.as_tuple().exponent) == (value, -scale)


@pytest.mark.parametrize("value", ["0.00001", "1E+15", "NaN", "Infinity"])
def test_a_decimal_that_does_not_fit_is_refused_not_rounded(value):
    with pytest.raises(ValueError, match="does not fit"):
        ScaledDecimal(4).process_bind_param(Decimal(value), DIALECT)


def test_json_keeps_decimals_as_exact_text():
    value = {
        "b": Decimal("0.10"),
        "a": ["电", 1, None],
        "at": datetime(2024, 1, 1, tzinfo=UTC),
        "day": date(2024, 2, 29),
    }
    assert Json().process_bind_param(value, DIALECT) == (
        '{"a":["电",1,null],"at":"2024-01-01T00:00:00+00:00","b":"0.10","day":"2024-02-29"}'
    )
    assert round_trip(Json(), {"kwh": Decimal("1E+2")}) == {"kwh": "100"}


def test_what_has_no_form_in_json_is_refused():
    with pytest.raises(TypeError, match="no form in JSON"):
        Json().process_bind_param({1, 2}, DIALECT)


def test_null_stays_null():
    assert [round_trip(column, None) for column in (Instant(), ScaledDecimal(2), Json())] == [
        None,
        None,
        None,
    ]
