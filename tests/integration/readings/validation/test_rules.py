"""What each rule says of readings a person can check: one meter, a handful of readings, mostly one day in March."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from wattkeeper.readings.schemas import INTERVAL_SCHEMA
from wattkeeper.readings.validation.rules import RULES
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import assign_account, exchange_meter, release_account

IMPORT, EXPORT, POWER = "active_energy_import", "active_energy_export", "active_power"


def quarters(first: str, values: list[str]) -> dict[str, str]:
    """Values by the clock on the wall, a quarter of an hour apart."""
    begin = datetime.fromisoformat(f"2026-01-01T{first}")
    return {f"{begin + place * timedelta(minutes=15):%H:%M}": value for place, value in enumerate(values)}


def counting(start: str, *steps: str) -> list[str]:
    """A register that counts these steps."""
    register = [Decimal(start)]
    for step in steps:
        register.append(register[-1] + Decimal(step))
    return [str(value) for value in register]


@pytest.fixture(autouse=True)
def day_by_day(world) -> Iterator[None]:
    """What a test leaves to be judged does not reach into the next."""
    yield
    world.validate()


def test_a_second_value_for_an_instant_is_told_with_both(world):
    meter = world.meter()
    world.read(meter, {"06:00": "100"})
    world.read(meter, {"06:00": "101.50"}, exchange=77)
    world.validate()
    assert world.found(meter) == [("duplicate_value", IMPORT, "10 00:00")]
    assert world.evidence(meter, "duplicate_value") == {
        "readings": [
            {
                "quantity": IMPORT,
                "read_at": "2026-03-09T22:00:00+00:00",
                "value": "101.5",
                "unit": "kWh",
                "source": "meter",
                "exchange_id": "77",
            }
        ],
        "count": 1,
        "first_at": "2026-03-09T22:00:00+00:00",
        "last_at": "2026-03-09T22:00:00+00:00",
        "other_value": "100",
        "difference": "1.5",
        "limit": {"parameter": "digits", "value": "0", "unit": "", "since": None},
    }


def test_the_same_value_said_twice_is_no_finding(world):
    meter = world.meter()
    world.read(meter, {"06:00": "100"}, source="polled")
    world.read(meter, {"06:00": "100"})
    world.validate()
    assert world.found(meter) == []


def test_a_reading_that_comes_a_day_late_is_told_unless_the_meter_was_unknown(fresh):
    known, unknown = fresh.meter(), fresh.meter()
    fresh.read(known, {"06:00": "100"}, now=fresh.at("06:01"))
    for meter in (known, unknown):
        fresh.read(meter, {"07:00": "100.1"}, now=fresh.at("09:00", 1))
    fresh.validate(fresh.at("09:00", 1))
    late = [row for row in fresh.rows(known) if row.code == "late"]
    assert [(row.quantity, row.evidence["count"], row.evidence["delay_h"]) for row in late] == [
        (IMPORT, 1, "26")
    ]
    assert "late" not in {row.code for row in fresh.rows(unknown)}


def test_a_stamp_later_than_its_arrival_is_told(fresh):
    meter = fresh.meter()
    fresh.read(meter, {"06:00": "100", "06:10": "100.1"}, now=fresh.at("06:00"), source="polled")
    fresh.validate()
    assert fresh.found(meter) == [("future", IMPORT, "10 00:00")]
    assert fresh.evidence(meter, "future")["ahead_min"] == "10"


def test_a_clock_seven_minutes_fast_is_told_with_its_offset(world):
    meter = world.meter()
    at = int(world.at("06:00").timestamp())
    world.read(meter, {"06:00": str(at + 420)}, "clock", source="polled")
    world.read(meter, {"07:00": str(at + 3600 + 299)}, "clock", source="polled")
    world.validate()
    assert world.found(meter) == [("clock_drift", "clock", "10 00:00")]
    evidence = world.evidence(meter, "clock_drift")
    assert (evidence["offset_s"], evidence["count"], evidence["limit"]["value"]) == ("420", 1, "300")


def test_stamps_seven_minutes_beside_the_grid_are_told(world):
    meter = world.meter()
    world.read(meter, quarters("06:07", counting("100", ".1", ".1", ".1")))
    world.validate()
    assert world.found(meter) == [("off_grid", IMPORT, "10 00:00")]
    evidence = world.evidence(meter, "off_grid")
    assert (evidence["offset_s"], evidence["count"]) == ("420", 4)


def test_polled_readings_lie_where_they_may(world):
    meter = world.meter()
    world.read(meter, quarters("06:07", counting("100", ".1", ".1", ".1")), source="polled")
    world.validate()
    assert world.found(meter) == []


def test_what_the_meter_marked_is_told(world):
    meter = world.meter()
    world.read(meter, {"06:00": "100"}, status=2)
    world.validate()
    assert world.found(meter) == [("meter_flag", IMPORT, "10 00:00")]
    assert world.evidence(meter, "meter_flag")["readings"][0]["status"] == 2


def test_a_single_wrong_register_is_told_beside_its_neighbours(world):
    meter = world.meter()
    world.read(meter, quarters("06:00", ["100", "100.5", "10", "101"]))
    world.validate()
    assert world.found(meter) == [("register_outlier", IMPORT, "10 06:30")]
    shown = world.evidence(meter, "register_outlier")["readings"]
    assert [reading["value"] for reading in shown] == ["100.5", "10", "101"]


def test_a_register_that_runs_back_is_told(world):
    meter = world.meter()
    world.read(meter, quarters("06:00", ["100", "100.2", "99", "99.1"]))
    world.validate()
    assert world.found(meter) == [("register_backwards", IMPORT, "10 06:30")]
    evidence = world.evidence(meter, "register_backwards")
    assert [reading["value"] for reading in evidence["readings"]] == ["100.2", "99"]
    assert (evidence["step_kwh"], evidence["hours"]) == ("-1.2", "0.25")


def test_a_rollover_is_told_as_what_it_is(world):
    meter = world.meter(first="999000")
    world.read(meter, quarters("06:00", ["999999.50", "0.10", "0.30"]))
    world.validate()
    assert world.found(meter) == [("register_rollover", IMPORT, "10 06:15")]
    evidence = world.evidence(meter, "register_rollover")
    assert (evidence["step_kwh"], evidence["load_kw"]) == ("0.6", "2.4")


def test_a_register_that_begins_again_without_a_rollover_is_a_reset(world):
    meter = world.meter()
    world.read(meter, quarters("06:00", ["5000", "0.20", "0.30"]))
    world.validate()
    assert world.found(meter) == [("register_reset", IMPORT, "10 06:15")]
    assert world.evidence(meter, "register_reset")["step_kwh"] == "-4999.8"


def test_a_register_with_more_digits_than_the_meter_is_told(world):
    meter = world.meter(first="999000")
    world.read(meter, quarters("06:00", ["999999.90", "1000000.10"]))
    world.validate()
    assert world.found(meter) == [("register_capacity", IMPORT, "10 00:00")]


def test_the_register_noted_when_a_meter_was_put_up_has_to_fit_the_first_reading(world):
    meter = world.meter(since=world.at("06:00"), first="100")
    world.read(meter, quarters("06:15", ["98", "98.1"]))
    world.validate()
    assert world.found(meter) == [("exchange_mismatch", IMPORT, "10 06:15")]
    evidence = world.evidence(meter, "exchange_mismatch")
    assert (evidence["noted_kwh"], evidence["counted_kwh"]) == ("100", "-2")
    assert evidence["noted_at"] == "2026-03-09T22:00:00+00:00"


def test_the_register_noted_when_a_meter_was_taken_down_has_to_fit_the_last_reading(world):
    old, new = world.meter(), world.meter_in_stock()
    with world.database.write() as session:
        point = Registry(session).installations(meter_ids=[old])[0].point_id
        exchange_meter(
            session, point_id=point, new_meter_id=new, at=world.at("14:07"), last_register=Decimal(90)
        )
    world.read(old, {"13:45": "100", "14:00": "100.1"})
    world.read(new, {"14:15": "0.1"})
    world.validate()
    assert world.found(old) == [("exchange_mismatch", IMPORT, "10 14:00")]
    assert world.evidence(old, "exchange_mismatch")["noted_kwh"] == "90"
    assert world.found(new) == []


def test_more_energy_than_the_rating_allows_is_told_with_the_ratio(world):
    meter = world.meter(ct=20, rated="30")
    world.read(meter, quarters("06:00", ["100", "100.2", "100.7", "100.8"]))  # 0.5 x 20 in a quarter: 40 kW
    world.validate()
    assert world.found(meter) == [("spike_rating", IMPORT, "10 06:30")]
    evidence = world.evidence(meter, "spike_rating")
    assert (evidence["step_kwh"], evidence["ratio"], evidence["load_kw"]) == ("0.5", "20", "40")
    assert evidence["limit"] == {"parameter": "factor", "value": "1.2", "unit": "", "since": None}


def test_a_power_above_the_rating_is_told(world):
    meter = world.meter(ct=2)
    world.read(meter, {"06:00": "5.9", "06:15": "6.5"}, POWER)
    world.validate()
    assert world.found(meter) == [("demand_rating", POWER, "10 00:00")]
    evidence = world.evidence(meter, "demand_rating")
    assert (evidence["load_kw"], evidence["rated_kw"], evidence["ratio"]) == ("13", "10", "2")


def test_the_highest_load_of_a_day_is_compared_with_the_third_highest(world):
    meter = world.meter(kind="factory")
    world.read(meter, quarters("06:00", counting("100", *[".25"] * 7, "1.5", *[".25"] * 7)))
    world.validate()
    assert world.found(meter) == [("spike_day", IMPORT, "10 00:00")]
    evidence = world.evidence(meter, "spike_day")
    assert (evidence["load_kw"], evidence["third_kw"], evidence["limit"]["value"]) == ("6", "1", "1.8")


def test_the_highest_load_of_a_day_is_compared_with_the_days_before(world):
    meter = world.meter()
    for day, start in ((-3, "100"), (-2, "110"), (-1, "120")):
        world.read(meter, quarters("06:00", counting(start, *[".25"] * 12)), day=day)
    world.read(meter, quarters("06:00", counting("130", *[".9"] * 12)))
    world.validate()
    assert world.found(meter) == [("spike_history", IMPORT, "10 00:00")]
    evidence = world.evidence(meter, "spike_history")
    assert (evidence["load_kw"], evidence["highest_before_kw"], evidence["days_before"]) == ("3.6", "1", 3)


def test_a_day_far_below_the_days_before_is_told(world):
    meter = world.meter()
    for day in (-3, -2, -1):
        world.read(meter, quarters("20:45", ["2.1"] * 13), POWER, day=day, now=world.at("00:01", day + 1))
    world.read(meter, quarters("20:45", ["0.6"] * 13), POWER, now=world.at("00:01", 1))
    world.validate()
    assert world.found(meter) == [("low_history", POWER, "10 00:00")]
    evidence = world.evidence(meter, "low_history")
    assert (evidence["load_kw"], evidence["lowest_before_kw"], evidence["days_before"]) == ("0.6", "2.1", 3)


def test_a_short_dip_to_nearly_nothing_is_told(world):
    meter = world.meter(kind="factory")
    world.read(meter, quarters("06:00", [*["5"] * 6, "0.2", *["5"] * 6]), POWER)
    world.validate()
    assert world.found(meter) == [("dip", POWER, "10 00:00")]
    evidence = world.evidence(meter, "dip")
    assert (evidence["load_kw"], evidence["median_kw"], evidence["count"]) == ("0.2", "5", 1)


def test_a_register_that_stands_still_after_it_was_counting_is_told(world):
    meter = world.meter()
    world.read(meter, {"06:00": "100", "07:00": "101"}, day=-1)
    world.read(meter, {"06:00": "101", "12:00": "101"})
    world.validate()
    assert world.found(meter) == [("stuck", IMPORT, "10 00:00")]
    evidence = world.evidence(meter, "stuck")
    assert (evidence["hours"], evidence["still_since_at"]) == ("29", "2026-03-08T23:00:00+00:00")


def test_a_voltage_that_repeats_to_the_digit_is_told(world):
    meter = world.meter()
    world.read(meter, quarters("06:00", ["230.1"] * 13), "voltage_l1")
    world.validate()
    assert world.found(meter) == [("stuck", "voltage_l1", "10 00:00")]
    assert world.evidence(meter, "stuck")["equal_readings"] == 13


def test_current_without_energy_is_told(world):
    meter = world.meter()
    world.read(meter, {"06:00": "100", "07:00": "100", "08:00": "100"})
    world.read(meter, {"06:20": "2", "06:40": "3", "07:20": "2"}, "current_l1", source="polled")
    world.validate()
    assert world.found(meter) == [("zero_with_current", IMPORT, "10 00:00")]
    evidence = world.evidence(meter, "zero_with_current")
    assert (evidence["current_a"], evidence["hours"], evidence["count"]) == ("3", "1", 3)


def test_current_of_a_point_that_exports_is_no_current_without_energy(world):
    meter = world.meter()
    world.read(meter, {"06:00": "100", "07:00": "100", "08:00": "100"})
    world.read(meter, {"06:00": "500", "08:00": "504"}, EXPORT)
    world.read(meter, {"06:20": "2", "06:40": "3", "07:20": "2"}, "current_l1", source="polled")
    world.validate()
    assert world.found(meter) == []


def test_use_after_the_customer_moved_out_is_told(world):
    meter = world.meter()
    with world.database.write() as session:
        registry = Registry(session)
        point = registry.installations(meter_ids=[meter])[0].point_id
        customer = registry.add_customer(code="C", name="Customer")
        account = registry.add_account(
            customer_id=customer.id, code="A", name="A", opened_at=world.at("00:00", -30)
        )
        assign_account(session, point_id=point, account_id=account.id, at=world.at("00:00", -30))
        release_account(session, point_id=point, at=world.at("06:00"))
    world.read(meter, {"05:00": "100", "06:00": "102", "07:00": "102.05", "08:00": "102.30"})
    world.validate()
    assert world.found(meter) == [("vacant_use", IMPORT, "10 00:00")]
    evidence = world.evidence(meter, "vacant_use")
    assert (evidence["day_kwh"], evidence["count"]) == ("0.25", 1)  # from 07:00, the first reading after six


def test_negative_power_on_a_point_that_never_exported_is_told(world):
    meter, two_way = world.meter(), world.meter()
    world.read(two_way, {"05:00": "250"}, EXPORT)
    for each in (meter, two_way):
        world.read(each, quarters("06:00", ["-1", "-1.2", "1"]), POWER)
    world.validate()
    assert world.found(meter) == [("negative_import_only", POWER, "10 00:00")]
    assert world.evidence(meter, "negative_import_only")["power_kw"] == "-1.2"
    assert world.found(two_way) == []


def test_energy_out_of_a_point_that_never_exported_is_told(world):
    meter = world.meter()
    world.read(meter, {"06:00": "0", "07:00": "0.3"}, EXPORT)
    world.validate()
    assert world.found(meter) == [("negative_import_only", EXPORT, "10 00:00")]
    assert world.evidence(meter, "negative_import_only")["day_kwh"] == "0.3"


def test_a_total_that_is_not_the_sum_of_its_tariffs_is_told(world):
    meter = world.meter()
    for tariff, value in {"": "100", "_t1": "10", "_t2": "20", "_t3": "30", "_t4": "30"}.items():
        world.read(meter, {"06:00": value}, IMPORT + tariff)
        world.read(meter, {"07:00": value if tariff else "90.05"}, IMPORT + tariff)  # five digits: rounding
    world.validate()
    assert [row for row in world.found(meter) if row[0] == "tariff_sum"] == [
        ("tariff_sum", IMPORT, "10 00:00")
    ]
    evidence = world.evidence(meter, "tariff_sum")
    assert (evidence["difference"], evidence["count"]) == ("10", 1)
    assert [reading["value"] for reading in evidence["readings"]] == ["100", "10", "20", "30", "30"]


def test_a_total_that_rolled_over_before_its_tariffs_is_still_their_sum(world):
    meter = world.meter(first="999000")
    for tariff, value in {
        "": "0.40",
        "_t1": "250000.1",
        "_t2": "250000.1",
        "_t3": "250000.1",
        "_t4": "250000.1",
    }.items():
        world.read(meter, {"06:00": value}, IMPORT + tariff)
    world.validate()
    assert "tariff_sum" not in {row[0] for row in world.found(meter)}


def test_a_total_that_is_not_the_sum_of_its_phases_is_told(world):
    meter = world.meter()
    for quantity, value in {
        POWER: "6",
        "active_power_l1": "1",
        "active_power_l2": "1",
        "active_power_l3": "1",
    }.items():
        world.read(meter, quarters("06:00", [value, value]), quantity)
    world.validate()
    assert world.found(meter) == [("phase_sum", POWER, "10 00:00")]
    assert world.evidence(meter, "phase_sum")["difference_kw"] == "3"


def test_intervals_that_do_not_add_up_to_the_registers_are_told(fresh):
    meter = fresh.meter(since=fresh.at("00:00"), first="100")
    registers = counting("100", *[".1"] * 96)
    fresh.read(meter, quarters("00:00", registers[:96]), now=fresh.at("00:01", 1))
    fresh.read(meter, {"00:00": registers[96]}, day=1)
    fresh.intervals.derive_pending(fresh.at("01:00", 1))
    fresh.validate(fresh.at("01:00", 1))
    assert fresh.found(meter) == []
    with fresh.database.read() as session:
        point = Registry(session).installations(meter_ids=[meter])[0].point_id
    entered = {
        "point_id": point, "quantity": IMPORT, "start_at": fresh.at("06:00"), "end_at": fresh.at("06:15"),
        "energy": Decimal("1.1"), "status": 2, "method": "edited",
    }  # fmt: skip
    row = pa.Table.from_pylist([dict.fromkeys(INTERVAL_SCHEMA.names) | entered], INTERVAL_SCHEMA)
    fresh.store.append_intervals(row, fresh.at("02:00", 1))
    fresh.validate(fresh.at("01:00", 2))
    assert ("interval_sum", IMPORT, "10 00:00") in fresh.found(meter)
    evidence = fresh.evidence(meter, "interval_sum")
    assert (evidence["counted_kwh"], evidence["intervals_kwh"], evidence["difference_kwh"]) == (
        "9.6",
        "10.6",
        "1",
    )


def test_voltage_above_supply_is_told_when_it_lasts(world):
    meter = world.meter()
    world.read(meter, quarters("06:00", ["230", "240", "230", "240", "241", "230"]), "voltage_l2")
    world.validate()
    assert world.found(meter) == [("voltage_high", "voltage_l2", "10 00:00")]
    evidence = world.evidence(meter, "voltage_high")
    assert (evidence["count"], evidence["first_at"], evidence["last_at"]) == (
        2,
        "2026-03-09T22:45:00+00:00",
        "2026-03-09T23:00:00+00:00",
    )
    assert evidence["limit"] == {"parameter": "limit_v", "value": "235.4", "unit": "V", "since": None}


def test_voltage_behind_a_transformer_is_not_judged_by_the_limits_of_low_voltage(world):
    meter = world.meter(pt=100)
    world.read(meter, quarters("06:00", ["57.7", "57.8", "57.6"]), "voltage_l1")
    world.validate()
    assert world.found(meter) == []


def test_voltage_below_supply_is_told_when_it_lasts(world):
    meter = world.meter()
    world.read(meter, quarters("06:00", ["190", "191", "230"]), "voltage_l1")
    world.validate()
    assert world.found(meter) == [("voltage_low", "voltage_l1", "10 00:00")]


def test_a_phase_that_loses_its_voltage_is_told(world):
    meter, single_phase = world.meter(), world.meter()
    world.read(meter, quarters("06:00", ["230", "0.4", "230"]), "voltage_l1")
    world.read(single_phase, quarters("06:00", ["0", "0", "0"]), "voltage_l3")
    world.validate()
    assert world.found(meter) == [("voltage_lost", "voltage_l1", "10 00:00")]
    assert world.found(single_phase) == []


def test_current_through_a_phase_without_voltage_is_told(world):
    meter = world.meter()
    world.read(meter, {"06:00": "230"}, "voltage_l1")
    world.read(meter, {"06:00": "0"}, "voltage_l2")
    world.read(meter, {"06:00": "4"}, "current_l2")
    world.validate()
    assert world.found(meter) == [("voltage_lost", "voltage_l2", "10 00:00")]


def test_current_above_what_the_meter_carries_is_told(world):
    meter = world.meter(max_current=Decimal(60))
    world.read(meter, quarters("06:00", ["59", "61", "62"]), "current_l1")
    world.validate()
    assert world.found(meter) == [("current_high", "current_l1", "10 00:00")]
    assert world.evidence(meter, "current_high")["max_current_a"] == "60"


def test_a_factory_is_held_to_its_power_factor_and_a_household_is_not(world):
    factory, household = world.meter(kind="factory", rated="100"), world.meter(rated="100")
    for meter in (factory, household):
        world.read(meter, quarters("06:00", ["0.8", "0.81"]), "power_factor")
        world.read(meter, quarters("06:00", ["50", "50"]), POWER)
    world.validate()
    assert world.found(factory) == [("power_factor", "power_factor", "10 00:00")]
    assert world.evidence(factory, "power_factor")["limit"]["value"] == "0.9"
    assert world.found(household) == []


def test_an_impossible_power_factor_is_told_of_anyone(world):
    meter = world.meter()
    world.read(meter, {"06:00": "1.2"}, "power_factor")
    world.validate()
    assert world.found(meter) == [("power_factor", "power_factor", "10 00:00")]


def test_frequency_beyond_its_band_is_told(world):
    meter = world.meter()
    world.read(meter, quarters("06:00", ["50.2", "50.25", "50.30", "0"]), "frequency")
    world.validate()
    assert world.found(meter) == [("frequency", "frequency", "10 00:00")]
    assert world.evidence(meter, "frequency")["count"] == 2


def test_unbalanced_voltages_are_told_with_all_three(world):
    meter = world.meter()
    for phase, value in (("l1", "230"), ("l2", "230"), ("l3", "215")):  # mean 225, 10 off
        world.read(meter, quarters("06:00", [value, value]), f"voltage_{phase}")
    world.validate()
    assert world.found(meter) == [("voltage_unbalance", "voltage_l1", "10 00:00")]
    evidence = world.evidence(meter, "voltage_unbalance")
    assert evidence["unbalance"] == "0.0444"
    assert len(evidence["readings"]) == 6


def test_unbalanced_currents_of_a_factory_are_told(world):
    meter = world.meter(kind="factory")
    for phase, value in (("l1", "10"), ("l2", "10"), ("l3", "5")):
        world.read(meter, quarters("06:00", [value] * 8), f"current_{phase}")
    world.validate()
    assert world.found(meter) == [("current_unbalance", "current_l1", "10 00:00")]
    assert world.evidence(meter, "current_unbalance")["unbalance"] == "0.5"


def test_what_is_missing_on_a_day_that_is_over_is_told_with_its_gaps(fresh):
    meter = fresh.meter(since=fresh.at("00:00"), first="100")
    registers = quarters("00:00", counting("100", *[".1"] * 95))
    gone = [clock for clock in registers if "05:00" <= clock < "10:00" or clock == "12:15"]
    fresh.read(
        meter,
        {clock: value for clock, value in registers.items() if clock not in gone},
        now=fresh.at("00:01", 1),
    )
    fresh.validate(fresh.at("05:59", 1))
    assert fresh.found(meter) == []  # until six hours after the day they may still come
    fresh.validate(fresh.at("06:00", 1))
    assert fresh.found(meter) == [("missing", IMPORT, "10 00:00")]
    assert fresh.evidence(meter, "missing") == {
        "expected": 96,
        "missing": 21,
        "gap_count": 2,
        "gaps": [
            {"from_at": "2026-03-09T21:00:00+00:00", "to_at": "2026-03-10T02:00:00+00:00"},
            {"from_at": "2026-03-10T04:15:00+00:00", "to_at": "2026-03-10T04:30:00+00:00"},
        ],
        "limit": {"parameter": "share", "value": "0", "unit": "", "since": None},
    }


def test_every_rule_has_words_in_both_languages_a_source_and_a_test_above():
    told = Path(__file__).read_text(encoding="utf-8")

    for rule in RULES.values():
        assert all((rule.name_zh, rule.name_en, rule.about_zh, rule.about_en, rule.source)), rule.code
        assert f'"{rule.code}"' in told, f"{rule.code} has no test"
