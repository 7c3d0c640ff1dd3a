"""Amounts in capital characters, after the rules for Chinese bills and cheques."""

from decimal import Decimal

import pytest

from wattkeeper.billing.capitals import yuan_in_capitals
from wattkeeper.billing.errors import DocumentError


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0", "零元整"),
        ("0.05", "伍分"),
        ("0.50", "伍角整"),
        ("1", "壹元整"),
        ("10", "壹拾元整"),
        ("16.80", "壹拾陆元捌角整"),
        ("107000.53", "壹拾万柒仟元零伍角叁分"),
        ("1409.50", "壹仟肆佰零玖元伍角整"),
        ("6007.14", "陆仟零柒元壹角肆分"),
        ("1680.32", "壹仟陆佰捌拾元零叁角贰分"),
        ("16409.02", "壹万陆仟肆佰零玖元零贰分"),
        ("325.04", "叁佰贰拾伍元零肆分"),
        ("10000", "壹万元整"),
        ("10001", "壹万零壹元整"),
        ("100000000", "壹亿元整"),
        ("100010000", "壹亿零壹万元整"),
        ("120003000.10", "壹亿贰仟万叁仟元零壹角整"),
        ("1000000000000", "壹万亿元整"),
        ("-12.50", "负壹拾贰元伍角整"),
    ],
)
def test_amounts_as_the_rules_write_them(amount, words):
    assert yuan_in_capitals(Decimal(amount)) == words


@pytest.mark.parametrize("amount", ["0.001", "1e16"])
def test_what_cannot_be_written_is_refused(amount):
    with pytest.raises(DocumentError):
        yuan_in_capitals(Decimal(amount))
