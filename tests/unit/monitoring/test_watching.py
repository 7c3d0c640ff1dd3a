"""States of meters and links: one alarm, not two hundred."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from wattkeeper.collection.values import LinkStatus, LiveReading, MeterState, Presence
from wattkeeper.kernel.severity import Severity
from wattkeeper.monitoring.decisions import Cleared, Facts, Open, Raised
from wattkeeper.monitoring.limits import Code, Limits, MeterFacts
from wattkeeper.monitoring.models import SubjectKind
from wattkeeper.monitoring.values import Key
from wattkeeper.monitoring.watching import Watch

NOW = datetime(2026, 11, 22, 9, 37, tzinfo=UTC)
LINK = 7


def facts(count):
    meters = {number: MeterFacts(meter_id=number, link_id=LINK) for number in range(1, count + 1)}
    return Facts(meters, {LINK: tuple(meters)})


def meter(number, presence, *, since=NOW, clock=None, read_at=None):
    return MeterState(
        meter_id=number,
        link_id=LINK,
        presence=presence,
        since=since,
        failures_in_a_row=3 if presence is Presence.SILENT else 0,
        last_success_at=since if presence is Presence.ANSWERING else None,
        last_failure_at=None,
        last_failure="No reply.",
        next_attempt_at=None,
        in_quarantine=False,
        clock_deviation=clock,
        clock_read_at=read_at,
        unsupported=(),
    )


def link(*, connected, since=NOW, error=None):
    return LinkStatus(
        link_id=LINK,
        code="north",
        url="tcp://10.0.0.1:8001",
        connected=connected,
        since=since,
        error=error,
        meters=3,
        waiting_commands=0,
        waiting_live=0,
        waiting_due=0,
        backfilling=0,
    )


def value_of(number):
    return LiveReading(
        meter_id=number, quantity="voltage_l1", value=Decimal(230), unit="V", read_at=NOW, exchange_id=1
    )


def key(code, subject=1):
    kind = SubjectKind.LINK if code in {Code.LINK_DOWN, Code.LINK_SILENT} else SubjectKind.METER
    return Key(code, kind, subject)


def opened(*keys, at=NOW):
    return {item: Open(1, Severity.WARNING, at, at, 1, {}, acknowledged=False) for item in keys}


@pytest.fixture
def watch():
    return Watch(Limits())


def decide(watch, known, open_=None, *, after=0):
    return list(watch.decide(known, open_ or {}, NOW + timedelta(seconds=after)))


def test_a_silent_meter_is_to_blame_once_a_neighbour_was_heard_after_it_fell_silent(watch):
    watch.hear([value_of(2)], facts(3), NOW - timedelta(seconds=1))
    watch.take_meters([meter(1, Presence.SILENT), meter(2, Presence.ANSWERING), meter(3, Presence.ANSWERING)])
    assert decide(watch, facts(3)) == []
    watch.hear([value_of(2)], facts(3), NOW + timedelta(seconds=20))
    [raised] = decide(watch, facts(3))
    assert raised == Raised(
        key(Code.METER_SILENT),
        {"failures": 3, "since": NOW.isoformat(), "answered_at": None, "error": "No reply."},
    )
    assert decide(watch, facts(3), opened(raised.key)) == []


def test_the_only_meter_of_a_link_is_blamed_at_once(watch):
    watch.take_meters([meter(1, Presence.SILENT)])
    assert [item.key for item in decide(watch, facts(1))] == [key(Code.METER_SILENT)]


def test_a_cut_bus_of_two_hundred_meters_is_one_alarm(watch):
    known = facts(200)
    watch.take_links([link(connected=True)])
    watch.hear([value_of(1)], known, NOW - timedelta(minutes=1))
    found = []
    for number in range(1, 201):
        watch.take_meters([meter(number, Presence.SILENT, since=NOW + timedelta(seconds=number))])
        found += decide(watch, known, opened(*(item.key for item in found)), after=number)
    assert [item.key for item in found] == [key(Code.LINK_SILENT, LINK)]
    assert (found[0].evidence["silent"], found[0].evidence["meters"]) == (3, 200)


def test_a_silent_bus_is_cleared_when_somebody_is_heard_and_the_dead_ones_are_named(watch):
    known = facts(3)
    watch.take_meters([meter(number, Presence.SILENT) for number in known.meters])
    open_ = opened(key(Code.LINK_SILENT, LINK))
    assert decide(watch, known, open_, after=60) == []
    watch.take_meters([meter(2, Presence.ANSWERING), meter(3, Presence.ANSWERING)])
    watch.hear([value_of(2)], known, NOW + timedelta(seconds=70))
    [cleared] = decide(watch, known, open_, after=70)
    assert (cleared.key, cleared.reason) == (key(Code.LINK_SILENT, LINK), "answers")
    assert [item.key for item in decide(watch, known, after=72)] == [key(Code.METER_SILENT)]


def test_a_link_that_is_down_is_said_after_half_a_minute_and_its_meters_are_not_blamed(watch):
    known = facts(3)
    watch.take_links([link(connected=False, error="refused")])
    watch.take_meters([meter(number, Presence.SILENT) for number in known.meters])
    assert decide(watch, known, after=29) == []
    [raised] = decide(watch, known, after=30)
    assert raised.key == key(Code.LINK_DOWN, LINK)
    assert raised.evidence["meters"] == 3
    assert decide(watch, known, opened(raised.key), after=300) == []


def test_a_link_that_was_never_opened_is_neither_up_nor_down(watch):
    watch.take_links([link(connected=False, since=None)])
    assert decide(watch, facts(1), after=300) == []
    assert decide(watch, facts(1), opened(key(Code.LINK_DOWN, LINK)), after=300) == []


def test_a_link_is_well_again_when_it_stays_open(watch):
    watch.take_links([link(connected=True)])
    open_ = opened(key(Code.LINK_DOWN, LINK))
    assert decide(watch, facts(1), open_, after=29) == []
    [cleared] = decide(watch, facts(1), open_, after=30)
    assert cleared == Cleared(key(Code.LINK_DOWN, LINK), "connected", {"connected_at": NOW.isoformat()})


@pytest.mark.parametrize("presence", [Presence.UNKNOWN, Presence.FAILING, Presence.SILENT])
def test_after_a_restart_a_silent_meter_stays_the_same_alarm_until_it_answers(watch, presence):
    watch.take_meters([meter(1, presence)])
    open_ = opened(key(Code.METER_SILENT), at=NOW - timedelta(days=1))
    assert decide(watch, facts(1), open_, after=300) == []
    watch.take_meters([meter(1, Presence.ANSWERING)])
    assert decide(watch, facts(1), open_, after=29) == []
    [cleared] = decide(watch, facts(1), open_, after=30)
    assert (cleared.key, cleared.reason) == (key(Code.METER_SILENT), "answers")


def test_a_clock_more_than_five_minutes_off_is_raised_and_cleared_by_a_newer_reading(watch):
    five = timedelta(minutes=5)
    watch.take_meters([meter(1, Presence.ANSWERING, clock=-five, read_at=NOW)])
    assert decide(watch, facts(1)) == []
    watch.take_meters([meter(1, Presence.ANSWERING, clock=-five - timedelta(seconds=1), read_at=NOW)])
    [raised] = decide(watch, facts(1))
    assert raised == Raised(
        key(Code.CLOCK_OFF), {"deviation_s": -301, "limit_s": 300, "read_at": NOW.isoformat()}
    )
    open_ = opened(raised.key, at=NOW + timedelta(seconds=1))
    watch.take_meters([meter(1, Presence.ANSWERING, clock=timedelta(0), read_at=NOW + timedelta(days=1))])
    [cleared] = decide(watch, facts(1), open_)
    assert (cleared.reason, cleared.more["cleared_by"]["deviation_s"]) == ("within", 0)


def test_what_is_disabled_or_gone_is_closed_with_that_reason(watch):
    known = Facts({}, {}, frozenset({(SubjectKind.METER, 1)}))
    open_ = opened(key(Code.METER_SILENT, 1), key(Code.VOLTAGE_HIGH, 2), key(Code.LINK_DOWN, LINK))
    reasons = {item.key.subject_id: item.reason for item in decide(watch, known, open_)}
    assert reasons == {1: "not_read", 2: "removed", LINK: "removed"}
