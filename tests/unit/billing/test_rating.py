"""Energy becomes money: tiers, hours, price changes and the one place of rounding."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.billing.rating import Use, rate, split_by_tier, spread
from wattkeeper.kernel.timerange import TimeRange, start_of_day

kwh = st.decimals(min_value=0, max_value=100_000, places=4)
limits = st.lists(st.integers(1, 10_000), min_size=1, max_size=4, unique=True).map(
    lambda x: [Decimal(n) for n in sorted(x)]
)


@settings(deadline=None)
@given(before=kwh, used=kwh, limits=limits)
def test_tiers_neither_lose_nor_add_energy(before, used, limits):
    parts = split_by_tier(before, used, limits)
    assert sum(parts) == used
    assert all(part >= 0 for part in parts)
    assert len(parts) == len(limits) + 1


@settings(deadline=None)
@given(before=kwh, first=kwh, second=kwh, limits=limits)
def test_two_halves_fill_the_tiers_like_the_whole(before, first, second, limits):
    whole = split_by_tier(before, first + second, limits)
    halves = [split_by_tier(before, first, limits), split_by_tier(before + first, second, limits)]
    assert [a + b for a, b in zip(*halves, strict=True)] == whole


@settings(deadline=None)
@given(tou=st.lists(kwh, min_size=1, max_size=4), before=kwh, limits=limits)
def test_sharing_tiers_among_hours_keeps_both_sums(tou, before, limits):
    tiers = split_by_tier(before, sum(tou), limits)
    rows = spread(tiers, tou)
    assert [sum(row) for row in rows] == tiers
    assert [sum(column) for column in zip(*rows, strict=True)] == tou
    assert all(cell >= 0 for row in rows for cell in row)


@settings(deadline=None)
@given(first=kwh, second=kwh, before=kwh)
def test_two_bills_equal_one_where_the_total_is_not_rounded_between(
    first, second, before, make_tariff, energy
):
    tariff = make_tariff(
        [energy("[0.5, 0.6, 0.9]")],
        tiers="{cycle: year, part_cycle: whole, limits: [2760, 4800]}",
        rounding="{at: total, digits: 4, mode: half_up}",
    )
    days = [start_of_day(date(2024, 1, day), tariff.zone) for day in (1, 10, 20)]
    start = TimeRange(days[0], days[2])
    halves = [Use(TimeRange(days[0], days[1]), first), Use(TimeRange(days[1], days[2]), second)]
    used = {days[0]: before}
    whole = rate(tariff, [Use(start, first + second)], in_force=tariff.period, used_before=used)
    both = rate(tariff, halves, in_force=tariff.period, used_before=used)
    assert both.total == whole.total


@settings(deadline=None)
@given(used=kwh, before=kwh)
def test_lines_add_up_to_the_total_where_lines_are_rounded(used, before, make_tariff, energy, surcharge):
    tariff = make_tariff(
        [energy("[0.4883, 0.5383, 0.7883]"), surcharge("funds", "0.0485")],
        tiers="{cycle: year, part_cycle: whole, limits: [2880, 4800]}",
    )
    start = start_of_day(date(2024, 1, 1), tariff.zone)
    period = TimeRange(start, start_of_day(date(2024, 2, 1), tariff.zone))
    rated = rate(tariff, [Use(period, used)], in_force=tariff.period, used_before={start: before})
    assert rated.total == sum(line.amount for line in rated.lines)
    assert all(line.amount == line.amount.quantize(Decimal("0.01")) for line in rated.lines)


def test_a_bill_is_split_where_it_passes_a_limit(make_tariff, energy, bill):
    tariff = make_tariff([energy("[0.5, 0.6]")], tiers="{cycle: year, part_cycle: whole, limits: [100]}")
    rated = bill(tariff, 30, before=80)
    assert [(line.tier, line.quantity, line.price, line.amount) for line in rated.lines] == [
        (1, Decimal(20), Decimal("0.5"), Decimal("10.00")),
        (2, Decimal(10), Decimal("0.6"), Decimal("6.00")),
    ]
    assert rated.lines[1].rule_en == "Tier 2: above 100 kWh this year, 80 kWh used before"
    assert rated.lines[1].rule_zh == "第2档：本年累计 100 kWh以上，此前已用 80 kWh"


def test_the_year_begins_anew_within_a_bill_that_spans_it(make_tariff, energy):
    tariff = make_tariff([energy("[0.5, 1]")], tiers="{cycle: year, part_cycle: whole, limits: [100]}")
    december, new_year, january = (
        start_of_day(day, tariff.zone) for day in (date(2023, 12, 15), date(2024, 1, 1), date(2024, 1, 15))
    )
    segments = tariff.segments(TimeRange(december, january))
    assert segments == [TimeRange(december, new_year), TimeRange(new_year, january)]
    uses = [Use(segment, Decimal(50)) for segment in segments]
    old_year = start_of_day(date(2023, 1, 1), tariff.zone)
    rated = rate(tariff, uses, in_force=tariff.period, used_before={old_year: Decimal(80)})
    assert [(line.tier, line.quantity) for line in rated.lines] == [(1, 20), (2, 30), (1, 50)]
    assert rated.total == Decimal("65.00")


def test_a_price_change_in_mid_month_splits_the_bill_at_that_instant_and_the_tiers_go_on(make_tariff, energy):
    section = "    tiers: {cycle: year, part_cycle: whole, limits: [100]}"
    later = f"""
  - valid_from: 2024-01-16
    rounding: {{at: line, digits: 2, mode: half_up}}
{section}
    components:
      - {energy("[0.7, 0.8]")}
"""
    tariff = make_tariff(
        [energy("[0.5, 0.6]")], tiers=section.split("tiers: ")[1], end="2024-01-16", more=later
    )
    month = TimeRange.month(2024, 1, tariff.zone)
    segments = tariff.segments(month)
    assert segments[0].end == datetime(2024, 1, 15, 16, tzinfo=UTC)
    uses = [Use(segment, Decimal(80)) for segment in segments]
    rated = rate(tariff, uses, in_force=tariff.period, used_before={})
    assert [(line.tier, line.quantity, line.amount) for line in rated.lines] == [
        (1, 80, Decimal("40.00")),
        (1, 20, Decimal("14.00")),
        (2, 60, Decimal("48.00")),
    ]


@pytest.mark.parametrize(
    ("opened", "limit"),
    [(date(2024, 1, 1), 1200), (date(2024, 7, 1), 600), (date(2024, 7, 20), 600), (date(2024, 12, 31), 100)],
)
def test_an_account_opened_within_the_year_has_the_limits_of_its_months(opened, limit, make_tariff, energy):
    tariff = make_tariff([energy("[0.5, 0.6]")], tiers="{cycle: year, part_cycle: months, limits: [1200]}")
    tiers = tariff.versions[0].tiers
    in_force = TimeRange(start_of_day(opened, tariff.zone), None)
    assert tiers.limits(tiers.cycle_at(in_force.start, tariff.zone), in_force, tariff.zone) == (limit,)


@pytest.mark.parametrize(
    ("part_month", "amount"), [("whole", "30.00"), ("days", "15.52"), ("thirtieths", "15.00")]
)
def test_a_fixed_charge_for_part_of_a_month_follows_its_rule(part_month, amount, make_tariff, energy, bill):
    fixed = f"{{code: service, kind: fixed, names: {{zh: 服务费, en: Service}}, price: 30, part_month: {part_month}}}"
    tariff = make_tariff([energy(0), fixed])
    # 15 days of a February of 29
    start, end = date(2024, 2, 15), date(2024, 3, 1)
    in_force = TimeRange(start_of_day(start, tariff.zone), None)
    rated = bill(tariff, 0, start=start, end=end, in_force=in_force)
    assert rated.lines[-1].amount == Decimal(amount)


def test_a_bill_without_energy_still_says_so(make_tariff, energy, bill):
    rated = bill(make_tariff([energy("0.5")]), 0)
    assert [(line.quantity, line.amount) for line in rated.lines] == [(0, Decimal("0.00"))]
    assert rated.total == 0


def test_uses_keep_their_references_on_every_line(make_tariff, energy):
    tariff = make_tariff([energy("0.5")])
    use = replace(Use(TimeRange.month(2024, 1, tariff.zone), Decimal(1)), references=("reading 7",))
    assert rate(tariff, [use], in_force=tariff.period, used_before={}).lines[0].references == ("reading 7",)


def test_limits_of_part_of_a_year_are_whole_units_of_energy(make_tariff, energy, bill):
    tariff = make_tariff(
        [energy("[0.5, 0.6]")], tiers="{cycle: year, part_cycle: months, limits: [100]}", start="2024-08-01"
    )
    rated = bill(tariff, 50, start=date(2024, 8, 1), end=date(2024, 9, 1))
    assert [line.quantity for line in rated.lines] == [Decimal("41.6667"), Decimal("8.3333")]


def test_versions_that_round_in_different_places_each_keep_their_own(make_tariff, energy):
    later = f"""
  - valid_from: 2024-01-16
    rounding: {{at: total, digits: 2, mode: half_up}}
    components:
      - {energy("0.333")}
      - {energy("0.333").replace("code: energy", "code: other")}
"""
    tariff = make_tariff([energy("0.333")], end="2024-01-16", more=later)
    uses = [Use(segment, Decimal(1)) for segment in tariff.segments(TimeRange.month(2024, 1, tariff.zone))]
    # 0.33 by the line, and 0.333 + 0.333 = 0.67 by the total
    assert rate(tariff, uses, in_force=tariff.period, used_before={}).total == Decimal("1.00")
