"""A second reader, written row by row from docs/reference/batch-format.md alone, finds in a batch what ours does."""

import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from tests.unit.readings.transmission.examples import ENERGY, METERS, named, reading, table

from wattkeeper.readings.transmission.base import EMPTY
from wattkeeper.readings.transmission.batch import decode, encode
from wattkeeper.readings.transmission.frames import decode_exchanges

GOLDEN = Path(__file__).parents[3] / "data" / "transmission"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Bytes:
    """Takes bytes apart."""

    def __init__(self, source: bytes) -> None:
        self.left = source

    def take(self, count: int) -> bytes:
        taken, self.left = self.left[:count], self.left[count:]
        assert len(taken) == count
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        value = place = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << place
            place += 7
            if not byte & 0x80:
                return value

    def signed(self) -> int:
        value = self.varint()
        return -(value + 1) // 2 if value % 2 else value // 2

    def run(self, count: int) -> bytes:
        kind = self.byte()
        if kind == 0:
            return self.take(count)
        if kind == 1:
            return self.take(1) * count
        return pa.Codec("zstd").decompress(self.take(self.varint()), count, asbytes=True)


def wrapped(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63


def numbers(packing: int, count: int, packed: bytes) -> list[int]:
    source = Bytes(packed)
    if packing == 0:
        return [source.signed()] * count if count else []
    origin, step = source.signed(), source.varint()
    if packing == 1:
        width = source.byte()
        bits = int.from_bytes(source.left, "little")
        words = [bits >> place * width & (1 << width) - 1 for place in range(count)]
    else:
        planes = [source.run(count) for _ in range(source.byte())]
        words = [sum(plane[place] << 8 * high for high, plane in enumerate(planes)) for place in range(count)]
    return [wrapped(origin + step * word) for word in words]


class Batch:
    """A batch with its columns unpacked."""

    def __init__(self, payload: bytes) -> None:
        assert hashlib.blake2b(payload[:-8], digest_size=8).digest() == payload[-8:]
        source = Bytes(payload[:-8])
        assert source.take(4) == b"WKB\x01"
        self.kind, self.rows, self.base = source.byte(), source.varint(), source.take(8)
        entries = []
        for _ in range(source.byte()):
            name = source.take(source.byte()).decode("ascii")
            entries.append((name, source.byte(), source.varint(), source.varint()))
        self.columns: dict[str, list[int] | bytes] = {}
        for name, packing, count, size in entries:
            packed = source.take(size)
            if packing == 3:
                self.columns[name] = Bytes(packed).run(count) if count else b""
            else:
                self.columns[name] = numbers(packing, count, packed)
        assert source.left == b""

    def __getitem__(self, name: str):
        return self.columns.get(name, [])

    def words(self, name: str) -> list[str]:
        return self.columns.get(name, b"").decode().split("\0")[:-1]

    def meters(self) -> list[tuple[str, str, str]]:
        protocols, links = self.words("protocols"), self.words("links")
        if "address" in self.columns:
            addresses = self.words("address")
        else:
            number, addresses = 0, []
            for digits, more in zip(self["address_digits"], self["address_number"], strict=True):
                number += more
                addresses.append(f"{number:0{digits}d}")
        places = zip(self["meter_protocol"], self["meter_link"], addresses, strict=True)
        return [(protocols[protocol], links[link], address) for protocol, link, address in places]


def read(payload: bytes, meters: list, quantities: list, values: dict) -> list[tuple[object, ...]]:
    """The readings; meters, quantities and values are the base's, and become the next one's."""
    batch = Batch(payload)
    if batch.base == bytes(8):
        meters.clear(), quantities.clear(), values.clear()
    meters += batch.meters()
    quantities += batch.words("quantities")
    sources, rows = batch.words("sources"), []
    meter = 0
    at = batch["first_read_at"][0] if batch.rows else 0
    firsts, changes, exchanges = (
        iter(batch["value_first"]),
        iter(batch["value_change"]),
        iter(traces(batch, at)),
    )
    for row in range(batch.rows):
        meter += batch["meter"][row]
        at += batch["read_at"][row]
        quantity = batch["quantity"][row]
        key, step = (meter, quantity), batch["value_step"][quantity]
        if key in values:
            values[key] += step * next(changes)
        else:
            values[key] = batch["value_origin"][quantity] + step * next(firsts)
        rows.append((
            meters[meter], quantities[quantity], EPOCH + timedelta(microseconds=at), Decimal(values[key]).scaleb(-4),
            batch["status"][row], sources[batch["source"][row]], next(exchanges) if batch["traced"][row] else None,
        ))  # fmt: skip
    return rows


def traces(batch: Batch, first: int) -> list[int]:
    """The ids of the exchanges of the traced rows."""
    instants, at = [], first
    for step, traced in zip(batch["read_at"], batch["traced"], strict=True):
        at += step
        instants += [at // 1000] if traced else []
    found, before = [], 0
    for place, low in enumerate(batch["exchange_low"]):
        if "exchange_step" in batch.columns:
            milliseconds = before = before + batch["exchange_step"][place]
        elif "exchange_lag" in batch.columns:
            before += batch["exchange_lag"][place]
            milliseconds = before + instants[place]
        else:
            milliseconds = batch["exchange_delay"][place] + instants[place]
        found.append(wrapped(milliseconds << 12) | low)
    return found


def same(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return sorted(rows, key=lambda row: (row[0], row[2], row[1]))


@pytest.fixture
def golden():
    return lambda name: bytes.fromhex((GOLDEN / f"version-1-{name}.hex").read_text().replace("\n", ""))


def test_the_files_of_version_1_say_the_same_to_both_readers(golden):
    meters, quantities, values, base = [], [], {}, EMPTY
    for name in ("readings", "changes"):
        ours = decode(golden(name), base)
        base = ours.base
        assert same(read(golden(name), meters, quantities, values)) == named(ours.readings, ours.meters)


def test_a_day_of_many_meters_says_the_same_to_both_readers():
    """Large enough for every packing, for both orders of rows, and for each way an exchange's id is written."""
    meters = tuple(METERS[0]._replace(address=f"{17 * number:012d}") for number in range(40))

    def day(*, exchange, polled: float) -> pa.Table:
        return table(
            reading(
                meter, f"{meter * 31 + tick * (meter % 7) / 100:.2f}", minutes=15 * tick + polled * meter / 7,
                exchange=exchange(meter, tick), quantity=ENERGY if tick % 3 else "voltage_l1",
            )
            for meter in range(40)
            for tick in range(30)
        )  # fmt: skip

    whole = (
        day(exchange=lambda meter, _: 1_772_337_600_000 + meter << 12 | 5, polled=0),
        day(exchange=lambda meter, tick: 1_772_337_600_000 + tick * 900_000 + meter * 8571 << 12, polled=1),
        day(exchange=lambda meter, tick: (meter * 7919 + tick * 104_729) % 9973 << 12 | tick, polled=0),
    )
    theirs, base = ([], [], {}), EMPTY
    for readings in whole:
        encoded = encode(readings, meters, base)
        assert same(read(encoded.payload, *theirs)) == named(readings, meters)
        base = encoded.base


def test_frames_say_the_same_to_both_readers(golden):
    batch, ours = Batch(golden("exchanges")), decode_exchanges(golden("exchanges"))
    milliseconds = began = 0
    for row, expected in enumerate(ours.exchanges.to_pylist()):
        milliseconds += batch["exchange_step"][row]
        began += batch["began_at"][row]
        assert milliseconds << 12 | batch["exchange_low"][row] == expected["exchange_id"]
        assert EPOCH + timedelta(microseconds=milliseconds * 1000 + began) == expected["began_at"]
        assert batch["meter"][row] - 1 == (-1 if expected["meter_id"] is None else expected["meter_id"])
        assert batch["link"][row] - 1 == (-1 if expected["link_id"] is None else expected["link_id"])
        for name in ("request", "reply"):
            length = batch[f"{name}_length"][row] - 1
            assert length == (-1 if expected[name] is None else len(expected[name]))
            if length > 0:
                alike = [place for place, more in enumerate(batch[f"{name}_length"]) if more - 1 == length]
                shorter = sum(more - 1 for more in batch[f"{name}_length"] if 0 < more - 1 < length)
                block = batch[name][shorter : shorter + length * len(alike)]
                assert block[alike.index(row) :: len(alike)] == expected[name]
