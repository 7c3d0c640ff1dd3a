# ruff: noqa: DTZ001 -- a meter knows civil time without a zone
"""Worlds over real sockets and pseudo-terminals, and as a process of their own."""

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from wattkeeper.links import Bus, LinkUnavailable, LinkUrl, NoReply, Timing
from wattkeeper.protocols.dlt645 import (
    Access,
    BroadcastTime,
    ControlWord,
    LoadRecordExchange,
    ReadAddressExchange,
    ReadExchange,
    RelayExchange,
)
from wattkeeper.protocols.dlt645.detection import edition_probes
from wattkeeper.protocols.dlt645.master_1997 import ReadExchange1997
from wattkeeper.protocols.dlt645.status import CONTROL_WORD
from wattkeeper.simulator import DEMO_WORLD, ColumnLoad, FixedClock, Neighbourhood, WorldPlan

ADDRESS = "000000000161"
HASTE = Timing(reply_timeout=0.12, byte_gap=0.06, attempts=12)


async def energy(bus, address=ADDRESS):
    return str((await bus.run(ReadExchange(address, "00010000"))).values[0].value)


@pytest.mark.parametrize(
    "link",
    [
        pytest.param({}, id="tcp"),
        pytest.param({"transport": "pty"}, id="pty"),
        pytest.param({"echo": True}, id="tcp with echo"),
        pytest.param({"transport": "pty", "echo": True}, id="pty with echo"),
        pytest.param({"transport": "pty", "baud": 9600}, id="pty at 9600 baud"),
    ],
)
async def test_the_same_meter_is_read_over_every_kind_of_link(world, link):
    _, bus = await world(**link)
    assert await energy(bus) == "6000.00"
    assert (await bus.run(ReadAddressExchange())).address == ADDRESS


@pytest.mark.parametrize(
    "faults",
    [{"noisy": 0.4}, {"half": 0.4}, {"stranger": 0.4}, {"duplicate": 1.0}, {"slow": 0.05}],
    ids=lambda faults: next(iter(faults)),
)
async def test_a_faulty_meter_is_read_all_the_same_and_never_wrongly(world, faults):
    _, bus = await world({"faults": faults}, timing=HASTE)
    assert {await energy(bus) for _ in range(6)} == {"6000.00"}


async def test_on_a_line_of_both_editions_each_meter_tells_which_it_speaks(world):
    _, bus = await world({"edition": 1997}, {"address": "000000000162"}, timing=HASTE)
    spoken = {}
    for address in (ADDRESS, "000000000162"):
        for probe in edition_probes(address):
            with suppress(NoReply):
                await bus.run(probe, attempts=1)
                spoken[address] = probe.edition
                break
    assert spoken == {ADDRESS: 1997, "000000000162": 2007}
    old = await bus.run(ReadExchange1997(ADDRESS, "9010"))
    assert [str(old.values[0].value), await energy(bus, "000000000162")] == ["6000.00", "6000.00"]


async def test_a_meter_is_tripped_and_closed_by_its_key_over_a_real_line(world):
    neighbourhood, bus = await world()
    meter = neighbourhood.meters[ADDRESS]
    access, soon = Access(2, "123456", "00000001"), datetime(2026, 3, 4, 12, 5)

    async def control():
        return ControlWord.of((await bus.run(ReadExchange(ADDRESS, CONTROL_WORD))).values[0].value)

    assert (await bus.run(RelayExchange(ADDRESS, "trip", access=access, valid_until=soon))).acknowledged
    assert (await control()).relay_open
    await bus.run(RelayExchange(ADDRESS, "close_allowed", access=access, valid_until=soon))
    assert (await control()).close_allowed
    meter.press_key()
    assert not (await control()).relay_open


async def test_a_dead_meter_does_not_disturb_the_others(world):
    _, bus = await world({"faults": {"dead": True}}, {"address": "000000000162"}, timing=HASTE)
    with pytest.raises(NoReply, match="meter 000000000161 reading 00010000: asked 2 times"):
        await bus.run(ReadExchange(ADDRESS, "00010000"), attempts=2)
    assert await energy(bus, "000000000162") == "6000.00"


async def test_a_broadcast_sets_the_clocks_of_all_meters(world):
    neighbourhood, bus = await world({"clock_offset": -60}, {"address": "000000000162", "clock_offset": 90})
    await bus.run(BroadcastTime(datetime(2026, 3, 4, 12, 0)))
    await energy(bus)  # the broadcast has arrived before this answer
    assert [f"{meter.local_time():%H:%M:%S}" for meter in neighbourhood.meters.values()] == ["12:00:00"] * 2


async def test_a_meter_is_exchanged_in_the_middle_of_its_life(world, clock):
    exchange = {"at": datetime(2026, 3, 4, 13, 0), "address": "000000000999", "first_register": 3}
    _, bus = await world({"exchange": exchange}, timing=HASTE)
    assert await energy(bus) == "6000.00"
    clock.at += timedelta(hours=1, minutes=30)
    assert await energy(bus, "000000000999") == "5.00"
    with pytest.raises(NoReply):
        await bus.run(ReadExchange(ADDRESS, "00010000"), attempts=1)


async def test_a_register_rolls_over_on_the_wire(world, clock):
    _, bus = await world({"first_register": 993_999}, timing=HASTE)
    assert await energy(bus) == "999999.00"
    clock.at += timedelta(hours=1)
    assert await energy(bus) == "3.00"


async def test_two_months_of_records_come_back_whole(world):
    _, bus = await world()
    start, records = datetime(2026, 1, 3), []
    while True:
        exchange = await bus.run(LoadRecordExchange(ADDRESS, "06040001", start, 99))
        records += exchange.records
        if len(exchange.records) < 99:
            break
        start = exchange.records[-1].recorded_at + timedelta(minutes=15)
    stamps = [record.recorded_at for record in records]
    assert stamps == [datetime(2026, 1, 3) + timedelta(minutes=15) * number for number in range(60 * 96 + 49)]
    assert [str(record.values[0].value) for record in records[:2]] == ["192.00", "193.00"]
    assert str(records[-1].values[0].value) == "6000.00"


async def test_a_real_household_is_followed_to_the_registers_resolution(shared):
    kwh = _a_month_without_gaps(pq.read_table(shared / "data" / "sgsc_50hh_30min_raw.parquet"))
    clock = FixedClock(datetime(2026, 1, 31, tzinfo=UTC) + timedelta(hours=16))
    plan = WorldPlan.from_mapping(
        {"links": [{"code": "bus", "meters": [{"address": ADDRESS, "point": "home"}]}]}
    )
    load = ColumnLoad(kwh, first_slot=20_454 * 96, slots_per_step=2)
    async with Neighbourhood(plan, clock=clock, loads={ADDRESS: load}) as world:
        bus = Bus("bus", LinkUrl.parse(world.url("bus")))
        daily = []
        for days_back in range(1, 32):
            exchange = await bus.run(ReadExchange(ADDRESS, f"050601{days_back:02X}"))
            daily.append(float(exchange.values[0].value))
        await bus.close()
    milliwatt_hours = np.rint(np.cumsum(kwh)[47::48] * 1e6).astype(np.int64)
    assert daily[::-1] == [int(total) // 10_000 / 100 for total in milliwatt_hours]


def _a_month_without_gaps(table):
    """Half-hourly kWh of the first customer with 31 whole days in a row."""
    steps = 31 * 48
    for customer in np.unique(table["customer_id"]):
        own = table.filter(pc.equal(table["customer_id"], customer)).sort_by("ts_local")
        stamps = own["ts_local"].to_numpy().astype("datetime64[m]").astype(np.int64)
        kwh = own["kwh"].to_numpy()
        for first in np.flatnonzero(stamps % 1440 == 0):
            if len(stamps) >= first + steps and stamps[first + steps - 1] - stamps[first] == (steps - 1) * 30:
                month = kwh[first : first + steps]
                if np.isfinite(month).all() and len(np.unique(stamps[first : first + steps])) == steps:
                    return month.astype(np.float64)
    raise AssertionError("no household with a whole month")


async def test_every_healthy_meter_of_the_demo_answers():
    plan = WorldPlan.from_file(DEMO_WORLD, today=datetime.now(UTC).date())
    async with Neighbourhood(plan) as world:
        answered = []
        for link in world.describe()["links"]:
            bus = Bus(link["code"], LinkUrl.parse(link["url"]), timing=HASTE)
            for meter in link["meters"]:
                if meter["silent_since"] is None:
                    there = meter["address"] if meter["exchange"] is None else meter["exchange"]["address"]
                    exchange = await bus.run(ReadExchange(there, "0001FF00"))
                    total, *tariffs = [value.value for value in exchange.values]
                    assert sum(tariffs) % meter["register_modulus"] == total
                    answered.append(there)
            await bus.close()
    assert len(answered) == 31


async def test_a_paced_line_takes_the_time_of_a_real_one(world):
    _, bus = await world(baud=9600)
    await energy(bus)
    began = time.monotonic()
    for _ in range(5):
        await energy(bus)
    # 20 bytes out, 20 ms of the meter's thinking, 24 bytes back, at 11 bits each.
    assert time.monotonic() - began >= 5 * (0.020 + 44 * 11 / 9600)


def _started(*arguments, **options):
    process = subprocess.Popen(
        [sys.executable, "-m", "wattkeeper.simulator", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    return process, json.loads(process.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_as_a_process_it_says_when_it_is_ready_and_leaves_nothing_behind(tmp_path, number):
    file = tmp_path / "world.toml"
    file.write_text('[[links]]\ncode = "bus"\nmeters = [{ address = "000000000161", point = "home" }]\n')
    process, described = _started(file)
    try:
        [link] = described["links"]
        assert [meter["address"] for meter in link["meters"]] == [ADDRESS]
        bus = Bus("bus", LinkUrl.parse(link["url"]))
        assert float(await energy(bus)) > 0
        process.send_signal(number)
        assert process.wait(10) == 0
        await bus.close()
        again = Bus("bus", LinkUrl.parse(link["url"]))
        with pytest.raises(LinkUnavailable):
            await again.open()
        await again.close()
    finally:
        process.kill()
        _, errors = process.communicate()
    assert errors == ""


def test_it_ends_with_its_standard_input_when_asked_to(tmp_path):
    process, _ = _started(DEMO_WORLD, "--while-stdin", stdin=subprocess.PIPE)
    process.stdin.close()
    process.stdin = None
    assert process.wait(10) == 0
    process.communicate()


def test_its_past_is_written_to_a_file_and_agrees_with_what_the_meters_answer(tmp_path):
    now = datetime.now(UTC)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "wattkeeper.simulator", DEMO_WORLD, "--today", "2026-03-04"),
            *("--history", tmp_path / "past.parquet", "--until", now.isoformat()),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    past = pq.read_table(tmp_path / "past.parquet", filters=[("address", "=", "202501000001")])
    world = Neighbourhood(WorldPlan.from_file(DEMO_WORLD, today=date(2026, 3, 4)))
    meter = world.meters["202501000001"]
    for row in past.slice(past.num_rows - 3).to_pylist():
        assert meter.register(row["read_at"]) == row["active_energy_import"] * 100


def test_a_world_that_cannot_be_built_ends_with_a_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "wattkeeper.simulator", tmp_path / "none.toml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"There is no file {tmp_path}/none.toml.\n"
