"""Findings in a real database: raised once, updated, cleared, acknowledged, and the same after a restart."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import event, insert, select
from sqlalchemy.exc import DBAPIError

from wattkeeper.collection.values import Presence
from wattkeeper.kernel.severity import Severity
from wattkeeper.monitoring.errors import AlreadyAcknowledged, BadCursor, UnknownFinding
from wattkeeper.monitoring.models import Finding, SubjectKind
from wattkeeper.monitoring.service import MonitoringService
from wattkeeper.monitoring.values import FindingFilter, OpenCounts
from wattkeeper.registry.models import Meter
from wattkeeper.registry.scope import Scope
from wattkeeper.security.acting import Actor, ActorKind, acting
from wattkeeper.security.models import AuditEvent

NOW = datetime(2026, 11, 22, 9, 37, 5, tzinfo=UTC)


def later(seconds):
    return NOW + timedelta(seconds=seconds)


def overvoltage(monitor, network, meter=0, *, at=NOW):
    monitor.tick(at, [network.reading(meter, "240.0"), network.reading(meter, "248.3")])


def told(page):
    return [(row.code, row.subject_name, row.state, row.clear_reason) for row in page.rows]


def test_an_alarm_is_raised_once_and_cleared_with_its_evidence(monitor, network):
    overvoltage(monitor, network)
    monitor.tick(later(2), [network.reading(0, "248.0")])
    [found] = monitor.findings().rows
    assert (found.code, found.severity, found.subject_name, found.place) == (
        "voltage_high", Severity.WARNING, "000000000161", "0号楼",
    )  # fmt: skip
    assert (found.raised_at, found.state, found.evidence["value"], found.evidence["exchange_id"]) == (
        NOW, "open", "248.3", "4711",
    )  # fmt: skip
    assert monitor.tick(later(60), [network.reading(0, "230.0"), network.reading(0, "229.0")]) == 1
    assert monitor.findings().rows == ()
    [over] = monitor.findings(FindingFilter(state="cleared")).rows
    assert (over.id, over.clear_reason, over.cleared_at) == (found.id, "within", later(60))
    assert over.evidence["cleared_by"]["value"] == "229"


def test_a_tick_in_which_nothing_changes_writes_nothing_and_asks_nothing(monitor, network):
    monitor.tick(NOW)
    statements = []
    engine = network.database._engine
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    for second in range(2, 30, 2):
        readings = [network.reading(meter, "230.1", at=later(second)) for meter in range(3)]
        assert monitor.tick(later(second), readings) == 0
    assert statements == []


def test_after_a_restart_it_is_the_same_alarm(monitor, network, hub):
    overvoltage(monitor, network)
    monitor.tick(later(1), [network.reading(1, "230.0", at=later(1))])
    silent = network.set(network.meters[2], Presence.SILENT, since=later(0))
    monitor.tick(later(31), [])
    before = monitor.findings().rows
    assert [row.code for row in before] == ["meter_silent", "voltage_high"]
    network.set(silent.meter_id, Presence.UNKNOWN, since=later(100))
    again = MonitoringService(network.database, hub, collector=network)
    overvoltage(again, network, at=later(100))
    network.set(silent.meter_id, Presence.SILENT, since=later(140))
    again.tick(later(140), [network.reading(1, "230.0", at=later(140))])
    again.tick(later(200), [network.reading(1, "230.0", at=later(200))])
    assert [row.id for row in again.findings().rows] == [row.id for row in before]


def test_a_disabled_meter_and_a_link_taken_out_of_use_are_closed(monitor, network):
    overvoltage(monitor, network)
    with network.database.write() as session:
        session.get_one(Meter, network.meters[0]).enabled = False
    assert monitor.tick(later(29)) == 0, "the registry is looked at every half minute"
    assert monitor.tick(later(30)) == 1
    assert told(monitor.findings(FindingFilter(state="all"))) == [
        ("voltage_high", "000000000161", "cleared", "not_read")
    ]


def test_a_link_down_is_one_alarm_and_its_meters_are_not_blamed(monitor, network):
    network.link_error, network.link_since = "refused the connection.", NOW - timedelta(seconds=40)
    for meter_id in network.meters:
        network.set(meter_id, Presence.SILENT, since=NOW)
    monitor.tick(NOW)
    assert told(monitor.findings()) == [("link_down", "north", "open", None)]
    assert monitor.counts() == OpenCounts(critical=1, unacknowledged=1)
    network.link_error, network.link_since = None, later(10)
    monitor.tick(later(40))
    assert monitor.counts().critical == 1, "nobody behind it answers: that is the next alarm"
    assert told(monitor.findings()) == [("link_silent", "north", "open", None)]


def test_a_change_that_could_not_be_kept_is_made_later(monitor, network, monkeypatch):
    def fail(*_args):
        raise RuntimeError("disk")

    with monkeypatch.context() as patched:
        patched.setattr("wattkeeper.monitoring.notices.NoticeQueue.tell_raised", fail)
        with pytest.raises(RuntimeError):
            overvoltage(monitor, network)
    assert monitor.findings(FindingFilter(state="all")).rows == (), "all of a tick or nothing"
    monitor.tick(later(60), [network.reading(0, "241.0")])
    assert [row.code for row in monitor.findings().rows] == ["voltage_high"]
    well = [network.reading(0, "230.0"), network.reading(0, "230.0")]
    with monkeypatch.context() as patched:
        patched.setattr("wattkeeper.monitoring.notices.NoticeQueue.tell_cleared", fail)
        with pytest.raises(RuntimeError):
            monitor.tick(later(120), well)
    monitor.tick(later(180), well)
    assert monitor.findings().rows == ()


def test_the_database_itself_allows_one_open_finding_per_code_and_subject(monitor, network):
    overvoltage(monitor, network)
    with network.database.read() as session:
        row = session.scalars(select(Finding)).one()
        same = {
            name: getattr(row, name)
            for name in (
                "code",
                "severity",
                "subject_kind",
                "subject_id",
                "raised_at",
                "updated_at",
                "evidence",
            )
        }
    with pytest.raises(DBAPIError), network.database.write() as session:
        session.execute(insert(Finding).values(**same))


def test_acknowledging_is_audited_and_once(monitor, network):
    overvoltage(monitor, network)
    [found] = monitor.findings().rows
    with acting(Actor(ActorKind.USER, "li", 3, "::1")):
        after = monitor.acknowledge(found.id, "  Transformer tap is being set. ", later(60))
    assert (after.state, after.acknowledged_by, after.acknowledged_note, after.acknowledged_at) == (
        "acknowledged", "li", "Transformer tap is being set.", later(60),
    )  # fmt: skip
    assert monitor.counts() == OpenCounts(warning=1, unacknowledged=0)
    with network.database.read() as session:
        [noted] = session.scalars(select(AuditEvent))
    assert (noted.action, noted.actor_name, noted.subject_id) == ("alarm.acknowledge", "li", str(found.id))
    with pytest.raises(AlreadyAcknowledged, match="by li already"):
        monitor.acknowledge(found.id, "", later(70))
    monitor.tick(later(80), [network.reading(0, "250.9")])
    assert monitor.finding(found.id).evidence["worst"]["value"] == "250.9"
    assert monitor.finding(found.id).acknowledged_by == "li"


def test_what_lies_out_of_scope_is_not_there(monitor, network):
    overvoltage(monitor, network, meter=0)
    overvoltage(monitor, network, meter=2, at=later(1))
    first, second = (Scope(areas=frozenset({area})) for area in network.areas)
    in_first, in_second = monitor.findings(scope=first).rows, monitor.findings(scope=second).rows
    assert [row.subject_id for row in in_first] == [network.meters[0]]
    assert [row.subject_id for row in in_second] == [network.meters[2]]
    assert monitor.counts(first).total == 1
    assert monitor.counts().total == 2
    assert monitor.open_subjects(scope=first) == {(SubjectKind.METER, network.meters[0])}
    assert monitor.of_subject(SubjectKind.METER, network.meters[2], scope=first) == []
    for ask in (
        lambda: monitor.finding(in_second[0].id, scope=first),
        lambda: monitor.acknowledge(in_second[0].id, "", NOW, scope=first),
    ):
        with pytest.raises(UnknownFinding):
            ask()


def test_the_list_is_filtered_searched_and_goes_on_by_cursor(monitor, network):
    for meter in range(3):
        overvoltage(monitor, network, meter, at=later(meter))
    low = [
        network.reading(1, "7.5", quantity="active_power"),
        network.reading(1, "190.0", quantity="voltage_l2"),
    ]
    monitor.tick(later(9), [*low, *low])
    first = monitor.findings(limit=3)
    assert (first.total, [row.code for row in first.rows]) == (4, ["voltage_low", *["voltage_high"] * 2])
    rest = monitor.findings(limit=3, after=first.after)
    assert ([row.subject_id for row in rest.rows], rest.after) == ([network.meters[0]], None)
    assert monitor.findings(FindingFilter(search="2号")).total == 1
    assert monitor.findings(FindingFilter(code="voltage_low")).total == 1
    assert monitor.findings(FindingFilter(severity="critical")).total == 0
    with pytest.raises(BadCursor):
        monitor.findings(after="bm90IGEgY3Vyc29y")


async def test_open_pages_hear_of_every_change(monitor, network, hub):
    async with hub.subscribe("finding") as news:
        overvoltage(monitor, network)
        monitor.acknowledge(monitor.findings().rows[0].id, "", later(1))
        monitor.tick(later(60), [network.reading(0, "230.0"), network.reading(0, "230.0")])
        changes = [(message.body.change, message.body.finding.state) for message in news.drain()]
    assert changes == [("raised", "open"), ("acknowledged", "acknowledged"), ("cleared", "cleared")]


def test_the_ratio_of_the_installation_is_what_power_is_multiplied_by(monitor, network):
    from wattkeeper.registry.models import Installation, MeteringPoint

    with network.database.write() as session:
        installed = session.scalars(
            select(Installation).where(Installation.meter_id == network.meters[0])
        ).one()
        installed.ct_ratio = Decimal(30)
        session.get_one(MeteringPoint, installed.point_id).rated_power_kw = Decimal(100)
    power = [network.reading(0, "3.4", quantity="active_power")]
    monitor.tick(NOW, [*power, *power])
    [found] = monitor.findings().rows
    assert (found.code, found.evidence["value"], found.evidence["factor"], found.evidence["limit"]) == (
        "power_high", "102", "30", "100",
    )  # fmt: skip
