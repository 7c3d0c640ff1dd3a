# ruff: noqa: PLR0917  a test asks for its fixtures by position
"""Worked bills that others published: the right ones come out to the fen, the wrong ones do not.

Kinds of the case file that tiers and hours cannot express, and why:

- average_price, two_part_capacity, two_part_demand: charges for capacity and demand are not in the model yet.
- composite_two_part_tou_pf, power_factor, power_factor_table: capacity charges and power-factor adjustment.
- correction_factor, correction_tou, meter_error, outage_compensation, violation_capacity, violation_theft: corrections
  and penalties are their own documents, not a price of energy (correction_tou: its prices are checked here).
- discount_and_cash_rounding_intl: a discount on the band the total falls in, and rounding to 5 sen.
- rebate_intl, and INT-IN-TN-2012-80 of tiered_monthly_intl: the price of every kWh is chosen by the total.
- kpi, late_fee: not prices of energy.
- register_rollover: belongs to intervals, and is a rule without a published figure.
"""

import json
from datetime import date
from decimal import Decimal

import pytest

from wattkeeper.billing.library import TariffLibrary

SHIPPED = TariffLibrary.open()
UNEXPRESSED_KINDS = {
    "average_price", "two_part_capacity", "two_part_demand", "composite_two_part_tou_pf", "power_factor",
    "power_factor_table", "correction_factor", "meter_error", "outage_compensation", "violation_capacity",
    "violation_theft", "discount_and_cash_rounding_intl", "rebate_intl", "kpi", "late_fee", "register_rollover",
}  # fmt: skip
EXPRESSED_KINDS = {
    "commercial_tou", "correction_tou", "multiplier", "price_components", "residential_tou", "tiered_annual",
    "tiered_annual_partial_year", "tiered_annual_tou", "tiered_monthly", "tiered_monthly_intl", "tou_ratio",
    "unmetered_temporary",
}  # fmt: skip
FEN = Decimal("0.01")


@pytest.fixture(scope="module")
def cases(shared):
    rows = (shared / "cases" / "billing_cases.jsonl").read_text(encoding="utf-8").splitlines()
    return {case["id"]: case for case in map(json.loads, rows)}


def tiers_of(pairs, cycle):
    limits = [str(limit) for limit, _ in pairs if limit is not None]
    return (
        f"{{cycle: {cycle}, part_cycle: whole, limits: [{', '.join(limits)}]}}",
        f"[{', '.join(price for _, price in pairs)}]",
    )


def telescopic(make_tariff, energy, pairs, *, cycle="month", **options):
    """A tariff of these tiers; one that ends with a limit goes on at its last price."""
    pairs = [pair for pair in pairs if pair[0] is not None] + [[None, pairs[-1][1]]]
    tiers, prices = tiers_of(pairs, cycle)
    return make_tariff([energy(prices)], tiers=tiers, **options)


def amounts(rated):
    return [line.amount for line in rated.lines]


def test_every_kind_is_expressed_or_listed_with_its_reason(cases):
    assert {case["kind"] for case in cases.values()} == EXPRESSED_KINDS | UNEXPRESSED_KINDS


def test_beijing_year_of_5000_kwh(cases, bill):
    case = cases["TIER-CN-BJ-5000"]
    rated = bill(SHIPPED.get("cn-beijing-residential"), case["input"]["annual_kwh"])
    assert rated.total == Decimal(case["expected"]["amount"])
    assert [line.quantity for line in rated.lines] == [Decimal(kwh) for kwh in case["expected"]["tier_kwh"]]


def test_limits_of_half_a_year_are_half_the_limits(cases, make_tariff, energy, bill):
    case = cases["TIER-CN-NJ-2012H2"]
    limits = [12 * limit for limit in case["tariff"]["monthly_limits"]]
    tariff = make_tariff(
        [energy(f"[{', '.join(case['tariff']['surcharge'])}]")],
        tiers=f"{{cycle: year, part_cycle: months, limits: {limits}}}",
        start="2012-07-01",
    )
    rated = bill(tariff, case["input"]["kwh_so_far"], start=date(2012, 7, 1), end=date(2013, 1, 1))
    first, second = rated.lines
    assert first.quantity == Decimal(case["expected"]["tier1_limit"])
    assert second.quantity == Decimal(case["expected"]["tier2_kwh"])
    assert rated.total == Decimal(case["expected"]["tier_surcharge"])


@pytest.mark.parametrize("case_id", ["TIER-CN-JS-FEB", "TIER-CN-JS-OCT", "TIER-CN-JS-DEC"])
def test_jiangsu_surcharge_lies_on_top_of_either_period(case_id, cases, bill):
    case = cases[case_id]
    given, exact = case["input"], case["recomputed"]
    by_tou = {"peak": given["peak_kwh"], "valley": given["valley_kwh"]}
    rated = bill(
        SHIPPED.get("cn-jiangsu-residential-tou"),
        sum(by_tou.values()),
        before=given["cum_before_kwh"],
        by_tou=by_tou,
    )
    tou_charge = sum(line.amount for line in rated.lines if line.component == "energy")
    surcharge = sum(line.amount for line in rated.lines if line.component == "tier_surcharge")
    assert rated.total.quantize(FEN) == Decimal(exact["amount"]).quantize(FEN)
    assert tou_charge.quantize(FEN) == Decimal(exact.get("tou_charge", exact["amount"])).quantize(FEN)
    assert surcharge == Decimal(exact.get("tier_surcharge", 0))
    published = case["expected"].get("amount", case["expected"].get("tou_charge"))
    computed = rated.total if "amount" in case["expected"] else tou_charge
    assert abs(computed - Decimal(published)) <= Decimal(case["tolerance"])


def test_guangdong_summer_month(cases, make_tariff, energy, bill):
    case = cases["TIER-CN-GD-SUMMER-650"]
    prices = ", ".join(price for _, price in case["tariff"]["tiers"])
    tariff = make_tariff(
        [energy(f"[{prices}]")],
        tiers="{cycle: month, part_cycle: whole, limits: [{months: 5-10, kwh: [260, 600]}, {months: [1-4, 11-12], kwh: [200, 400]}]}",
    )
    rated = bill(tariff, case["input"]["month_kwh"], start=date(2024, 5, 1), end=date(2024, 6, 1))
    assert amounts(rated) == [Decimal(amount) for amount in case["expected"]["lines"]]
    assert rated.total == Decimal(case["expected"]["amount"])


@pytest.mark.parametrize("case_id", ["TOU-CN-JINAN-60-40", "TOU-CN-JINAN-95-5"])
def test_jinan_rounds_each_line(case_id, cases, make_tariff, energy, two_clock, bill):
    case = cases[case_id]
    prices, given, expected = case["tariff"], case["input"], case["expected"]
    tariff = make_tariff([energy(f"{{peak: {prices['peak']}, valley: {prices['valley']}}}")], tou=two_clock)
    by_tou = {"peak": given["peak_kwh"], "valley": given["valley_kwh"]}
    rated = bill(tariff, 100, by_tou=by_tou)
    assert amounts(rated) == [Decimal(expected["peak_amount"]), Decimal(expected["valley_amount"])]
    assert rated.total == Decimal(expected["amount"])
    assert bill(make_tariff([energy(prices["flat"])]), 100).total == Decimal(expected["flat_amount"])


@pytest.mark.parametrize(
    ("case_id", "digits"), [("INT-TW-2026-400", 0), ("INT-TW-2023-400", 0), ("INT-KR-2016-600", 0)]
)
def test_foreign_tiers_round_the_total(case_id, digits, cases, make_tariff, energy, bill):
    case = cases[case_id]
    tariff = telescopic(
        make_tariff,
        energy,
        case["tariff"]["tiers"],
        rounding=f"{{at: total, digits: {digits}, mode: half_up}}",
    )
    rated = bill(tariff, case["input"]["kwh"])
    assert rated.total == Decimal(case["expected"].get("amount", case["expected"].get("energy")))
    if "lines" in case["expected"]:
        assert amounts(rated) == [Decimal(amount) for amount in case["expected"]["lines"]]


def test_exam_of_tou_ratios(cases, make_tariff, energy, bill):
    case = cases["TOU-CN-EXAM-18PCT"]
    given, factors = case["input"], case["tariff"]
    clock = three_periods(factors["peak_factor"], factors["flat_factor"], factors["valley_factor"])
    flat = given["total_kwh"] - given["peak_kwh"] - given["valley_kwh"]
    by_tou = {"peak": given["peak_kwh"], "flat": flat, "valley": given["valley_kwh"]}
    rated = bill(
        make_tariff([energy(1, ", times_factor: yes")], tou=clock), given["total_kwh"], by_tou=by_tou
    )
    assert rated.total == Decimal(case["expected"]["relative_cost"])


def test_corrected_energy_is_priced_period_by_period(cases, make_tariff, energy, bill):
    case = cases["CORR-CN-ONE-PHASE-REV"]
    given, prices, expected = case["input"], case["tariff"], case["expected"]
    clock = three_periods(prices["peak_factor"], "1", prices["valley_factor"])
    flat = given["total_kwh"] - given["peak_kwh"] - given["valley_kwh"]
    by_tou = {"peak": 2 * given["peak_kwh"], "flat": 2 * flat, "valley": 2 * given["valley_kwh"]}
    tariff = make_tariff([energy(prices["flat"], ", times_factor: yes")], tou=clock)
    rated = bill(tariff, 2 * given["total_kwh"], by_tou=by_tou)
    assert {line.tou: line.amount for line in rated.lines} == {
        code: Decimal(expected[code]) for code in ("peak", "flat", "valley")
    }
    assert rated.total == Decimal(expected["amount"])


def test_sichuan_super_peak_is_a_fifth_above_peak(cases):
    version = SHIPPED.get("cn-sichuan-commercial-tou").versions[0]
    component = version.components[0]
    factor = component.price(tou="super_peak") / component.price(tou="flat")
    assert factor == Decimal(cases["TOU-CN-SC-2023-SUPERPEAK"]["expected"]["super_peak_factor"])


def test_components_add_up_to_the_price(cases, make_tariff, energy, surcharge, bill):
    case = cases["PRICE-CN-HUNAN-2018"]
    parts = case["tariff"]
    kwh = case["input"]["kwh"]

    def total(purchase):
        tariff = make_tariff(
            [energy(purchase), surcharge("grid", parts["grid"]), surcharge("funds", parts["funds"])]
        )
        return bill(tariff, kwh).total

    assert total(parts["purchase"]) / kwh == Decimal(case["expected"]["price"])
    cheaper = Decimal(parts["purchase"]) - Decimal(case["input"]["cheaper_by"])
    assert total(parts["purchase"]) - total(cheaper) == Decimal(case["expected"]["saving"])


def test_unmetered_energy_with_rent_by_thirtieths(cases, make_tariff, energy, surcharge, bill):
    case = cases["TEMP-CN-UNMETERED"]
    prices, expected = case["tariff"], case["expected"]
    charges = [
        energy(prices["price"]),
        *(surcharge(code, prices[code]) for code in ("three_gorges", "grid_repayment", "reservoir")),
    ]
    rated = bill(make_tariff(charges), expected["kwh"])
    assert rated.lines[0].amount == Decimal(expected["energy"])
    assert rated.total == Decimal(expected["amount"])
    rent = f"{{code: rent, kind: fixed, names: {{zh: 租金, en: Rent}}, price: {prices['transformer_rent_month']}, part_month: thirtieths}}"
    with_rent = bill(make_tariff([*charges, rent]), expected["kwh"], end=date(2024, 1, 21))
    assert with_rent.lines[-1].amount == Decimal(expected["rent"])


@pytest.mark.parametrize(
    ("case_id", "published"),
    [
        ("TIER-CN-3500-BAD", "amount"),
        ("INT-VN-2015-410-BAD", "amount_ex_vat"),
        ("INT-IN-VTU-120-BAD", "energy"),
    ],
)
def test_wrongly_published_tiers_do_not_come_out(case_id, published, cases, make_tariff, energy, bill):
    case = cases[case_id]
    kwh = next(value for key, value in case["input"].items() if key.endswith("kwh"))
    rated = bill(telescopic(make_tariff, energy, case["tariff"]["tiers"]), kwh)
    assert rated.total == Decimal(case["recomputed"][published])
    assert rated.total != Decimal(case["expected"][published])


def test_sichuan_month_that_was_published_with_a_contradicted_price(cases, make_tariff, energy, bill):
    case = cases["TIER-CN-SC-300-BAD"]
    tiers = [
        [limit, "0.6224" if limit == 280 else price]
        for limit, price in case["tariff"]["tiers_as_published_here"]
    ]
    rated = bill(telescopic(make_tariff, energy, tiers), case["input"]["month_kwh"])
    assert rated.total == Decimal(case["recomputed"]["amount_with_tier2_0.6224"])
    assert rated.total != Decimal(case["expected"]["amount"])


def test_guangdong_day_is_weighted_by_hours(cases, make_tariff, energy, bill):
    case = cases["TOU-CN-GD-24H-BAD"]
    rated = bill(
        make_tariff([energy(1, ", times_factor: yes")], tou=three_periods(*case["tariff"]["factors"])),
        24,
        by_tou=case["tariff"]["hours"],
    )
    assert rated.total == Decimal(case["recomputed"]["day_cost"])
    assert rated.total != Decimal(case["expected"]["day_cost"])


def three_periods(peak, flat, valley):
    return f"""
    tou:
      periods:
        - {{code: peak, names: {{zh: 峰, en: Peak}}, factor: {peak}}}
        - {{code: flat, names: {{zh: 平, en: Flat}}, factor: {flat}}}
        - {{code: valley, names: {{zh: 谷, en: Valley}}, factor: {valley}}}
      days:
        - {{months: 1-12, times: {{peak: ["10:00-12:00", "14:00-19:00"], valley: ["00:00-08:00"]}}, rest: flat}}
"""
