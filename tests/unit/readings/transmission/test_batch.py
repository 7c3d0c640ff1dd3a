"""Batches of readings: whole on the other side, small, and refused with a sentence when they are not right."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.readings.transmission.examples import ENERGY, METERS, NOON, exchanges, named, reading, table

from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.readings.schemas import READING_SCHEMA, SOURCES
from wattkeeper.readings.transmission.base import EMPTY
from wattkeeper.readings.transmission.batch import READINGS, decode, encode
from wattkeeper.readings.transmission.container import NO_BASE, Columns, Head, checksum, kind_of
from wattkeeper.readings.transmission.errors import (
    BadBatch,
    BaseUnknown,
    BatchTooLarge,
    UnknownBatchVersion,
)
from wattkeeper.readings.transmission.frames import EXCHANGES, decode_exchanges, encode_exchanges
from wattkeeper.readings.transmission.identities import MeterIdentity

GOLDEN = Path(__file__).parents[3] / "data" / "transmission"
TICK = table(
    [
        reading(0, "1234.56", exchange=7_259_494_810_105_041),
        reading(1, "88.40", source="polled"),
        reading(1, "220.1", quantity="voltage_l1", status=4),
        reading(2, "-0.0001", minutes=0.5, quantity="active_power"),
    ]
)
NEXT = table(
    [reading(0, "1235.01", minutes=15), reading(1, "88.45", minutes=15), reading(2, "7", minutes=15)]
)
FRAMES = exchanges(
    [
        {
            "exchange_id": 7_259_494_810_105_041, "link_id": 0, "meter_id": 1, "began_at": NOON,
            "ended_at": NOON + timedelta(milliseconds=180), "request": bytes.fromhex("6842000000000068110433"),
            "reply": bytes.fromhex("6842000000000068910833333433"), "outcome": "ok",
        },
        {
            "exchange_id": 7_259_494_810_109_137, "link_id": None, "meter_id": None, "began_at": NOON,
            "ended_at": None, "request": b"", "reply": None, "outcome": "no_reply",
        },
    ]
)  # fmt: skip


# -- there and back -------------------------------------------------------------------------------------------------


def test_a_batch_arrives_with_the_meters_names_and_every_column():
    arrived = decode(encode(TICK, METERS).payload)
    assert arrived.readings.schema == READING_SCHEMA
    assert named(arrived.readings, arrived.meters) == [
        (METERS[0], ENERGY, NOON, Decimal("1234.5600"), 0, "meter", 7_259_494_810_105_041),
        (METERS[1], ENERGY, NOON, Decimal("88.4000"), 0, "polled", None),
        (METERS[1], "voltage_l1", NOON, Decimal("220.1000"), 4, "meter", None),
        (METERS[2], "active_power", NOON + timedelta(seconds=30), Decimal("-0.0001"), 0, "meter", None),
    ]


def test_what_changed_since_a_base_names_no_meter_again_and_makes_the_next_base_at_both_ends():
    first = encode(TICK, METERS)
    second = encode(NEXT, METERS, first.base)
    for meter in METERS:
        assert meter.address.encode() not in second.payload
    after_first = decode(first.payload)
    arrived = decode(second.payload, after_first.base)
    assert named(arrived.readings, arrived.meters) == named(NEXT, METERS)
    for ours, theirs in ((first.base, after_first.base), (second.base, arrived.base)):
        assert (ours.checksum, ours.meters, ours.quantities) == (
            theirs.checksum,
            theirs.meters,
            theirs.quantities,
        )
        assert ours.keys.tolist() == theirs.keys.tolist()
        assert ours.units.tolist() == theirs.units.tolist()


def test_a_base_that_is_not_remembered_is_told_apart_from_damage():
    second = encode(NEXT, METERS, encode(TICK, METERS).base)
    other = decode(encode(NEXT, METERS).payload).base
    for base in (EMPTY, other):
        with pytest.raises(BaseUnknown, match="self-contained"):
            decode(second.payload, base)


def test_a_self_contained_batch_is_read_whatever_is_remembered():
    remembered = encode(TICK, METERS).base
    arrived = decode(encode(NEXT, METERS).payload, remembered)
    assert named(arrived.readings, arrived.meters) == named(NEXT, METERS)
    assert set(arrived.meters) == set(METERS)


def test_of_two_values_of_one_instant_the_later_row_stays_the_later():
    twice = table([reading(1, "5"), reading(0, "1"), reading(0, "2")])
    arrived = decode(encode(twice, METERS).payload).readings
    assert arrived["value"].to_pylist() == [Decimal(1), Decimal(2), Decimal(5)]


def test_no_readings_at_all_are_a_batch_too():
    arrived = decode(encode(table([]), METERS).payload)
    assert arrived.readings.num_rows == 0
    assert arrived.meters == ()


ADDRESSES = st.one_of(
    st.text("0123456789", min_size=1, max_size=20),
    st.text("0123456789ABCDEFabc./ 表", min_size=1, max_size=12),
)
IDENTITIES = st.builds(
    MeterIdentity,
    st.sampled_from(["dlt645-2007", "modbus-tcp"]),
    st.text("bus-1 线路", max_size=6),
    ADDRESSES,
)
INSTANTS = st.integers(0, 3_000_000_000_000_000).map(
    lambda after: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=after)
)
ROWS = st.fixed_dictionaries(
    {
        "meter_id": st.integers(0, 3),
        "quantity": st.sampled_from(sorted(QUANTITIES)),
        "read_at": INSTANTS,
        "value": st.integers(1 - 10**18, 10**18 - 1).map(lambda units: Decimal(units).scaleb(-4)),
        "status": st.integers(0, 2**31 - 1),
        "source": st.sampled_from(SOURCES),
        "exchange_id": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    }
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(IDENTITIES, min_size=4, max_size=4, unique=True),
    st.lists(
        st.lists(ROWS, max_size=12, unique_by=lambda row: (row["meter_id"], row["quantity"], row["read_at"]))
    ),
)
def test_any_readings_arrive_as_they_were_each_batch_on_the_base_of_the_one_before(meters, batches):
    meters = tuple(meters)
    ours = theirs = EMPTY
    for rows in batches:
        sent = table(rows)
        encoded = encode(sent, meters, ours)
        arrived = decode(encoded.payload, theirs)
        assert named(arrived.readings, arrived.meters) == named(sent, meters)
        ours, theirs = encoded.base, arrived.base


FRAME = st.one_of(st.none(), st.binary(max_size=40))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "exchange_id": st.integers(0, 2**53),
                "link_id": st.one_of(st.none(), st.integers(0, 1)),
                "meter_id": st.one_of(st.none(), st.integers(0, 2)),
                "began_at": INSTANTS,
                "ended_at": st.one_of(st.none(), st.just(NOON)),
                "request": FRAME,
                "reply": FRAME,
                "outcome": st.sampled_from(["ok", "no_reply"]),
            }
        ),
        max_size=12,
        unique_by=lambda row: row["exchange_id"],
    )
)
def test_any_exchanges_arrive_as_they_were(rows):
    sent = exchanges(rows)
    arrived = decode_exchanges(encode_exchanges(sent, METERS, ["bus-1", "bus-2"]))
    assert arrived.exchanges.to_pylist() == sent.sort_by("exchange_id").to_pylist()
    assert (arrived.meters, arrived.links) == (METERS, ("bus-1", "bus-2"))


# -- the format stays -----------------------------------------------------------------------------------------------


def _golden(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / f"version-1-{name}.hex").read_text().replace("\n", ""))


def test_batches_of_version_1_are_read_for_ever():
    """The files were written by the first program that spoke version 1; they are never written again."""
    expected = json.loads((GOLDEN / "version-1.json").read_text())
    first = decode(_golden("readings"))
    second = decode(_golden("changes"), first.base)
    for arrived, rows in ((first, expected["readings"]), (second, expected["changes"])):
        found = [
            {**arrived.meters[row.pop("meter_id")]._asdict(), **row} for row in arrived.readings.to_pylist()
        ]
        for row in found:
            row |= {"read_at": row["read_at"].isoformat(), "value": str(row["value"])}
        assert sorted(found, key=repr) == sorted((dict(sorted_like(row)) for row in rows), key=repr)
    frames = decode_exchanges(_golden("exchanges"))
    assert [
        {
            "meter": None if row["meter_id"] is None else list(frames.meters[row["meter_id"]]),
            "link": None if row["link_id"] is None else frames.links[row["link_id"]],
            "exchange_id": row["exchange_id"],
            "began_at": row["began_at"].isoformat(),
            "ended_at": row["ended_at"] and row["ended_at"].isoformat(),
            "request": row["request"].hex(),
            "reply": None if row["reply"] is None else row["reply"].hex(),
            "outcome": row["outcome"],
        }
        for row in frames.exchanges.to_pylist()
    ] == expected["exchanges"]


def sorted_like(row: dict) -> list[tuple[str, object]]:
    """The columns in the order in which they are compared."""
    names = [*MeterIdentity._fields, *READING_SCHEMA.names[1:]]
    return [(name, row[name]) for name in names]


def test_the_head_of_a_batch_is_as_the_specification_says():
    payload = encode(TICK, METERS).payload
    assert payload[:5] == b"WKB\x01\x01"
    assert payload[5] == TICK.num_rows
    assert payload[6:14] == NO_BASE
    assert payload[-8:] == checksum(payload[:-8])
    assert kind_of(payload) == READINGS
    assert kind_of(encode_exchanges(FRAMES, METERS, ["bus-1"])) == EXCHANGES


# -- small ----------------------------------------------------------------------------------------------------------


def test_a_tick_of_a_thousand_meters_and_a_day_of_them_stay_within_their_bytes():
    """Registers of 0.01 kWh; the addresses are of ten deliveries, half of each in use here."""
    random = np.random.default_rng(645)
    lots = [
        np.sort(random.choice(200, 100, replace=False)) + first for first in random.integers(1, 10**9, 10)
    ]
    meters = tuple(MeterIdentity("dlt645-2007", "bus-1", f"{number:012d}") for number in np.concatenate(lots))
    mean = random.gamma(2.0, 5.0, 1000)
    register = random.integers(0, 2_000_000, 1000)
    ticks = []
    for tick in range(96):
        register = register + random.poisson(mean)
        ticks.append(
            table(
                reading(meter, f"{units / 100:.2f}", minutes=15 * tick)
                for meter, units in enumerate(register)
            )
        )
    first = encode(ticks[0], meters)
    second = encode(ticks[1], meters, first.base)
    day = encode(pa.concat_tables(ticks), meters)
    assert len(first.payload) / 1000 < 5
    assert len(second.payload) / 1000 < 1.5
    assert len(day.payload) / 96_000 < 1


# -- what is not right ----------------------------------------------------------------------------------------------


BATCHES = {
    "readings": (encode(TICK, METERS).payload, decode),
    "exchanges": (encode_exchanges(FRAMES, METERS, ["bus-1"]), decode_exchanges),
}


@pytest.mark.parametrize("kind", BATCHES)
def test_a_batch_that_is_cut_off_anywhere_is_refused(kind):
    payload, read = BATCHES[kind]
    for length in range(len(payload)):
        with pytest.raises(BadBatch):
            read(payload[:length])


@pytest.mark.parametrize("kind", BATCHES)
def test_a_batch_with_any_bit_turned_is_refused(kind):
    payload, read = BATCHES[kind]
    for place in range(len(payload)):
        damaged = bytearray(payload)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(BadBatch):
            read(bytes(damaged))


def test_a_version_that_is_not_known_is_told_with_what_to_do():
    payload = bytearray(encode(TICK, METERS).payload)
    payload[3] = 2
    with pytest.raises(UnknownBatchVersion, match=r"version 2 .* knows version 1\. Update the older"):
        decode(bytes(payload))


def test_a_batch_of_another_kind_and_what_is_no_batch_are_refused():
    with pytest.raises(BadBatch, match="another kind"):
        decode(encode_exchanges(FRAMES, METERS, ["bus-1"]))
    with pytest.raises(BadBatch, match="do not begin with WKB"):
        decode(b"PAR1 whatever")


def test_a_batch_that_says_it_has_more_than_a_batch_may_is_refused_before_any_memory_is_taken():
    with pytest.raises(BatchTooLarge, match=r"1,000,001 rows; 1,000,000 is the most"):
        decode(Columns().sealed(Head(READINGS, 1_000_001, NO_BASE)))
    many = np.zeros(1_000_000, np.int64)  # a constant column: a handful of bytes
    with pytest.raises(BatchTooLarge, match="1,000,000 meters; 100,000 is the most"):
        decode(Columns().words("protocols", ["a"]).words("links", ["b"]).numbers("meter_protocol", many).sealed(
            Head(READINGS, 1, NO_BASE)
        ))  # fmt: skip
    zeros = Columns().text("protocols", bytes((64 << 20) + 1)).sealed(Head(READINGS, 1, NO_BASE))
    assert len(zeros) < 100
    with pytest.raises(BatchTooLarge, match=r"67,108,865 bytes in the column protocols"):
        decode(zeros)


def test_a_column_that_has_another_number_of_rows_is_named():
    for columns, found in ((Columns(), 0), (Columns().numbers("meter", np.zeros(3, np.int64)), 3)):
        with pytest.raises(
            BadBatch, match=f"The column meter of a batch has {found} numbers; 4 are expected"
        ):
            decode(columns.sealed(Head(READINGS, 4, NO_BASE)))


@pytest.mark.parametrize("kind", BATCHES)
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_a_forged_batch_with_a_right_checksum_is_read_or_refused_and_nothing_else(kind, data):
    payload, read = BATCHES[kind]
    body = bytearray(payload[:-8])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(5, len(body) - 1))
        body[place] = data.draw(st.integers(0, 255))
    forged = bytes(body) + checksum(bytes(body))
    try:
        read(forged)
    except (BadBatch, BaseUnknown):
        return


@pytest.mark.slow
@pytest.mark.parametrize("kind", BATCHES)
@settings(max_examples=5_000, deadline=None)
@given(data=st.data())
def test_many_forged_batches(kind, data):
    payload, read = BATCHES[kind]
    body = bytearray(payload[:-8])
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(5, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    forged = bytes(body) + checksum(bytes(body))
    try:
        read(forged)
    except (BadBatch, BaseUnknown):
        return
