"""From the collector's store to the platform's: everything, once, whatever is lost or forgotten on the way."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.readings.transmission.conftest import ENERGY, NOON, deliver

from wattkeeper.readings.transmission.errors import BadBatch, BaseUnknown, OutboxFull
from wattkeeper.readings.transmission.identities import MeterIdentity
from wattkeeper.readings.transmission.outbox import Outbox

A, B, C = "000000000011", "000000000012", "000000000013"


def test_a_reading_arrives_under_the_platforms_own_ids_with_its_frames(collector, platform):
    collector.register(A, B)
    platform.register(B, A)
    assert collector.meters[A] != platform.meters[A]
    collector.read(A, 0, "12.34", exchange=7 << 12)
    collector.read(B, 0, "5.6", source="polled")
    receipts = deliver(collector, platform)
    assert [(receipt.rows, receipt.accepted, receipt.unknown) for receipt in receipts] == [
        (1, 1, ()),
        (2, 2, ()),
    ]
    assert platform.values() == [
        (A, ENERGY, 0, "12.3400", "meter"),
        (B, ENERGY, 0, "5.6000", "polled"),
    ]
    traced = platform.store.exchange(
        platform.store.readings(meter_ids=[platform.meters[A]])["exchange_id"][0].as_py()
    )
    assert (traced["meter_id"], traced["link_id"]) == (platform.meters[A], platform.links["bus-1"])
    assert traced["request"] == bytes.fromhex("6800000000001168")


def test_what_changed_is_sent_against_what_was_acknowledged(collector, platform):
    collector.register(A)
    platform.register(A)
    collector.read(A, 0, "100")
    deliver(collector, platform)
    collector.read(A, 15, "100.25")
    collector.feed.feed(collector.outbox)
    shipment = collector.sender.next()
    assert A.encode() not in shipment.payload
    assert b"dlt645" not in shipment.payload
    deliver(collector, platform)
    assert [value for *_, value, _ in platform.values()] == ["100.0000", "100.2500"]


def test_a_platform_that_has_forgotten_gets_the_same_self_contained(collector, platform):
    collector.register(A)
    platform.register(A)
    collector.read(A, 0, "1")
    deliver(collector, platform)
    platform.restart()
    collector.read(A, 15, "2")
    collector.feed.feed(collector.outbox)
    with pytest.raises(BaseUnknown):
        platform.receive(collector, collector.sender.next())
    deliver(collector, platform)
    assert len(platform.values()) == 2


def test_an_answer_that_was_lost_doubles_nothing_and_loses_no_unknown_meter(collector, platform):
    collector.register(A, B)
    platform.register(A)
    collector.read(A, 0, "1")
    collector.read(B, 0, "2")
    collector.feed.feed(collector.outbox)
    shipment = collector.sender.next()
    assert platform.receive(collector, shipment).accepted == 1
    collector.restart()
    (receipt,) = deliver(collector, platform)
    assert (receipt.rows, receipt.accepted) == (1, 0)
    assert collector.unknown.meters == {MeterIdentity("dlt645-2007", "bus-1", B)}
    assert len(platform.values()) == 1


def test_a_delivery_that_comes_late_does_not_stand_above_what_came_after_it(collector, platform):
    collector.register(A)
    platform.register(A)
    collector.read(A, 0, "1")
    collector.feed.feed(collector.outbox)
    late = collector.sender.next()
    deliver(collector, platform)
    collector.read(A, 0, "3")
    deliver(collector, platform)
    assert platform.receive(collector, late).rows == 0
    assert [value for *_, value, _ in platform.values()] == ["3.0000"]


def test_a_value_that_was_replaced_before_it_was_sent_is_known_at_the_platform_too(collector, platform):
    collector.register(A)
    platform.register(A)
    collector.read(A, 0, "1", source="polled")
    collector.read(A, 0, "2")
    deliver(collector, platform)
    versions = platform.store.versions_of(platform.meters[A], ENERGY, NOON)
    assert [(str(row["value"]), row["source"]) for row in versions.to_pylist()] == [
        ("2.0000", "meter"),
        ("1.0000", "polled"),
    ]


def test_what_a_person_entered_at_the_collector_stays_there(collector, platform):
    collector.register(A)
    platform.register(A)
    collector.read(A, 0, "1", source="imported")
    collector.read(A, 15, "2", source="edited")
    assert deliver(collector, platform) == []


def test_the_readings_of_a_meter_come_once_somebody_registers_it(collector, platform):
    collector.register(A, B)
    platform.register(A)
    for minute in (0, 15, 30):
        collector.read(A, minute, str(minute))
        collector.read(B, minute, str(100 + minute), exchange=minute + 1 << 12)
        deliver(collector, platform)
    unknown = MeterIdentity("dlt645-2007", "bus-1", B)
    (view,) = platform.receiver.collectors()
    assert (view.name, view.readings, view.unknown) == ("site 7", 3, (unknown,))
    assert platform.receiver.known([unknown]) == []
    collector.restart()
    assert collector.unknown.meters == {unknown}

    platform.register(B)
    assert platform.receiver.known([unknown]) == [unknown]
    collector.feed.feed_again(collector.outbox, [unknown])
    deliver(collector, platform)
    assert len(platform.values()) == 6
    assert platform.store.exchange(31 << 12)["meter_id"] == platform.meters[B]
    assert platform.receiver.collectors()[0].unknown == ()


def test_a_device_is_found_on_another_link_and_a_place_on_a_line_only_there(collector, platform):
    collector.register(A)
    collector.register("7", protocol="modbus-rtu", model="eastron-sdm630")
    platform.register(A, link="bus-2")
    platform.register("7", link="bus-2", protocol="modbus-rtu", model="eastron-sdm630")
    names = [MeterIdentity("dlt645-2007", "bus-1", A), MeterIdentity("modbus-rtu", "bus-1", "7")]
    assert platform.receiver.known(names) == names[:1]
    platform.register(A, link="bus-2", protocol="dlt645")
    assert platform.receiver.known(names) == [], "two could be meant, so none is"
    platform.register(A, link="bus-1")
    assert platform.receiver.known(names) == names[:1]


def test_an_outbox_without_room_leaves_the_readings_in_the_store(collector, platform):
    collector.register(A)
    platform.register(A)
    full = Outbox(collector.folder / "small", most_bytes=100)
    collector.read(A, 0, "1")
    with pytest.raises(OutboxFull):
        collector.feed.feed(full)
    assert full.fed_to == 0
    full.most_bytes = 1 << 20
    assert collector.feed.feed(full) == 1
    full.close()


def test_damaged_bytes_are_refused_and_leave_nothing(collector, platform):
    collector.register(A)
    platform.register(A)
    collector.read(A, 0, "1")
    collector.feed.feed(collector.outbox)
    shipment = collector.sender.next()
    for damaged in (shipment.payload[:-1], b"", b"WKB\x01", bytes(len(shipment.payload))):
        with pytest.raises(BadBatch):
            platform.receive(collector, shipment._replace(payload=damaged))
    assert platform.values() == []
    assert platform.receiver.collectors() == []


class Story:
    """What may happen at either end, in any order."""

    def __init__(self, collector, platform) -> None:
        self.collector, self.platform = collector, platform
        self.minute = 0
        collector.register(A, B, C)
        platform.register(A)

    def read(self) -> None:
        self.minute += 1
        value = f"{self.minute * 7 % 50}.{self.minute % 100:02d}"
        self.collector.read((A, B, C)[self.minute % 3], self.minute, value, exchange=self.minute << 12)

    def feed(self) -> None:
        self.collector.feed.feed(self.collector.outbox)

    def send(self) -> None:
        self._send(answered=True)

    def lose_the_answer(self) -> None:
        self._send(answered=False)

    def register(self) -> None:
        if B not in self.platform.meters:
            self.platform.register(B)

    def restart_the_collector(self) -> None:
        self.collector.restart()

    def restart_the_platform(self) -> None:
        self.platform.restart()

    def _send(self, *, answered: bool) -> None:
        shipment = self.collector.sender.next()
        if shipment is None:
            return
        try:
            receipt = self.platform.receive(self.collector, shipment)
        except BaseUnknown:
            self.collector.sender.base_lost()
            return
        if answered:
            self.collector.sender.acknowledged(shipment, upto=receipt.acknowledged, unknown=receipt.unknown)


@pytest.fixture
def story(collector, platform):
    return Story(collector, platform)


HAPPENINGS = ("read", "read", "read", "feed", "send", "send", "lose_the_answer", "register", "restart_the_collector", "restart_the_platform")  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(happenings=st.lists(st.sampled_from(HAPPENINGS), max_size=25))
def test_whatever_happens_in_whatever_order_both_ends_have_the_same_in_the_end(story, happenings):
    """One story goes on from example to example."""
    for happening in happenings:
        getattr(story, happening)()
    collector, platform = story.collector, story.platform
    deliver(collector, platform)
    known = platform.receiver.known(sorted(collector.unknown.meters))
    if known:
        collector.feed.feed_again(collector.outbox, known)
        collector.unknown.remove(known)
        deliver(collector, platform)
    assert platform.values() == [row for row in collector.values() if row[0] in platform.meters]
    frames = platform.store.recorded.exchanges([number << 12 for number in range(story.minute + 1)])
    assert len(set(frames["exchange_id"].to_pylist())) == frames.num_rows == len(platform.values())
