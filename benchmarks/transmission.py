"""What readings cost on the way from a remote collector: bytes of a batch beside JSON lines, gzip and Arrow IPC.

Real load, turned into registers of 0.01 kWh: 73 apartments by the quarter hour, and 50 homes by the half hour, from the
folder of data (``WATTKEEPER_SHARED``, or ``shared`` beside the checkout). A thousand meters are made of 73 apartments by
letting each live through another part of their seven weeks. Without the folder the load is drawn by chance, and it says so.
"""

import argparse
import gzip
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wattkeeper.readings.intervals import decimals
from wattkeeper.readings.schemas import EXCHANGE_SCHEMA, INSTANT, READING_SCHEMA
from wattkeeper.readings.transmission.base import EMPTY
from wattkeeper.readings.transmission.batch import decode, encode
from wattkeeper.readings.transmission.frames import encode_exchanges
from wattkeeper.readings.transmission.identities import MeterIdentity

SHARED = Path(os.environ.get("WATTKEEPER_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"
METERS = 1000
DAY = 96
STEP_US = 900_000_000
START_US = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
QUANTITY = "active_energy_import"


@dataclass(frozen=True)
class Fleet:
    """Registers of meters, a row each, a column for each tick; in 0.01 kWh."""

    what: str
    registers: np.ndarray
    step_us: int
    meters: list[MeterIdentity]

    def table(self, first: int, ticks: int, *, polled: bool = False) -> pa.Table:
        """Some ticks of all meters; polled ones come with their own instants and exchanges."""
        count = len(self.meters)
        at = START_US + np.arange(first, first + ticks, dtype=np.int64) * self.step_us
        read_at, exchange = np.repeat(at, count), None
        if polled:
            random = np.random.default_rng(first)
            read_at = np.concatenate(
                [instant + np.sort(random.integers(0, 600_000_000, count)) for instant in at]
            )
            exchange = (read_at // 1000 - random.integers(40, 400, len(read_at))) << 12 | 77 << 4
        rows = count * ticks
        return pa.table(
            [
                pa.array(np.tile(np.arange(count), ticks)),
                pa.array([QUANTITY]).take(pa.array(np.zeros(rows, np.int64))),
                pa.array(read_at).cast(INSTANT),
                decimals(self.registers[:, first : first + ticks].T.ravel() * 100),
                pa.array(np.zeros(rows, np.int32)),
                pa.array(["polled" if polled else "meter"]).take(pa.array(np.zeros(rows, np.int64))),
                pa.nulls(rows, pa.int64()) if exchange is None else pa.array(exchange),
            ],
            schema=READING_SCHEMA,
        )


def addresses(count: int, *, scattered: bool = False) -> list[MeterIdentity]:
    """Meters as they are delivered, in lots of consecutive numbers of which a part hangs here; or any numbers at all."""
    random = np.random.default_rng(645)
    if scattered:
        numbers = np.sort(random.integers(10**9, 10**12, count))
    else:
        lots = np.sort(random.integers(10**9, 10**12, -(-count // 100)))
        numbers = np.concatenate([lot + np.sort(random.choice(1000, 100, replace=False)) for lot in lots])[
            :count
        ]
    return [MeterIdentity("dlt645-2007", "bus-1", f"{number:012d}") for number in numbers]


def apartments() -> Fleet | None:
    """A thousand meters of two days, from 73 apartments over seven weeks (kW by the quarter hour)."""
    file = SHARED / "mrs_73apt_15min_raw.parquet"
    if not file.is_file():
        return None
    table = pq.read_table(file)
    energy = _pivoted(table["apartment"], table["ts_utc"], table["kw"], step_us=STEP_US) * 0.25
    pieces = [energy[:, begin : begin + 2 * DAY] for begin in range(0, energy.shape[1] - 2 * DAY, 3 * DAY)]
    return _begun("73 apartments, seven weeks, by the quarter hour", np.concatenate(pieces)[:METERS], STEP_US)


def homes() -> Fleet | None:
    """50 homes over 60 days (kWh by the half hour)."""
    file = SHARED / "sgsc_50hh_30min_raw.parquet"
    if not file.is_file():
        return None
    table = pq.read_table(file)
    energy = _pivoted(table["customer_id"], table["ts_local"], table["kwh"], step_us=2 * STEP_US)
    middle = energy.shape[1] // 2
    return _begun("50 homes, by the half hour", energy[:, middle : middle + 48 * 60], 2 * STEP_US)


def drawn() -> Fleet:
    """A thousand meters of two days, drawn by chance: small steps, an evening peak, meters that differ."""
    random = np.random.default_rng(645)
    hour = np.arange(2 * DAY) / 4 % 24
    shape = 0.5 + 1.5 * np.exp(-(((hour - 19.5) / 2.5) ** 2))
    mean = random.gamma(2.0, 5.0, METERS)
    return _begun("drawn by chance, no data here", random.poisson(mean[:, None] * shape) / 100, STEP_US)


def _pivoted(
    who: pa.ChunkedArray, when: pa.ChunkedArray, what: pa.ChunkedArray, *, step_us: int
) -> np.ndarray:
    """A row for each meter, a column for each step; what is missing is 0, of what is twice there the last counts."""
    codes = who.combine_chunks()
    if not pa.types.is_dictionary(codes.type):
        codes = codes.dictionary_encode()
    row = codes.indices.to_numpy()
    slot = when.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy() // step_us
    wide = np.zeros((len(codes.dictionary), int(slot.max() - slot.min()) + 1))
    wide[row, slot - slot.min()] = np.nan_to_num(what.to_numpy())
    return wide


def _begun(what: str, energy_kwh: np.ndarray, step_us: int) -> Fleet:
    """Registers that have run for some years before."""
    before = np.random.default_rng(1).integers(0, 2_000_000, len(energy_kwh))
    registers = before[:, None] + np.rint(np.cumsum(energy_kwh, axis=1) * 100).astype(np.int64)
    return Fleet(what, registers, step_us, addresses(len(energy_kwh)))


# -- the ways --------------------------------------------------------------------------------------------------------


def json_lines(table: pa.Table, meters: list[MeterIdentity]) -> bytes:
    """One object a reading, as a simple collector would send it."""
    lines = [
        {
            "protocol": meters[row["meter_id"]].protocol, "link": meters[row["meter_id"]].link,
            "address": meters[row["meter_id"]].address, "quantity": row["quantity"],
            "read_at": row["read_at"].isoformat(), "value": str(row["value"]), "status": row["status"],
            "source": row["source"], "exchange_id": row["exchange_id"],
        }
        for row in table.to_pylist()
    ]  # fmt: skip
    return "".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines).encode()


def arrow_ipc(table: pa.Table, meters: list[MeterIdentity]) -> bytes:
    """Arrow's own stream with zstd, texts as dictionaries."""
    named = table.set_column(
        0, "address", pa.array([meter.address for meter in meters]).take(table["meter_id"].combine_chunks())
    )
    named = named.append_column(
        "protocol", pa.array(["dlt645-2007"]).take(pa.array(np.zeros(len(table), np.int64)))
    )
    named = named.append_column("link", pa.array(["bus-1"]).take(pa.array(np.zeros(len(table), np.int64))))
    for name in ("address", "quantity", "source", "protocol", "link"):
        place = named.schema.get_field_index(name)
        named = named.set_column(place, name, named[name].combine_chunks().dictionary_encode())
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, named.schema, options=options) as stream:
        stream.write_table(named)
    return sink.getvalue()


def sizes(what: str, table: pa.Table, meters: list[MeterIdentity], ours: bytes, *, aim: float | None) -> None:
    rows = table.num_rows
    lines = json_lines(table, meters)
    others = {
        "JSON lines": len(lines),
        "gzip of them": len(gzip.compress(lines, 6)),
        "Arrow IPC, zstd": len(arrow_ipc(table, meters)),
    }
    beside = ", ".join(f"{name} {size / rows:.2f}" for name, size in others.items())
    wanted = "" if aim is None else f" (aim {aim:g})"
    print(f"{what}: {len(ours) / rows:.2f} bytes per reading{wanted}; {beside}; {rows:,} readings")


def measure(fleet: Fleet) -> None:
    print(f"-- {fleet.what}: {len(fleet.meters):,} meters --")
    meters, day = fleet.meters, 86_400_000_000 // fleet.step_us
    tick, following = fleet.table(0, 1), fleet.table(1, 1)
    first = encode(tick, meters)
    aims = len(meters) == METERS
    sizes("one tick, self-contained", tick, meters, first.payload, aim=5 if aims else None)
    second = encode(following, meters, first.base)
    sizes("one tick, acknowledged base", following, meters, second.payload, aim=3 if aims else None)
    whole = fleet.table(0, day)
    sizes("a day", whole, meters, encode(whole, meters).payload, aim=1.5)
    if not aims:
        return
    scattered = addresses(len(meters), scattered=True)
    print(
        f"   one tick, self-contained, addresses that no lots share: {len(encode(tick, scattered).payload) / METERS:.2f}"
    )
    polled = [fleet.table(place, 1, polled=True) for place in range(2)]
    base = encode(polled[0], meters)
    print(
        f"   polled one by one, each with its microsecond and the id of its exchange: {len(base.payload) / METERS:.2f} "
        f"self-contained, {len(encode(polled[1], meters, base.base).payload) / METERS:.2f} against a base"
    )


def frames() -> None:
    """The frames of a thousand polls of DL/T 645 registers: request and reply as they are on the wire."""
    random = np.random.default_rng(7)
    meters = addresses(METERS)
    rows = []
    for place, meter in enumerate(meters):
        address = bytes.fromhex(meter.address)[::-1]
        began = START_US + place * 600_000
        value = bytes(0x33 + digit for digit in bytes.fromhex(f"{random.integers(0, 2_000_000):08d}")[::-1])
        rows.append(
            {
                "exchange_id": began // 1000 << 12 | 77 << 4, "link_id": 0, "meter_id": place,
                "began_at": datetime.fromtimestamp(began / 1e6, UTC),
                "ended_at": datetime.fromtimestamp((began + int(random.integers(90_000, 200_000))) / 1e6, UTC),
                "request": _framed(address, b"\x11\x04\x33\x33\x34\x33"),
                "reply": _framed(address, b"\x91\x08\x33\x33\x34\x33" + value), "outcome": "ok",
            }
        )  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=EXCHANGE_SCHEMA)
    packed = encode_exchanges(table, meters, ["bus-1"])
    raw = sum(len(row["request"]) + len(row["reply"]) for row in rows)
    print(
        f"frames of a thousand polls: {len(packed) / METERS:.1f} bytes per exchange "
        f"({raw / METERS:.0f} octets on the wire; names of meters included)"
    )


def _framed(address: bytes, body: bytes) -> bytes:
    whole = b"\x68" + address + b"\x68" + body
    return b"\xfe" * 4 + whole + bytes([sum(whole) % 256, 0x16])


# -- speed -----------------------------------------------------------------------------------------------------------


def best(work: Callable[[], object], times: int) -> float:
    """Seconds of the fastest run."""

    def runs() -> Iterator[float]:
        for _ in range(times):
            began = time.perf_counter()
            work()
            yield time.perf_counter() - began

    return min(runs())


def speed(fleet: Fleet, times: int) -> None:
    day = 86_400_000_000 // fleet.step_us
    table, meters = fleet.table(0, day), fleet.meters
    payload, lines = encode(table, meters).payload, json_lines(table, meters)
    rows = table.num_rows
    ours, theirs = best(lambda: encode(table, meters), times), best(lambda: json_lines(table, meters), 1)
    print(f"a day encoded: {rows / ours:,.0f} readings/s, {theirs / ours:.0f} times as fast as JSON lines")
    ours = best(lambda: decode(payload, EMPTY), times)
    theirs = best(lambda: [json.loads(line) for line in lines.splitlines()], 1)
    print(f"a day decoded: {rows / ours:,.0f} readings/s, {theirs / ours:.0f} times as fast as JSON lines")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="runs of each speed; the fastest counts")
    chosen = parser.parse_args()
    fleet = apartments()
    if fleet is None:
        print(f"no real data in {SHARED}: the load below is drawn by chance")
    for each in (fleet or drawn(), homes()):
        if each is not None:
            measure(each)
    frames()
    speed(fleet or drawn(), chosen.times)


if __name__ == "__main__":
    main()
