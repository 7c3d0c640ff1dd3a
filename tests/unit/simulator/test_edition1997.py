# ruff: noqa: DTZ001 -- a meter knows civil time without a zone
"""A simulated meter of 1997: the same counters as one of 2007, in the words and digits of 1997."""

from datetime import datetime

import pytest

from wattkeeper.protocols.dlt645 import Access, Frame, MeterRefused, edition1997
from wattkeeper.protocols.dlt645.master import ReadExchange
from wattkeeper.protocols.dlt645.master_1997 import ReadExchange1997, WriteExchange1997
from wattkeeper.simulator import VirtualBus, WorldError, WorldPlan

ADDRESS = "000000000161"


def run(bus, exchange):
    while exchange.request:
        heard = bus.answers(Frame.decode(exchange.request))
        if not heard:
            break
        exchange.feed(heard[0].octets)
    return exchange


def told(meter, di):
    exchange = run(VirtualBus([meter]), ReadExchange1997(ADDRESS, di))
    return [
        value.value if not hasattr(value.value, "quantize") else str(value.value) for value in exchange.values
    ]


def test_it_tells_what_a_meter_of_2007_tells(meter):
    old = meter(edition=1997, phases=3)
    # 62 days and 12 hours of 96 kWh; January and February as the settlements.
    assert told(old, "9010") == ["6000.00"]
    assert told(old, "901F") == ["6000.00", "496.00", "1500.00", "1992.00", "2012.00"]
    assert told(old, "9410") == ["5664.00"]
    assert told(old, "9810") == ["2976.00"]
    assert told(old, "A010") == ["4.0000"]
    assert told(old, "B010") == ["03010015"]
    assert told(old, "C010") == ["26030403"]
    assert told(old, "C011") == ["120000"]
    assert told(old, "C032") == [ADDRESS]
    assert 210 < int(told(old, "B611")[0]) < 240  # volts without decimals
    assert len(told(old, "B61F")) == 3


@pytest.mark.parametrize("di", ["9015", "9210", "9C10", "90F0", "B63F", "B660", "C212", "E010"])
def test_what_it_does_not_know_is_refused_in_the_words_of_1997(meter, di):
    with pytest.raises(MeterRefused) as refused:
        told(meter(edition=1997), di)
    assert refused.value.zh == "数据标识错"


def test_it_is_silent_to_2007_and_a_meter_of_2007_to_it(meter):
    old, new = VirtualBus([meter(edition=1997)]), VirtualBus([meter()])
    assert old.answers(ReadExchange(ADDRESS, "00010000")._asked) == []
    assert new.answers(ReadExchange1997(ADDRESS, "9010")._asked) == []


def test_any_meter_is_found_by_99(meter):
    exchange = run(VirtualBus([meter(edition=1997)]), ReadExchange1997("999999999999", "9010"))
    assert exchange.address == ADDRESS


def test_its_clock_is_written_with_the_right_password_only(meter):
    slow = meter(edition=1997, clock_offset=-3600)
    bus = VirtualBus([slow])
    noon = edition1997.encode_body("C011", ["120000"])
    with pytest.raises(MeterRefused, match="wrong password"):
        run(bus, WriteExchange1997(ADDRESS, "C011", noon, access=Access(4, "000000")))
    assert run(bus, WriteExchange1997(ADDRESS, "C011", noon, access=Access(4, "123456"))).acknowledged
    assert slow.local_time() == datetime(2026, 3, 4, 12)


def test_a_world_may_have_meters_of_both_editions():
    def world(edition):
        meters = [{"address": ADDRESS, "point": "p", "edition": edition}]
        return WorldPlan.from_mapping({"links": [{"code": "a", "meters": meters}]})

    assert world(1997).links[0].meters[0].edition == 1997
    with pytest.raises(WorldError, match="neither 2007 nor 1997"):
        world(1998)
