"""Findings follow the readings: late data clears them, decisions hold, a crash repeats and does not double."""

from decimal import Decimal
from itertools import permutations

import pytest

from wattkeeper.kernel.database import Database
from wattkeeper.readings.validation.errors import AlreadyDecided, FindingNotFound
from wattkeeper.readings.validation.service import ValidationService
from wattkeeper.readings.validation.values import FindingFilter
from wattkeeper.registry.scope import NOTHING
from wattkeeper.security.acting import Actor, ActorKind, acting

IMPORT = "active_energy_import"
OPERATOR = Actor(ActorKind.USER, "li")
BACK = {"06:00": "100", "06:15": "100.2", "06:30": "99", "06:45": "99.1"}


def test_what_is_found_once_is_not_found_again(fresh):
    meter = fresh.meter()
    fresh.read(meter, BACK)
    first = fresh.service.validate_pending(fresh.at("23:00"))
    assert (first.raised, first.updated, first.cleared, first.meters) == (1, 0, 0, {meter})
    again = fresh.service.validate_pending(fresh.at("23:00"))
    assert (again.raised, again.updated, again.cleared, again.meters) == (0, 0, 0, set())


def test_a_correction_clears_what_it_takes_the_ground_from(fresh):
    meter = fresh.meter()
    fresh.read(meter, BACK)
    fresh.validate()
    assert fresh.found(meter) == [("register_backwards", IMPORT, "10 06:30")]
    fresh.read(meter, {"06:30": "100.3", "06:45": "100.4"})
    fresh.validate()
    assert [row[0] for row in fresh.found(meter)] == [
        "duplicate_value"
    ]  # both values are kept, and that is told
    assert fresh.found(meter, "cleared") == [("register_backwards", IMPORT, "10 06:30")]


def test_late_readings_clear_the_gap_they_fill(fresh):
    meter = fresh.meter(since=fresh.at("00:00"), first="100")
    values = {
        f"{hour:02d}:{minute:02d}": str(Decimal(100) + Decimal(4 * hour + minute // 15) / 10)
        for hour in range(24)
        for minute in (0, 15, 30, 45)
    }
    late = {clock: value for clock, value in values.items() if "05:00" <= clock < "10:00"}
    prompt = {clock: value for clock, value in values.items() if clock not in late}
    fresh.read(meter, prompt, now=fresh.at("00:01", 1))
    fresh.validate(fresh.at("07:00", 1))
    assert fresh.found(meter) == [("missing", IMPORT, "10 00:00")]
    fresh.read(meter, late, now=fresh.at("08:00", 1))
    fresh.validate(fresh.at("08:00", 1))
    assert [row for row in fresh.found(meter) if row[0] == "missing"] == []
    assert fresh.found(meter, "cleared") == [("missing", IMPORT, "10 00:00")]


def test_a_meter_that_falls_silent_is_missed_by_the_clock_alone(fresh):
    meter, never_read = fresh.meter(), fresh.meter()
    fresh.read(meter, {"12:00": "100"}, day=-1, now=fresh.at("12:00", -1))
    fresh.validate(fresh.at("13:00", -1))
    fresh.validate(fresh.at("06:00", 1))  # nothing came; day 10 is over for six hours
    missed = [row.evidence["missing"] for row in fresh.rows(meter) if row.period.start == fresh.at("00:00")]
    assert missed == [96]
    assert fresh.found(never_read) == []
    before = fresh.found(meter)
    fresh.validate(fresh.at("06:01", 1))
    assert fresh.found(meter) == before


def test_a_decision_holds_for_its_ground_and_not_for_another(fresh):
    meter = fresh.meter()
    fresh.read(meter, {"06:00": "240", "06:15": "241"}, "voltage_l1")
    fresh.validate()
    (found,) = fresh.rows(meter)
    with acting(OPERATOR):
        decided = fresh.queue.accept(found.id, "transformer tap", fresh.at("12:00"))
    assert (decided.state, decided.decided_by, decided.note) == ("accepted", "li", "transformer tap")
    fresh.read(meter, {"07:00": "230"}, "voltage_l1")  # the day is judged again, on the same ground
    fresh.validate()
    assert fresh.found(meter) == []
    fresh.read(meter, {"08:00": "240", "08:15": "250"}, "voltage_l1")
    fresh.validate()
    (again,) = fresh.rows(meter)
    assert (again.id, again.state, again.decided_by, again.evidence["count"]) == (found.id, "open", None, 4)


def test_an_answered_finding_stays_answered_when_its_ground_is_gone(fresh):
    meter = fresh.meter()
    fresh.read(meter, BACK)
    fresh.validate()
    (found,) = fresh.rows(meter)
    with acting(OPERATOR):
        fresh.queue.mark_edited(found.id, 7, "", fresh.at("12:00"))
    fresh.read(meter, {"06:30": "100.3", "06:45": "100.4"}, source="edited")
    fresh.validate()
    assert fresh.found(meter) == []
    assert [(row.code, row.edit_id) for row in fresh.rows(meter, "edited")] == [("register_backwards", 7)]


def test_only_what_is_open_is_decided_and_only_by_who_may_see_it(fresh):
    meter = fresh.meter()
    fresh.read(meter, BACK)
    fresh.validate()
    (found,) = fresh.rows(meter)
    with pytest.raises(FindingNotFound):
        fresh.queue.accept(found.id, "", fresh.at("12:00"), scope=NOTHING)
    assert fresh.queue.findings(scope=NOTHING).total == 0
    fresh.queue.accept(found.id, "", fresh.at("12:00"))
    with pytest.raises(AlreadyDecided, match="accepted already"):
        fresh.queue.accept(found.id, "", fresh.at("12:00"))


def test_a_parameter_holds_from_its_day_on_and_open_findings_are_judged_again(fresh):
    old, new = fresh.meter(), fresh.meter(kind="factory")
    for meter in (old, new):
        for day in (-1, 0):
            fresh.read(meter, {"06:00": "240", "06:15": "241"}, "voltage_l1", day=day)
    fresh.validate()
    assert [row[2] for row in fresh.found(old) if row[0] == "voltage_high"] == ["09 00:00", "10 00:00"]
    fresh.queue.rules.set_parameter(
        "voltage_high",
        "limit_v",
        Decimal(245),
        valid_from=fresh.at("00:00"),
        now=fresh.at("12:00"),
        point_kind="factory",
    )
    fresh.validate()
    assert [row[2] for row in fresh.found(old) if row[0] == "voltage_high"] == ["09 00:00", "10 00:00"]
    assert [row[2] for row in fresh.found(new) if row[0] == "voltage_high"] == ["09 00:00"]
    fresh.read(new, {"07:00": "246", "07:15": "247"}, "voltage_l1")
    fresh.validate()
    used = fresh.rows(new)[-1].evidence["limit"]
    assert used == {"parameter": "limit_v", "value": "245", "unit": "V", "since": "2026-03-09T16:00:00+00:00"}


def test_the_order_of_arrival_does_not_matter(fresh):
    parts = (
        {"06:00": "100", "06:15": "100.5"},
        {"06:30": "10"},
        {"06:45": "101", "07:00": "101.2", "07:15": "90"},
    )
    orders = list(permutations(parts))
    meters = [fresh.meter() for _ in orders]
    for place in range(len(parts)):
        for meter, order in zip(meters, orders, strict=True):
            fresh.read(meter, order[place])
        fresh.validate()
    told = [
        [(row.code, row.period, row.evidence["readings"]) for row in fresh.rows(meter)] for meter in meters
    ]
    assert [row[0] for row in told[0]] == ["register_outlier", "register_backwards"]
    assert all(other == told[0] for other in told)


def test_a_reading_that_comes_late_is_judged_with_neighbours_far_away(fresh):
    """A register read once a month: January's step is judged when February's reading comes, and March's again."""
    meter = fresh.meter()
    fresh.read(meter, {"00:00": "5000"}, "reactive_energy_q1", day=-40)
    fresh.read(meter, {"00:00": "4000"}, "reactive_energy_q1", day=0)
    fresh.validate()
    assert fresh.found(meter) == [("register_backwards", "reactive_energy_q1", "10 00:00")]
    fresh.read(meter, {"00:00": "3900"}, "reactive_energy_q1", day=-20, now=fresh.at("23:00"))
    fresh.validate()
    assert [row[2] for row in fresh.found(meter)] == ["18 00:00"]  # now the step down lies there


def test_the_feed_tells_what_changed_once(fresh):
    meter = fresh.meter()
    fresh.read(meter, BACK)
    fresh.validate()
    assert fresh.events() == [{"raised": 1, "updated": 0, "cleared": 0, "meters": [meter]}]
    fresh.validate()
    assert fresh.events() == []


def test_a_crash_before_the_cursors_move_repeats_the_work_and_doubles_nothing(fresh, monkeypatch):
    meter = fresh.meter()
    fresh.read(meter, BACK)
    with monkeypatch.context() as patched:
        patched.setattr(ValidationService, "_advance", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fresh.validate()
    assert len(fresh.rows(meter)) == 1
    restarted = ValidationService(fresh.database, fresh.store)
    assert restarted.validate_pending(fresh.at("23:00")).raised == 0
    assert len(fresh.rows(meter)) == 1
    assert len(fresh.events()) == 1


def test_a_page_goes_on_behind_the_last_row(fresh):
    meter = fresh.meter()
    for day in range(-5, 0):
        fresh.read(meter, {"06:00": "100"}, day=day, status=2)
    fresh.validate(fresh.at("23:00", -6))
    first = fresh.queue.findings(FindingFilter(code="meter_flag"), limit=3)
    rest = fresh.queue.findings(FindingFilter(code="meter_flag"), limit=3, after=first.after)
    days = [row.period.start for row in (*first.rows, *rest.rows)]
    assert days == [fresh.at("00:00", day) for day in range(-1, -6, -1)]
    assert (first.total, rest.after) == (5, None)
    assert fresh.queue.counts().by_code == {"meter_flag": 5}


@pytest.mark.slow
def test_the_ledger_may_be_postgresql(postgres_database, fresh):
    database = Database(postgres_database)
    database.create_schema()
    fresh_there = type(fresh)(database, fresh.store)
    meter = fresh_there.meter()
    fresh_there.read(meter, BACK)
    fresh_there.validate()
    assert fresh_there.found(meter) == [("register_backwards", IMPORT, "10 06:30")]
    database.dispose()
