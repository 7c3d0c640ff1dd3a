"""Master data has possible values only, and a wrong one is explained."""

from decimal import Decimal

import pytest

from wattkeeper.registry.errors import BadValue, RegisterOutOfRange
from wattkeeper.registry.rules import (
    checked_address,
    checked_code,
    checked_currency,
    checked_model,
    checked_positive,
    checked_ratio,
    checked_register,
    checked_zone,
)


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        pytest.param("161", "000000000161?", id="short"),
        pytest.param("0000000001611", "12 digits of the meter's label", id="long"),
        pytest.param("1.23457E+11", "digits are lost", id="rounded_by_a_spreadsheet"),
        pytest.param("00000000016A", "12 digits of the meter's label", id="letter"),
        pytest.param("００００００００００００", "12 digits of the meter's label", id="full_width"),
        pytest.param("", "12 digits of the meter's label", id="empty"),
    ],
)
def test_the_address_of_a_dlt645_meter_has_twelve_digits(address, hint):
    with pytest.raises(BadValue) as refused:
        checked_address("dlt645-2007", address)
    assert refused.value.field == "address"
    assert hint in refused.value.hint


def test_an_address_is_trimmed_and_other_protocols_have_their_own():
    assert checked_address("dlt645-1997", " 000000000161 ") == "000000000161"
    assert checked_address("dlt645", "000000000161") == "000000000161"
    assert checked_address("modbus-rtu", "17") == "17"
    assert checked_address("modbus-tcp", "000000000255") == "255"


@pytest.mark.parametrize(
    ("protocol", "address"),
    [("modbus-rtu", "0"), ("modbus-rtu", "248"), ("modbus-tcp", "-1"), ("modbus-rtu", "²")],
)
def test_a_modbus_address_is_a_unit(protocol, address):
    with pytest.raises(BadValue, match="is its unit, 1 to 247"):
        checked_address(protocol, address)


def test_a_modbus_meter_has_a_register_map():
    assert checked_model("modbus-rtu", " eastron-sdm630 ") == "eastron-sdm630"
    assert checked_model("dlt645-2007", "") == ""
    with pytest.raises(BadValue, match="register map"):
        checked_model("modbus-tcp", " ")


@pytest.mark.parametrize("code", ["", "  ", "a\nb", "x" * 65])
def test_a_code_is_one_short_line(code):
    with pytest.raises(BadValue, match="code of a link"):
        checked_code("link", code)


def test_a_code_may_be_chinese():
    assert checked_code("point", " 1栋-101 ") == "1栋-101"


@pytest.mark.parametrize("zone", ["", "Mars/Base", "../etc/passwd", "+08:00"])
def test_a_zone_is_one_of_the_iana_database(zone):
    with pytest.raises(BadValue, match="time zone"):
        checked_zone(zone)


@pytest.mark.parametrize("currency", ["", "yuan", "¥", "cny"])
def test_a_currency_is_a_code(currency):
    with pytest.raises(BadValue, match="not a currency"):
        checked_currency(currency)


def test_what_is_right_comes_back():
    assert (checked_zone("Asia/Shanghai"), checked_currency("CNY")) == ("Asia/Shanghai", "CNY")
    assert checked_ratio("ct_ratio", Decimal("66.6667")) == Decimal("66.6667")
    value = Decimal("9999.99")
    assert checked_register(value, address="000000000161", digits=4, decimals=2) == value


def test_a_register_is_bounded_by_the_digits_of_the_display():
    with pytest.raises(RegisterOutOfRange, match="Meter 000000000161 shows 4 digits and 2 decimals"):
        checked_register(Decimal(10000), address="000000000161", digits=4, decimals=2)


@pytest.mark.parametrize("value", ["0", "-1", "7.0005", "1E+12", "NaN"])
def test_a_rating_is_above_zero(value):
    with pytest.raises(BadValue, match="impossible"):
        checked_positive("rated_power_kw", Decimal(value))


def test_a_rating_may_be_unknown():
    known = Decimal("7.5")
    assert checked_positive("rated_power_kw", None) is None
    assert checked_positive("rated_power_kw", known) == known
