# ruff: noqa: DTZ001 -- a meter knows civil time without a zone
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pytest

from wattkeeper.simulator import DEMO_WORLD, Neighbourhood, WorldError, WorldPlan

ADDRESS = "000000000161"
TODAY = date(2026, 3, 4)


def world(**meter):
    return {"links": [{"code": "a", "meters": [{"address": ADDRESS, "point": "home", **meter}]}]}


@pytest.mark.parametrize(
    ("described", "says"),
    [
        pytest.param({}, "at least one", id="empty"),
        pytest.param({"links": [{"meters": []}]}, "link 1 is not complete", id="link without code"),
        pytest.param({"links": [{"code": "a", "bauds": 9600}]}, "'bauds'", id="unknown entry of a link"),
        pytest.param(
            {"links": [{"code": "a", "transport": "udp"}]}, "not tcp, pty or modbus-tcp", id="transport"
        ),
        pytest.param({"links": [{"code": "a"}, {"code": "a"}]}, "link code a is used twice", id="code twice"),
        pytest.param(world(address="161"), "12 digits", id="short address"),
        pytest.param(world(address=161), "12 digits", id="address as a number"),
        pytest.param(world(kind="castle"), "'castle'", id="kind"),
        pytest.param(world(faults={"death": True}), "'death'", id="fault"),
        pytest.param(world(exchange={"at": "soon"}), "local time", id="exchange"),
        pytest.param(
            world(exchange={"at": datetime(2026, 3, 1), "address": "9"}), "12 digits", id="successor"
        ),
        pytest.param(world(silent_since={"days_ago": 3}), "nobody said which day", id="no today"),
        pytest.param(world(rolls_over={"days_ago": "3"}), "whole number of days_ago", id="days as text"),
        pytest.param(world(rolls_over={"weeks_ago": 3}), "needs a local time", id="weeks"),
        pytest.param(
            world(rolls_over=datetime(2026, 3, 1), first_register=1), "either the `first_register`", id="both"
        ),
        pytest.param({**world(), "installed": "soon"}, "`installed` needs a day", id="installed"),
        pytest.param(world(area="A"), "'A' that is not described", id="area"),
        pytest.param(
            {**world(), "areas": [{"code": "A", "name": "a", "kind": "hill"}]}, "'hill'", id="kind of area"
        ),
        pytest.param(
            {**world(), "areas": [{"code": "A", "name": "a", "kind": "box", "parent": "B"}]},
            "'B' of area A is not described before it",
            id="parent",
        ),
        pytest.param({**world(), "weather": "fine"}, "'weather'", id="unknown entry of the world"),
    ],
)
def test_a_world_that_cannot_be_built_says_where_and_why(described, says):
    with pytest.raises(WorldError, match=says):
        WorldPlan.from_mapping(described)


def test_a_file_that_is_absent_or_no_toml_is_a_sentence(tmp_path):
    with pytest.raises(WorldError, match="There is no file"):
        WorldPlan.from_file(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("[[links")
    with pytest.raises(WorldError, match="is not a TOML file"):
        WorldPlan.from_file(tmp_path / "broken.toml")


def demo_world(today=TODAY):
    return WorldPlan.from_file(DEMO_WORLD, today=today)


def test_the_demo_world_is_four_kinds_of_place_behind_transformers_of_their_own():
    plan = demo_world()
    assert [(link.code, link.transport, len(link.meters)) for link in plan.links] == [
        ("block", "tcp", 12),
        ("serial", "pty", 6),
        ("factory", "tcp", 4),
        ("offices", "tcp", 7),
        ("lights", "tcp", 3),
    ]
    assert [(area.code, area.kind, area.parent) for area in plan.areas] == [
        ("F-10", "feeder", ""),
        ("TA-1", "area", "F-10"),
        ("BOX-1", "box", "TA-1"),
        ("BOX-2", "box", "TA-1"),
        ("TA-2", "area", "F-10"),
        ("TA-3", "area", "F-10"),
        ("TA-4", "area", "F-10"),
    ]
    assert {link.code: {meter.area for meter in link.meters} for link in plan.links} == {
        "block": {"BOX-1"},
        "serial": {"BOX-2"},
        "factory": {"TA-2"},
        "offices": {"TA-3"},
        "lights": {"TA-4"},
    }
    assert [meter.ct_ratio for meter in plan.links[2].meters] == [40, 60, 30, 20]
    assert plan.record_days >= 70
    assert all(meter.customer for link in plan.links for meter in link.meters)


def test_what_is_wrong_in_the_demo_world_is_wrong_on_purpose():
    meters = {meter.point.split()[-1]: meter for link in demo_world().links for meter in link.meters}
    assert meters["1-302"].silent_since == datetime(2026, 1, 28, 3, 20)
    assert meters["1-402"].faults == {"noisy": 0.15}
    assert meters["1-601"].clock_offset == -420
    assert meters["1-602"].supply_voltage == 248.0
    assert meters["moulding"].rolls_over == datetime(2026, 2, 16, 10, 40)
    assert meters["Pharmacy"].exchange.at == datetime(2026, 2, 12, 14, 7)
    ill = [
        meter
        for meter in meters.values()
        if meter.silent_since or meter.faults or meter.clock_offset or meter.supply_voltage != 220
    ]
    assert len(ill) == 4


@pytest.mark.parametrize(
    ("today", "installed"),
    [(date(2026, 3, 4), date(2025, 3, 1)), (date(2028, 2, 29), date(2027, 2, 1))],
)
def test_the_demo_world_begins_with_the_month_a_year_ago(today, installed):
    assert demo_world(today).installed == installed


def test_the_same_day_gives_the_same_world(clock):
    one, two = (Neighbourhood(demo_world(), clock=clock) for _ in range(2))
    assert [meter.register(clock.at) for meter in one.meters.values()] == [
        meter.register(clock.at) for meter in two.meters.values()
    ]
    assert len(set(one.meters)) == 33


def running(clock, constant_load, **meter):
    plan = WorldPlan.from_mapping(world(**meter), today=TODAY)
    return Neighbourhood(plan, clock=clock, loads={ADDRESS: constant_load(4.0)}).meters


def test_a_register_rolls_over_when_it_was_said_to(clock, constant_load):
    at = {"days_ago": 2, "time": time(10, 30)}
    [meter] = running(clock, constant_load, register_modulus=10_000, rolls_over=at).values()
    # 60 days and 10.5 hours of 96 kWh since the new year are 5802 kWh: it began at 10000 - 5802.
    assert meter.spec.first_register == 4198
    rollover = datetime(2026, 3, 2, 2, 30, tzinfo=UTC)
    quarter_hour = timedelta(minutes=15)
    assert meter.register(rollover - quarter_hour) == 999_900
    assert [meter.register(rollover + number * quarter_hour) for number in range(2)] == [0, 100]


def test_a_register_that_counts_more_than_it_holds_rolls_over_once_more_at_that_moment(clock, constant_load):
    [meter] = running(clock, constant_load, register_modulus=1000, rolls_over={"days_ago": 0}).values()
    # 62 days of 96 kWh are 5952 kWh.
    assert meter.spec.first_register == 48
    assert meter.register(datetime(2026, 3, 3, 16, 0, tzinfo=UTC)) == 0


def test_a_meter_falls_silent_and_hangs_there_still(clock, constant_load):
    [meter] = running(
        clock, constant_load, silent_since={"days_ago": 0, "time": time(12, 1)}
    ).values()  # it is 12:00
    assert (meter.is_present, meter.is_silent) == (True, False)
    clock.at += timedelta(minutes=1)
    assert (meter.is_present, meter.is_silent) == (True, True)


def test_the_two_meters_of_an_exchange_count_all_of_the_energy_between_them(clock, constant_load):
    exchange = {
        "at": {"days_ago": 1, "time": time(14, 7, 30)},
        "address": "000000000999",
        "first_register": 3,
    }
    old, new = running(clock, constant_load, exchange=exchange).values()
    at = datetime(2026, 3, 3, 6, 7, 30, tzinfo=UTC)
    assert (old.present_until, new.present_from) == (at, at)
    # 61 days and 14 h 7.5 min of 96 kWh: 5912.50 kWh, and half a kWh more until the quarter hour is over.
    assert old.register(at) == pytest.approx(591_250, abs=1)
    assert new.register(at) == 300
    assert new.register(at + timedelta(minutes=7.5)) == pytest.approx(350, abs=1)
    assert new.register(at + timedelta(minutes=22.5)) == pytest.approx(450, abs=1)
    assert sum(new._registers["import"].rates_at(14 * 3600.0 + 20_515 * 86_400)[1:]) >= 300


def test_a_high_supply_is_measured_as_such(clock, constant_load):
    [meter] = running(clock, constant_load, supply_voltage=248.0).values()
    measured = meter._electrics.measure(clock.at.timestamp() + np.arange(0, 86_400, 60.0))
    # 4 kW at 0.96 are 19 A: 1.1 V less, and the supply wanders by 5 V to either side.
    assert 241 < measured.voltage[:, 0].min() / 10 < measured.voltage[:, 0].max() / 10 < 253


def test_a_meter_behind_current_transformers_counts_the_secondary_side(clock):
    direct, behind = (
        Neighbourhood(WorldPlan.from_mapping(world(kind="factory", ct_ratio=ratio)), clock=clock)
        for ratio in (1, 40)
    )
    [primary], [secondary] = (list(each.meters.values()) for each in (direct, behind))
    assert secondary.register(clock.at) * 40 == pytest.approx(primary.register(clock.at), abs=41)
