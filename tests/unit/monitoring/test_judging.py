"""Values against limits: two readings in a row raise, two clear, and what is within costs nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from wattkeeper.collection.values import LiveReading
from wattkeeper.kernel.severity import Severity
from wattkeeper.monitoring.decisions import Cleared, Open, Raised, Updated
from wattkeeper.monitoring.judging import Judge
from wattkeeper.monitoring.limits import Limits, MeterFacts
from wattkeeper.monitoring.models import SubjectKind
from wattkeeper.monitoring.values import Key

NOW = datetime(2026, 11, 22, 9, 37, tzinfo=UTC)
METER = MeterFacts(
    meter_id=1, link_id=7, ct_ratio=Decimal(40), max_current_a=Decimal(6), rated_power_kw=Decimal(100)
)
UNITS = {"voltage": "V", "current": "A", "active_power": "kW", "frequency": "Hz"}


def reading(quantity, value, *, meter=1, number=1):
    unit = next(unit for key, unit in UNITS.items() if quantity.startswith(key))
    return LiveReading(
        meter_id=meter,
        quantity=quantity,
        value=Decimal(value),
        unit=unit,
        read_at=NOW + timedelta(minutes=number),
        exchange_id=100 + number,
    )


def key(code, meter=1):
    return Key(code, SubjectKind.METER, meter)


def opened(evidence, *, at=NOW):
    return Open(1, Severity.WARNING, at, at, 1, evidence, acknowledged=False)


@pytest.fixture
def judge():
    return Judge(Limits())


def take(judge, *readings, open_=None, meters=None, now=NOW):
    return judge.take(readings, meters or {1: METER}, open_ or {}, now)


@pytest.mark.parametrize(
    ("quantity", "value", "code", "limit"),
    [
        # GB/T 12325-2008, 4.3: 220 V x 1.07 = 235.4 V, 220 V x 0.90 = 198.0 V
        pytest.param("voltage_l1", "235.5", "voltage_high", "235.4", id="above_plus_7_percent"),
        pytest.param("voltage_l3", "197.9", "voltage_low", "198", id="below_minus_10_percent"),
        # GB/T 15945-2008: 50 Hz +/- 0.2 Hz
        pytest.param("frequency", "50.21", "frequency_high", "50.2", id="too_fast"),
        pytest.param("frequency", "49.79", "frequency_low", "49.8", id="too_slow"),
        pytest.param("current_l2", "6.001", "current_high", "6", id="more_than_imax"),
        pytest.param("current_l2", "-6.001", "current_high", "6", id="more_than_imax_backwards"),
        # 2.5001 kW secondary x 40 = 100.004 kW
        pytest.param("active_power", "2.5001", "power_high", "100", id="more_than_rated"),
    ],
)
def test_two_readings_in_a_row_beyond_a_limit_raise_it_once(judge, quantity, value, code, limit):
    first, second, third = (reading(quantity, value, number=number) for number in (1, 2, 3))
    assert take(judge, first) == []
    [raised] = take(judge, second)
    assert isinstance(raised, Raised)
    assert raised.key == key(code)
    assert raised.evidence["limit"] == limit
    assert (raised.evidence["exchange_id"], raised.evidence["before"][0]["exchange_id"]) == ("102", "101")
    assert take(judge, third, open_={raised.key: opened(raised.evidence)}) == []


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        ("voltage_l1", "235.4"),
        ("voltage_l1", "198.0"),
        pytest.param("voltage_l2", "0.0", id="no_wire_connected"),
        ("frequency", "50.20"),
        pytest.param("frequency", "0.00", id="no_voltage_no_frequency"),
        ("current_l1", "6.000"),
        ("active_power", "2.5000"),
        ("power_factor", "0.2"),
    ],
)
def test_a_value_at_its_limit_is_within(judge, quantity, value):
    readings = [replace(reading("voltage_l1", value), quantity=quantity) for _ in range(3)]
    assert take(judge, *readings) == []
    assert judge._runs == {}


def test_the_ratio_is_applied_once_and_said(judge):
    [raised] = take(judge, reading("active_power", "3.0"), reading("active_power", "3.1", number=2))
    evidence = {name: raised.evidence[name] for name in ("value", "read", "factor", "limit")}
    assert evidence == {"value": "124", "read": "3.1", "factor": "40", "limit": "100"}


def test_a_meter_that_shows_primary_values_is_not_multiplied_again(judge):
    meters = {1: replace(METER, primary=True)}
    power, current = reading("active_power", "99"), reading("current_l1", "239")  # 239 A / 40 = 5.975 A
    assert take(judge, power, power, current, current, meters=meters) == []
    current = reading("current_l1", "241")
    [raised] = take(judge, current, current, meters=meters)
    assert (raised.key.code, raised.evidence["value"]) == ("current_high", "6.025")


def test_behind_a_voltage_transformer_no_voltage_is_judged(judge):
    low = reading("voltage_l1", "57.7")
    assert take(judge, low, low, meters={1: replace(METER, pt_ratio=Decimal(100))}) == []


def test_one_reading_out_is_a_blip(judge):
    values = ["240.0", "230.0", "240.0", "230.0"]
    assert take(judge, *(reading("voltage_l1", value) for value in values)) == []
    assert judge._runs == {}


def test_two_readings_within_clear_it_and_one_does_not(judge):
    [raised] = take(judge, *[reading("voltage_l1", "240.0")] * 2)
    open_ = {raised.key: opened(raised.evidence)}
    assert take(judge, reading("voltage_l1", "230.0"), open_=open_) == []
    assert take(judge, reading("voltage_l1", "240.0"), open_=open_) == []
    assert take(judge, reading("voltage_l1", "230.0", number=5), open_=open_) == []
    [cleared] = take(judge, reading("voltage_l1", "231.0", number=6), open_=open_)
    assert isinstance(cleared, Cleared)
    assert (cleared.key, cleared.reason) == (raised.key, "within")
    assert (cleared.more["cleared_by"]["value"], cleared.more["cleared_by"]["exchange_id"]) == ("231", "106")


def test_three_phases_are_one_alarm_that_lasts_as_long_as_any(judge):
    phases = [reading(f"voltage_l{phase}", "240.0") for phase in (1, 2, 3)]
    [raised] = take(judge, *phases, *phases)
    assert raised.evidence["quantities"] == ["voltage_l1", "voltage_l2", "voltage_l3"]
    open_ = {raised.key: opened(raised.evidence)}
    two_well = [reading(f"voltage_l{phase}", "230.0") for phase in (1, 2)]
    assert take(judge, *two_well, *two_well, open_=open_) == []
    third = reading("voltage_l3", "230.0")
    assert [type(decision) for decision in take(judge, third, third, open_=open_)] == [Cleared]


def test_it_is_written_again_only_when_markedly_worse_or_after_a_while(judge):
    [raised] = take(judge, *[reading("voltage_l1", "240.0")] * 2)
    open_ = {raised.key: opened(raised.evidence)}
    assert take(judge, reading("voltage_l1", "241.0"), open_=open_) == []
    [worse] = take(judge, reading("voltage_l1", "245.0", number=4), open_=open_)
    assert isinstance(worse, Updated)
    assert (worse.occurrences, worse.evidence["worst"]["value"], worse.evidence["value"]) == (3, "245", "240")
    open_ = {raised.key: opened(worse.evidence)}
    same = reading("voltage_l1", "240.0")
    assert take(judge, same, open_=open_, now=NOW + timedelta(minutes=9)) == []
    [lasting] = take(judge, same, open_=open_, now=NOW + timedelta(minutes=10))
    assert (lasting.occurrences, lasting.evidence["worst"]["value"]) == (3, "245")


def test_after_a_restart_an_open_one_goes_on_and_is_cleared_by_two_readings(judge):
    evidence = {"value": "240", "limit": "235.4", "quantities": ["voltage_l1"]}
    open_ = {key("voltage_high"): opened(evidence)}
    judge.restore(key("voltage_high"), evidence)
    assert take(judge, reading("voltage_l1", "240.0"), open_=open_) == []
    assert take(judge, reading("voltage_l1", "230.0"), open_=open_) == []
    assert [type(item) for item in take(judge, reading("voltage_l1", "230.0"), open_=open_)] == [Cleared]


def test_a_raise_that_could_not_be_kept_comes_again_with_the_next_reading(judge):
    high = reading("voltage_l1", "240.0")
    assert len(take(judge, high, high)) == 1
    assert [type(item) for item in take(judge, high)] == [Raised]


def test_one_grid_has_one_frequency_alarm_per_link(judge):
    meters = {
        number: replace(METER, meter_id=number, link_id=7 if number < 4 else 8) for number in range(1, 6)
    }
    slow = [reading("frequency", "49.70", meter=number) for number in meters]
    raised = take(judge, *slow, *slow, meters=meters)
    assert [item.key.subject_id for item in raised] == [1, 4]
    open_ = {item.key: opened(item.evidence) for item in raised}
    assert take(judge, *slow, meters=meters, open_=open_) == []


def test_a_limit_taken_out_of_the_master_data_closes_what_rested_on_it(judge):
    [raised] = take(judge, *[reading("current_l1", "7.0")] * 2)
    open_ = {raised.key: opened(raised.evidence)}
    assert judge.unlimited({1: METER}, open_) == []
    assert judge.unlimited({1: replace(METER, max_current_a=None)}, open_) == [
        Cleared(raised.key, "no_limit")
    ]
