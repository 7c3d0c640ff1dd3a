# ruff: noqa: DTZ001 -- a meter knows civil time without a zone
"""A meter obeys the master's exchanges, and shows that it did: 4 kW since 2026-01-01, told on 2026-03-04 at 12:00."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.protocols.dlt645 import (
    Access,
    BroadcastFreeze,
    ChangeBaudExchange,
    ChangePasswordExchange,
    ClearDemandExchange,
    ClearEventsExchange,
    ClearMeterExchange,
    ControlWord,
    FreezeExchange,
    MeterRefused,
    MeterSide,
    ReadExchange,
    RelayExchange,
    WriteAddressExchange,
    WriteExchange,
    encode_value,
)
from wattkeeper.protocols.dlt645.security import AuthenticationFailed, SecurityStatusExchange
from wattkeeper.simulator import FixedClock, MeterSpec, ShapedLoad, VirtualBus, VirtualMeter

ADDRESS = "000000000161"
CLEARS = Access(2, "123456", "12345678")
WRITES = Access(4, "123456", "12345678")
SOON = datetime(2026, 3, 4, 12, 5)


def tell(device, exchange):
    """Run an exchange with the meter, as a link does."""
    side = MeterSide(device)
    while exchange.request:
        replies = side.feed(exchange.request)
        if not replies:
            break
        exchange.feed(replies[0])
    return exchange


def ask(device, di):
    return tell(device, ReadExchange(device.address, di)).values


def state(device):
    return ControlWord.of(ask(device, "04000503")[0].value)


def switch(device, action, *, until=SOON, access=CLEARS):
    return tell(device, RelayExchange(ADDRESS, action, access=access, valid_until=until))


def energy(device):
    return ask(device, "00010000")[0].value


# --- 1CH -----------------------------------------------------------------------------------------------------------


def test_a_trip_opens_the_relay_and_nothing_is_counted_until_it_is_closed(meter, clock):
    device = meter()
    assert switch(device, "trip").acknowledged
    assert state(device) == ControlWord(relay_open=True, ordered_open=True, alarm=False, keep_power=False)
    clock.at += timedelta(hours=2)
    assert energy(device) == Decimal("6000.00")
    assert [value.value for value in ask(device, "0203FF00")][:2] == [Decimal(0), Decimal(0)]
    assert switch(device, "close", until=datetime(2026, 3, 4, 14, 5)).acknowledged
    assert state(device) == ControlWord(relay_open=False, ordered_open=False, alarm=False, keep_power=False)
    clock.at += timedelta(hours=1)
    assert energy(device) == Decimal("6004.00")
    # Tariffs still add up, digit for digit, and so do the records of the time before.
    total, *tariffs = (value.value for value in ask(device, "0001FF00"))
    assert sum(tariffs) == total == Decimal("6004.00")


def test_leave_to_close_waits_for_somebody_to_press_the_key(meter, clock):
    device = meter()
    switch(device, "trip")
    device.press_key()  # not yet allowed
    assert device.is_tripped
    switch(device, "close_allowed")
    assert state(device).close_allowed
    assert device.is_tripped
    device.press_key()
    assert not device.is_tripped
    assert not state(device).close_allowed


def test_a_tripped_quarter_hour_has_no_mean_power(meter, clock):
    device = meter()
    switch(device, "trip")
    clock.at += timedelta(minutes=30)
    assert ask(device, "02800004")[0].value == 0


def test_the_alarm_is_set_and_ended(meter):
    device = meter()
    switch(device, "alarm")
    assert state(device).alarm
    switch(device, "alarm_off")
    assert not state(device).alarm


def test_a_meter_that_keeps_power_refuses_to_trip(meter):
    device = meter()
    switch(device, "keep_power")
    assert state(device).keep_power
    with pytest.raises(MeterRefused) as refused:
        switch(device, "trip")
    assert str(refused.value) == "Meter 000000000161 refused the trip: other error (ERR 01H)."
    assert refused.value.zh == "其他错误"
    assert not device.is_tripped
    switch(device, "keep_power_off")
    switch(device, "trip")
    assert device.is_tripped


def test_a_command_that_has_expired_by_the_meters_own_clock_is_dropped(meter):
    ahead = meter(clock_offset=301)
    with pytest.raises(MeterRefused, match="other error"):
        switch(ahead, "trip", until=SOON)
    assert not ahead.is_tripped
    behind = meter(clock_offset=-301)
    switch(behind, "trip", until=datetime(2026, 3, 4, 11, 55))
    assert behind.is_tripped


def test_a_ciphered_command_is_refused_by_a_meter_without_a_security_module(meter):
    with pytest.raises(MeterRefused, match="the ciphered relay command: wrong password or not authorised"):
        tell(meter(), RelayExchange.ciphered(ADDRESS, bytes(20)))


def test_trips_and_closings_are_written_down_with_their_operator(meter):
    device = meter()
    switch(device, "trip")
    switch(device, "close_allowed")
    device.press_key()
    assert ask(device, "1D000001")[0].value == 1
    assert (
        device.read("1D000101", b"")
        .hex(" ")
        .startswith("00 00 12 04 03 26 78 56 34 12 00 00 60 00 00 00 00 00")
    )
    assert ask(device, "1E000001")[0].value == 1


@settings(max_examples=30, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(["trip", "close", "none"]), st.integers(0, 20_000)), max_size=12)
)
def test_whatever_is_tripped_and_closed_registers_never_fall_and_tariffs_add_up(steps):
    clock = FixedClock(datetime(2026, 3, 4, 4, 7, 13, tzinfo=UTC))
    device = VirtualMeter(MeterSpec(address=ADDRESS), ShapedLoad("household", seed=3), clock)
    shown = Decimal(0)
    for action, seconds in steps:
        if action != "none":
            switch(device, action, until=datetime(2026, 12, 31))
        before, was_tripped = energy(device), device.is_tripped
        clock.at += timedelta(seconds=seconds)
        total, *tariffs = (value.value for value in ask(device, "0001FF00"))
        assert shown <= before <= total == sum(tariffs)
        assert not was_tripped or total == before
        shown = total


# --- passwords ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "access",
    [Access(2, "654321"), Access(3, "123456"), Access(4, "123456")],
    ids=["wrong", "no_such_level", "level_too_low"],
)
def test_the_wrong_password_is_refused_in_both_languages(meter, access):
    with pytest.raises(MeterRefused) as refused:
        switch(meter(), "trip", access=access)
    assert refused.value.zh == "密码错/未授权"
    assert str(refused.value).endswith("refused the trip: wrong password or not authorised (ERR 04H).")


def test_five_wrong_passwords_in_a_row_lock_the_meter_for_a_day(meter, clock):
    device = meter()
    for _ in range(5):
        with pytest.raises(MeterRefused):
            switch(device, "alarm", access=Access(2, "000000"))
    with pytest.raises(MeterRefused):
        switch(device, "alarm")
    clock.at += timedelta(hours=23, minutes=59)
    with pytest.raises(MeterRefused):
        switch(device, "alarm", until=datetime(2026, 3, 6))
    clock.at += timedelta(minutes=1)
    switch(device, "alarm", until=datetime(2026, 3, 6))
    assert state(device).alarm


def test_a_changed_password_opens_and_the_old_one_does_not(meter):
    device = meter()
    new = Access(4, "777777")
    assert tell(device, ChangePasswordExchange(ADDRESS, "04000C05", old=WRITES, new=new)).acknowledged
    payload = encode_value("04000306", Decimal(40))
    assert tell(device, WriteExchange(ADDRESS, "04000306", payload, access=new)).acknowledged
    with pytest.raises(MeterRefused):
        tell(device, WriteExchange(ADDRESS, "04000306", payload, access=WRITES))


def test_a_guarded_meter_obeys_only_with_its_programming_key_pressed(meter, clock):
    device = meter(guarded=True)
    with pytest.raises(MeterRefused, match="not authorised"):
        switch(device, "trip")
    device.orders.press_programming_key()
    assert ask(device, "04000503")[0].value == 0x0008
    switch(device, "trip")
    assert device.is_tripped
    clock.at += timedelta(hours=4)
    assert ask(device, "04000503")[0].value == 0x0050


# --- write, address, speed ----------------------------------------------------------------------------------------


def test_what_was_written_is_read_back_and_written_down(meter):
    device = meter()
    tell(device, WriteExchange(ADDRESS, "04000306", encode_value("04000306", Decimal(40)), access=WRITES))
    assert ask(device, "04000306")[0].value == Decimal(40)
    time, operator, first, *rest = (value.value for value in ask(device, "03300001"))
    assert (time, operator, first) == (datetime(2026, 3, 4, 12), "12345678", "04000306")
    assert set(rest) == {"FFFFFFFF"}
    assert ask(device, "03300000")[0].value == 1


@pytest.mark.parametrize(
    ("di", "payload", "said"),
    [
        ("00010000", b"\x00" * 4, "no such data"),
        ("04000306", b"\x00" * 2, "other error"),
        ("04000101", bytes.fromhex("00320126"), "other error"),
    ],
    ids=["read_only", "wrong_length", "no_such_day"],
)
def test_what_cannot_be_written_is_refused(meter, di, payload, said):
    with pytest.raises(MeterRefused, match=f"refused writing {di}: .*{said}"):
        tell(meter(), WriteExchange(ADDRESS, di, payload, access=WRITES))


def test_a_written_clock_runs_on_from_there_and_says_so(meter, clock):
    device = meter(clock_offset=-3600)
    time = encode_value("04000102", "120000")
    assert tell(device, WriteExchange(ADDRESS, "04000102", time, access=WRITES)).acknowledged
    assert device.local_time() == datetime(2026, 3, 4, 12)
    assert [value.value for value in ask(device, "03300401")] == [
        "12345678",
        datetime(2026, 3, 4, 11),
        datetime(2026, 3, 4, 12),
    ]


def test_an_address_is_taken_only_with_the_key_pressed_and_answered_from_the_new_one(meter):
    device = meter()
    assert not tell(device, WriteAddressExchange("000000000777")).acknowledged  # silence, §7.2.4
    device.orders.press_programming_key()
    assert tell(device, WriteAddressExchange("000000000777")).acknowledged
    assert ask(device, "04000401")[0].value == "000000000777"


def test_a_bus_finds_a_meter_under_its_new_address(meter):
    device = meter()
    bus = VirtualBus([device])
    device.orders.press_programming_key()
    assert len(bus.answers(WriteAddressExchange("000000000777")._asked)) == 1
    assert len(bus.answers(ReadExchange("000000000777", "00010000")._asked)) == 1
    assert bus.answers(ReadExchange(ADDRESS, "00010000")._asked) == []


def test_a_meter_told_another_speed_confirms_it_and_is_deaf_at_the_old_one(meter):
    device = meter()
    bus = VirtualBus([device])
    read = ReadExchange(ADDRESS, "00010000")._asked
    exchange = ChangeBaudExchange(ADDRESS, 9600)
    [reply] = bus.answers(exchange._asked, baud=2400)
    assert exchange.feed(reply.octets)
    assert exchange.acknowledged
    assert bus.answers(read, baud=2400) == []
    assert len(bus.answers(read, baud=9600)) == 1


# --- freezes ------------------------------------------------------------------------------------------------------


def test_an_instant_freeze_keeps_the_register_of_that_instant(meter, clock):
    device = meter()
    assert tell(device, FreezeExchange(ADDRESS)).acknowledged
    clock.at += timedelta(hours=1)
    tell(device, BroadcastFreeze())
    clock.at += timedelta(hours=1)
    assert ask(device, "05010001")[0].value == datetime(2026, 3, 4, 13)
    assert ask(device, "05010101")[0].value == Decimal("6004.00")
    assert ask(device, "05010002")[0].value == datetime(2026, 3, 4, 12)
    assert ask(device, "05010102")[0].value == Decimal("6000.00")
    whole = {
        value.identifier: value.value for value in ask(device, "0501FF02") if value.part in ("", "total")
    }
    assert whole["05010102"] == Decimal("6000.00")
    with pytest.raises(MeterRefused, match="no such data"):
        ask(device, "05010003")


@pytest.mark.parametrize(
    ("pattern", "later", "frozen"),
    [
        ("99999930", timedelta(hours=2), [datetime(2026, 3, 4, 13, 30), datetime(2026, 3, 4, 12, 30)]),
        ("99990630", timedelta(days=2), [datetime(2026, 3, 6, 6, 30), datetime(2026, 3, 5, 6, 30)]),
        ("99010000", timedelta(days=60), [datetime(2026, 5, 1), datetime(2026, 4, 1)]),
    ],
    ids=["hourly", "daily", "monthly"],
)
def test_a_timed_freeze_repeats_from_when_it_was_ordered(meter, clock, pattern, later, frozen):
    device = meter()
    tell(device, FreezeExchange(ADDRESS, pattern))
    clock.at += later
    assert [ask(device, f"050000{back:02X}")[0].value for back in (1, 2)] == frozen
    with pytest.raises(MeterRefused):
        ask(device, "05000003")
    expected = Decimal(4) * Decimal((frozen[0] - datetime(2026, 1, 1)).total_seconds()) / 3600
    assert ask(device, "05000101")[0].value == expected


def test_hours_are_frozen_without_being_told(meter):
    device = meter()
    assert ask(device, "05040001")[0].value == datetime(2026, 3, 4, 12)
    assert ask(device, "05040102")[0].value == Decimal("5996.00")


def test_a_freeze_at_no_time_is_refused(meter):
    with pytest.raises(MeterRefused, match="refused freezing at 13990000: other error"):
        tell(meter(), FreezeExchange(ADDRESS, "13990000"))


# --- clears -------------------------------------------------------------------------------------------------------


def test_cleared_demands_begin_anew_and_the_old_ones_are_written_down(meter, clock):
    device = meter()
    assert tell(device, ClearDemandExchange(ADDRESS, access=WRITES)).acknowledged
    assert ask(device, "01010000")[0].value == 0
    clock.at += timedelta(minutes=15)
    [demand] = ask(device, "01010000")
    assert (demand.value, demand.occurred_at) == (Decimal("4.0000"), datetime(2026, 3, 4, 12, 15))
    record = {value.part: value.value for value in ask(device, "03300201")}
    assert Decimal("4.0000") in record.values()


def test_a_cleared_meter_begins_at_zero_and_remembers_that_it_was_cleared(meter, clock):
    device = meter()
    assert tell(device, ClearMeterExchange(ADDRESS, access=CLEARS)).acknowledged
    assert energy(device) == 0
    clock.at += timedelta(hours=1)
    assert energy(device) == Decimal("4.00")
    record = {value.part: value.value for value in ask(device, "03300101")}
    assert record["fwd_active_total"] == Decimal("6000.00")
    assert record["operator"] == "12345678"
    with pytest.raises(MeterRefused):
        ask(device, "05060101")  # the freezes of before are gone
    assert device.read("06040000", b"\x01")[0][3:8].hex(" ") == "00 12 04 03 26"


def test_cleared_events_are_gone_and_that_is_written_down(meter):
    device = meter()
    switch(device, "trip")
    tell(device, WriteExchange(ADDRESS, "04000306", bytes(3), access=WRITES))
    assert tell(device, ClearEventsExchange(ADDRESS, "033000FF", access=CLEARS)).acknowledged
    assert ask(device, "03300000")[0].value == 0
    assert ask(device, "1D000001")[0].value == 1
    tell(device, ClearEventsExchange(ADDRESS, access=CLEARS))
    assert ask(device, "1D000001")[0].value == 0
    assert [value.value for value in ask(device, "03300301")][1:] == ["12345678", "FFFFFFFF"]


# --- security chips -----------------------------------------------------------------------------------------------


def test_a_meter_with_a_security_chip_refuses_plain_commands_and_says_that_it_has_one(meter):
    device = meter(esam=True)
    with pytest.raises(MeterRefused, match="not authorised"):
        switch(device, "trip")
    assert not device.is_tripped
    assert tell(device, SecurityStatusExchange(ADDRESS)).state == bytes(26)
    with pytest.raises(AuthenticationFailed):
        tell(meter(), SecurityStatusExchange(ADDRESS))
