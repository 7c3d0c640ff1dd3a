"""A tariff file says what it means, or is refused with its line and the way out."""

from decimal import Decimal

import pytest

from wattkeeper.billing.errors import TariffError, UnknownTariff
from wattkeeper.billing.library import SHIPPED, TariffLibrary
from wattkeeper.billing.tariff_reader import read_tariff_file, restore_tariff

GOOD = """code: one
names: {zh: 一, en: One}
currency: CNY
zone: Asia/Shanghai
source: a test
in_force: unverified
versions:
  - valid_from: 2024-01-01
    rounding: {at: line, digits: 2, mode: half_up}
    tiers: {cycle: year, part_cycle: months, limits: [2760, 4800]}
    tou:
      periods:
        - {code: peak, names: {zh: 峰, en: Peak}, factor: 1.5}
        - {code: valley, names: {zh: 谷, en: Valley}, factor: 0.5}
      days:
        - {months: 1-12, times: {peak: ["08:30-21:00"]}, rest: valley}
    components:
      - {code: energy, kind: energy, names: {zh: 电费, en: Energy}, price: [0.10, 0.2, 0.3]}
"""


@pytest.fixture
def read(tmp_path):
    def run(text):
        path = tmp_path / "one.yaml"
        path.write_text(text, encoding="utf-8")
        return read_tariff_file(path)

    return run


def test_prices_are_read_exactly_as_written(read):
    component = read(GOOD).versions[0].components[0]
    assert [str(component.price(tier)) for tier in (1, 2, 3)] == ["0.10", "0.2", "0.3"]


def test_every_shipped_tariff_reads_and_says_where_it_is_from():
    tariffs = TariffLibrary.open().all()
    assert len(tariffs) == len(list(SHIPPED.glob("*.yaml"))) == 6
    assert all(tariff.source and tariff.in_force == "unverified" for tariff in tariffs)


def test_what_a_bill_keeps_of_a_tariff_restores_it():
    for tariff in TariffLibrary.open().all():
        restored = restore_tariff(tariff.content)
        assert (restored.versions, restored.content_hash) == (tariff.versions, tariff.content_hash)


def test_a_factor_of_a_period_builds_on_that_period(read):
    text = GOOD.replace("[0.10, 0.2, 0.3]", "0.5, times_factor: yes").replace(
        "{code: valley",
        "{code: top, names: {zh: 尖, en: Top}, factor: 1.2, factor_of: peak}\n        - {code: valley",
    )
    component = read(text).versions[0].components[0]
    assert component.price(tou="top") == Decimal("0.9")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("code: one", "code: One!", 1, "no code"),
        ("currency: CNY", "currency: yuan", 3, "three capital letters"),
        ("zone: Asia/Shanghai", "zone: Asia/Nowhere", 4, "no time zone"),
        ("source: a test\n", "", 1, "'source' is missing"),
        ("in_force: unverified", "in_force: maybe", 6, "yes, no, unverified"),
        ("2024-01-01", "first of May", 8, "not a date"),
        ("mode: half_up", "mode: bankers", 9, "half_up, half_even"),
        ("digits: 2", "digits: two", 9, "whole number from 0 to 4"),
        ("[2760, 4800]", "[4800, 2760]", 10, "rise"),
        ("limits: [2760", "limit: [2760", 10, "'limit' means nothing here"),
        ('"08:30-21:00"', '"08:30 to 21:00"', 16, "no span of hours"),
        ('"08:30-21:00"', '"08:30-21:00", "20:00-22:00"', 16, "20:00 is in peak already"),
        (", rest: valley", "", 16, "no period holds at 00:00"),
        ("months: 1-12", "months: 1-11", 16, "month 12"),
        ("peak: [", "peek: [", 16, "none of the periods above"),
        ("[0.10, 0.2, 0.3]", "[0.10, 0.2]", 18, "2 prices for 3 tiers"),
        ("[0.10, 0.2, 0.3]", "cheap", 18, "not a number"),
        ("[0.10, 0.2, 0.3]", "{peak: 1}", 18, "Give a price to each of: peak, valley"),
        ("[0.10, 0.2, 0.3]", "0.123456789", 18, "more than 8 decimals"),
        ("kind: energy", "kind: fixed", 18, "part_month"),
        ("kind: energy", "kind: surcharge", 18, "no component is of kind energy"),
        ("versions:\n", "versions: {\n", None, "not YAML"),
        ("code: one", "code: one\ncode: two", 2, "written twice"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_the_way_out(read, old, new, line, said):
    assert old in GOOD
    with pytest.raises(TariffError) as caught:
        read(GOOD.replace(old, new, 1))
    assert said in str(caught.value)
    assert caught.value.hint
    if line is not None:
        assert str(caught.value).startswith(f"one.yaml:{line}: ")


def test_versions_must_follow_each_other(read):
    second = GOOD[GOOD.index("  - valid_from") :].replace("2024-01-01", "2025-01-01")
    with pytest.raises(TariffError, match=r"one.yaml:19: .*valid_to equal to this valid_from"):
        read(GOOD + second)


def test_an_unknown_tariff_names_those_there_are():
    with pytest.raises(UnknownTariff, match="cn-beijing-residential"):
        TariffLibrary.open().get("cn-paris")
