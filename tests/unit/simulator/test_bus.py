# ruff: noqa: DTZ001 -- a meter knows civil time without a zone
from datetime import UTC, datetime

import pytest

from wattkeeper.protocols.dlt645.frames import Frame, FrameReader
from wattkeeper.protocols.dlt645.master import ReadAddressExchange, ReadExchange
from wattkeeper.simulator import Faults, VirtualBus

ONE, TWO = "000000000161", "000000000162"


@pytest.fixture
def ask(meter):
    """Ask a bus of two meters for a register; gives the emissions."""

    def put(faults=None, *, address=ONE, di="00010000", times=1, **bus_options):
        meters = [meter(address=ONE), meter(address=TWO)]
        if faults is not None:
            meters[0].faults = faults
        bus = VirtualBus(meters, **bus_options)
        request = Frame.decode(ReadExchange(address, di).request)
        return [emission for _ in range(times) for emission in bus.answers(request)]

    return put


def test_a_meter_answers_for_itself_only(ask):
    for address in (ONE, TWO):
        [emission] = ask(address=address)
        assert Frame.decode(emission.octets).address == address
    assert ask(address="000000000163") == []


def test_nobody_answers_a_broadcast(meter):
    bus = VirtualBus([meter(clock_offset=-60)])
    assert bus.answers(Frame("999999999999", 0x08, bytes.fromhex("00 00 12 04 03 26"))) == []
    assert bus.meters[0].local_time() == datetime(2026, 3, 4, 12, 0)


def test_two_voices_at_once_are_noise(meter):
    bus = VirtualBus([meter(address=ONE), meter(address=TWO)])
    [collision] = bus.answers(Frame.decode(ReadAddressExchange().request))
    exchange = ReadAddressExchange()
    assert not exchange.feed(collision.octets)
    [alone] = bus.answers(Frame.decode(ReadAddressExchange("AAAAAAAAAA62").request))
    exchange = ReadAddressExchange("AAAAAAAAAA62")
    assert exchange.feed(alone.octets)
    assert exchange.address == TWO


def test_what_a_meter_does_not_know_it_refuses(ask):
    [refusal] = ask(di="00990000")
    assert Frame.decode(refusal.octets) == Frame(ONE, 0xD1, b"\x02")


def test_a_dead_meter_says_nothing(ask):
    assert ask(Faults(dead=True)) == []
    assert len(ask(Faults(dead=True), address=TWO)) == 1


def test_a_slow_meter_answers_later(ask):
    [emission] = ask(Faults(slow=0.7))
    assert emission.after == 0.7


def test_half_a_frame_is_half_a_frame(ask):
    [whole], [half] = ask(), ask(Faults(half=1.0))
    assert half.octets == whole.octets[: len(whole.octets) // 2]


def test_a_stranger_answers_with_a_sound_frame_of_its_own(ask):
    [emission] = ask(Faults(stranger=1.0))
    assert Frame.decode(emission.octets).address == "000000000160"


def test_a_duplicate_comes_twice(ask):
    first, second = ask(Faults(duplicate=1.0))
    assert first == second


def test_noise_damages_its_share_of_answers_the_same_ones_in_every_run(ask):
    [sound] = ask()
    noisy = ask(Faults(noisy=0.3), times=200)
    damaged = sum(emission.octets != sound.octets for emission in noisy)
    assert 40 <= damaged <= 80
    assert noisy == ask(Faults(noisy=0.3), times=200)
    readable = [FrameReader().feed(emission.octets) == FrameReader().feed(sound.octets) for emission in noisy]
    assert sum(readable) >= 120


def test_a_meter_exchange_is_seen_on_the_bus(meter, clock):
    old, new = meter(address=ONE), meter(address=TWO, installed=datetime(2026, 3, 4, 13, 0), first_register=5)
    old.present_until = new.present_from = datetime(2026, 3, 4, 5, 0, tzinfo=UTC)
    bus = VirtualBus([old, new])
    asks = [Frame.decode(ReadExchange(address, "00010000").request) for address in (ONE, TWO)]
    assert [len(bus.answers(request)) for request in asks] == [1, 0]
    clock.at = datetime(2026, 3, 4, 5, 15, tzinfo=UTC)
    assert bus.answers(asks[0]) == []
    exchange = ReadExchange(TWO, "00010000")
    exchange.feed(bus.answers(asks[1])[0].octets)
    assert str(exchange.values[0].value) == "6.00"
