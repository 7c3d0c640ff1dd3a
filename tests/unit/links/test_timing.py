import pytest
import serialx

from wattkeeper.links import LinkUrl, Timing
from wattkeeper.links.serial import port_configuration


def test_a_serial_reply_may_take_twice_the_standards_500_ms():
    timing = Timing.of(LinkUrl.parse("serial:///dev/ttyUSB0?baud=9600"))
    assert timing.reply_timeout == 1.0
    assert timing.byte_gap == 0.5
    assert timing.byte_time == timing.turnaround == pytest.approx(0.0011458, abs=1e-7)


def test_a_gateway_that_keeps_a_frame_until_it_is_whole_gets_the_time_of_a_frame_more():
    # 216 bytes of 11 bits at 2400 bit/s are 0.99 s.
    assert Timing.of(LinkUrl.parse("tcp://h:1")).reply_timeout == pytest.approx(1.99)
    assert Timing.of(LinkUrl.parse("tcp://h:1?baud=9600")).reply_timeout == pytest.approx(1.2475)
    assert Timing.of(LinkUrl.parse("tcp://h:1?timeout=4")).reply_timeout == 4.0


def test_the_port_is_asked_for_8e1_and_for_us_alone():
    assert port_configuration(LinkUrl.parse("serial:///dev/ttyUSB0")) == {
        "baudrate": 2400,
        "byte_size": 8,
        "parity": serialx.Parity.EVEN,
        "stopbits": serialx.StopBits.ONE,
        "exclusive": True,
    }
