"""Readings are versioned and never overwritten, in both sizes of the store."""

import itertools
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.errors import (
    BadReadings,
    StoreBusy,
    StoreDamaged,
    StoreTooNew,
    StoreUnavailable,
    UnknownQuantity,
)
from wattkeeper.readings.layout import FORMAT
from wattkeeper.readings.schemas import (
    EXCHANGE_SCHEMA,
    INTERVAL_SCHEMA,
    SOURCES,
    STORED_READING_SCHEMA,
    Appended,
    IntervalStatus,
    new_exchange_id,
)
from wattkeeper.readings.store import ReadingsStore

KEY = "active_energy_import"
T0 = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
QUARTER = timedelta(minutes=15)


def test_a_reading_comes_back_as_it_was_given_with_the_moment_of_its_commit(store, batch):
    store.append_readings(batch((1, T0, "123.4567", "meter")), T0 + HOUR)
    found = store.readings(meter_ids=[1], quantities=[KEY], period=TimeRange(T0, T0 + HOUR))
    assert found.schema == STORED_READING_SCHEMA
    assert found.to_pylist() == [
        {
            "meter_id": 1,
            "quantity": KEY,
            "read_at": T0,
            "value": Decimal("123.4567"),
            "status": 0,
            "source": "meter",
            "exchange_id": None,
            "recorded_at": T0 + HOUR,
        }
    ]


def test_a_repeat_is_dropped(store, batch):
    assert store.append_readings(batch((1, T0, "1"), (2, T0, "2")), T0) == Appended(2, 0, 0)
    assert store.append_readings(batch((1, T0, "1"), (3, T0, "3"), (3, T0, "3")), T0) == Appended(1, 2, 0)
    assert store.readings().num_rows == 3


def test_rank_decides_then_the_later_recording(store, batch, rows):
    store.append_readings(batch((1, T0, "1", "polled"), (2, T0, "1", "polled"), (3, T0, "1", "edited")), T0)
    second = store.append_readings(
        batch((1, T0, "2", "polled"), (2, T0, "2", "meter"), (3, T0, "2", "meter")), T0
    )
    assert second == Appended(accepted=2, repeated=0, superseding=2, outranked=1)
    assert rows(store.readings()) == [(1, T0, "2"), (2, T0, "2"), (3, T0, "1")]


def test_an_edit_survives_every_reread_of_the_meter(store, batch, rows):
    store.append_readings(batch((1, T0, "5", "meter")), T0)
    store.append_readings(batch((1, T0, "4", "edited")), T0)
    for _ in range(3):
        assert store.append_readings(batch((1, T0, "5", "meter")), T0) == Appended(0, 1, 0)
    assert store.append_readings(batch((1, T0, "6", "polled")), T0).outranked == 1
    assert store.append_readings(batch((1, T0, "6", "polled")), T0).repeated == 1
    assert rows(store.readings()) == [(1, T0, "4")]
    assert [str(row["value"]) for row in store.versions_of(1, KEY, T0).to_pylist()] == [
        "4.0000",
        "6.0000",
        "5.0000",
    ]


def test_the_same_value_from_a_better_source_raises_the_rank(store, batch, rows):
    store.append_readings(batch((1, T0, "5", "polled")), T0)
    assert store.append_readings(batch((1, T0, "5", "meter")), T0).superseding == 1
    store.append_readings(batch((1, T0, "6", "polled")), T0)
    assert rows(store.readings()) == [(1, T0, "5")]


def test_recorded_at_strictly_increases_even_when_the_clock_does_not(open_store, batch):
    store = open_store()
    for hour in range(3):
        store.append_readings(batch((1, T0 + hour * HOUR, str(hour))), T0 - hour * HOUR)
    recorded = store.readings()["recorded_at"].to_pylist()
    assert recorded == [T0, T0 + timedelta(microseconds=1), T0 + timedelta(microseconds=2)]
    store.close()
    again = open_store()
    again.append_readings(batch((1, T0 + 5 * HOUR, "9")), T0 - HOUR)
    assert again.readings()["recorded_at"].to_pylist()[-1] == T0 + timedelta(microseconds=3)


def test_what_was_known_before_a_late_batch_stays_known(store, batch, rows):
    store.append_readings(batch((1, T0, "1"), (1, T0 + HOUR, "2")), T0 + HOUR)
    store.append_readings(batch((1, T0, "1.5", "meter")), T0 + 7 * 24 * HOUR)
    store.append_readings(batch((1, T0, "1.4", "edited")), T0 + 8 * 24 * HOUR)
    known = {days: rows(store.readings(as_known_at=T0 + days * 24 * HOUR)) for days in (0, 1, 7, 8)}
    assert known == {
        0: [],
        1: [(1, T0, "1"), (1, T0 + HOUR, "2")],
        7: [(1, T0, "1.5"), (1, T0 + HOUR, "2")],
        8: [(1, T0, "1.4"), (1, T0 + HOUR, "2")],
    }


@pytest.fixture(scope="module")
def shuffled_store(tmp_path_factory) -> ReadingsStore:
    with ReadingsStore.open(tmp_path_factory.mktemp("shuffled")) as store:
        yield store


_meter_numbers = itertools.count(1)
_versions = st.lists(
    st.tuples(st.sampled_from(SOURCES), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=6
)


@settings(max_examples=10, deadline=None)
@given(versions=_versions)
def test_winners_and_the_past_are_those_of_a_simple_model(shuffled_store, batch, versions):
    """Batches of any content in any order: the store agrees with a list that is searched by hand."""
    meter = next(_meter_numbers)
    said: list[tuple[int, int, datetime]] = []
    moments = []
    for source, value, slot in versions:
        read_at = T0 + slot * HOUR
        shuffled_store.append_readings(batch((meter, read_at, str(value), source)), T0)
        newest = shuffled_store.changed_meters(0)[1]
        said.append((SOURCES.index(source), value, read_at))
        moments.append((newest, len(said)))
    for newest, count in moments:
        expected: dict[datetime, tuple[int, int]] = {}
        for rank, value, read_at in said[:count]:
            if rank >= expected.get(read_at, (-1, 0))[0]:
                expected[read_at] = (rank, value)
        instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=newest)
        for known in (instant,) if count < len(said) else (instant, None):
            found = shuffled_store.readings(meter_ids=[meter], as_known_at=known)
            assert {r["read_at"]: int(r["value"]) for r in found.to_pylist()} == {
                t: v for t, (_, v) in expected.items()
            }


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_batches_of_different_rank_give_the_same_winners_in_any_order(tmp_path, batch, rows, order):
    batches = [
        batch((1, T0, "1", "polled"), (2, T0, "1", "polled")),
        batch((1, T0, "2", "meter"), (2, T0, "2", "imported")),
        batch((1, T0, "3", "edited"), (2, T0, "1", "meter")),
    ]
    with ReadingsStore.open(tmp_path) as store:
        for number in order:
            store.append_readings(batches[number], T0)
        assert rows(store.readings()) == [(1, T0, "3"), (2, T0, "1")]


def test_a_failed_batch_leaves_nothing_behind(store, batch):
    good = batch((1, T0, "1"))
    wrong = [
        (batch((2, T0, "1"), quantity="active_energy"), "quantity", "no_such_quantity"),
        (batch((2, T0, "1")), "source", "heard"),
    ]
    for table, column, value in wrong:
        spoiled = table.set_column(table.schema.get_field_index(column), column, pa.array([value]))
        with pytest.raises(BadReadings, match=value):
            store.append_readings(pa.concat_tables([good, spoiled]), T0)
    with pytest.raises(BadReadings, match=r"1999-12-30.*meter_id 2"):
        store.append_readings(batch((1, T0, "1"), (2, datetime(1999, 12, 30, tzinfo=UTC), "1")), T0)
    with pytest.raises(BadReadings, match="value"):
        store.append_readings(good.drop_columns("value"), T0)
    with pytest.raises(BadReadings, match="time zone"):
        store.append_readings(good, T0.replace(tzinfo=None))
    with pytest.raises(UnknownQuantity, match="active_energy_import"):
        store.readings(quantities=["active_energy_imprt"])
    assert store.readings().num_rows == 0
    assert store.append_readings(good.slice(0, 0), T0) == Appended(0, 0, 0)


def test_a_live_reading_and_an_old_file_are_two_changes_of_a_register(open_store, batch):
    store = open_store()
    old = T0 - timedelta(days=30)
    store.append_readings(batch((1, old, "1"), (1, old + timedelta(days=1), "2")), T0)
    store.append_readings(batch((1, T0, "9")), T0)
    changes, _ = store.changed_meters(0)
    assert [(row["start_at"], row["end_at"]) for row in changes.to_pylist()] == [
        (old, old + timedelta(days=1)),
        (T0, T0),
    ]


def test_the_cursor_tells_what_was_appended_since(open_store, batch):
    store = open_store()
    assert store.changed_meters(0)[0].num_rows == 0
    store.append_readings(batch((1, T0, "1"), (1, T0 + HOUR, "2"), (2, T0, "1")), T0)
    changes, cursor = store.changed_meters(0)
    assert changes.to_pylist() == [
        {"meter_id": 1, "quantity": KEY, "start_at": T0, "end_at": T0 + HOUR},
        {"meter_id": 2, "quantity": KEY, "start_at": T0, "end_at": T0},
    ]
    store.append_readings(batch((1, T0, "1"), (2, T0, "7", "meter")), T0)
    store.maintain(datetime.now(UTC), keep_snapshots=timedelta(0))
    changes, newer = store.changed_meters(cursor)
    assert changes.to_pylist() == [{"meter_id": 2, "quantity": KEY, "start_at": T0, "end_at": T0}]
    assert store.changed_meters(newer) == (changes.slice(0, 0), newer)


def test_latest_is_the_newest_reading_whatever_came_last(open_store, batch, rows):
    store = open_store()
    store.append_readings(batch((1, T0 + HOUR, "2"), (2, T0, "5")), T0)
    assert rows(store.latest()) == [(1, T0 + HOUR, "2"), (2, T0, "5")]
    store.append_readings(batch((1, T0, "1")), T0)
    assert rows(store.latest([1])) == [(1, T0 + HOUR, "2")]
    store.append_readings(batch((1, T0 + HOUR, "2.5", "meter")), T0)
    assert rows(store.latest([1], [KEY])) == [(1, T0 + HOUR, "2.5")]
    store.maintain(datetime.now(UTC))
    store.append_readings(batch((2, T0 + HOUR, "6")), T0)
    store.close()
    again = open_store()
    assert rows(again.latest()) == [(1, T0 + HOUR, "2.5"), (2, T0 + HOUR, "6")]
    assert again.latest([], [KEY]).num_rows == 0


def test_maintenance_changes_files_and_nothing_else(store, batch, rows):
    for tick in range(12):
        store.append_readings(
            batch(*((m, T0 + tick * QUARTER, str(tick), "meter") for m in range(150))), T0 + tick * QUARTER
        )
    store.append_readings(batch(*((m, T0, "7.7", "edited") for m in range(150))), T0 + HOUR * 24)
    before = rows(store.readings()), rows(store.readings(as_known_at=T0 + HOUR))
    done = store.maintain(datetime.now(UTC), keep_snapshots=timedelta(0))
    assert done.ran
    assert done.postponed == ()
    assert done.files_after < done.files_before
    assert (rows(store.readings()), rows(store.readings(as_known_at=T0 + HOUR))) == before
    again = store.maintain(datetime.now(UTC), keep_snapshots=timedelta(0))
    assert again.files_after <= done.files_after


def test_writers_and_readers_go_on_during_maintenance(store, batch):
    failures: list[BaseException] = []

    def write(first: int) -> None:
        try:
            for tick in range(5):
                rows = [(m, T0 + tick * QUARTER, str(tick), "polled") for m in range(first, first + 120)]
                store.append_readings(batch(*rows), T0)
                store.append_readings(batch(*((m, at, v, "meter") for m, at, v, _ in rows[:40])), T0)
                store.latest([first])
        except BaseException as error:  # noqa: BLE001  told to the test below
            failures.append(error)

    writers = [threading.Thread(target=write, args=(1000 * n,)) for n in range(3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        store.maintain(datetime.now(UTC))
    assert failures == []
    found = store.readings()
    assert found.num_rows == 3 * 5 * 120
    assert found["source"].to_pylist().count("meter") == 3 * 5 * 40


def exchange(number: int, began_at: datetime) -> dict:
    return {
        "exchange_id": number,
        "link_id": 1,
        "meter_id": 7,
        "began_at": began_at,
        "ended_at": began_at + timedelta(seconds=1),
        "request": bytes.fromhex("68610100000000681104333333333316"),
        "reply": None,
        "outcome": "no reply",
    }


def test_an_exchange_is_found_by_its_id_until_its_retention_ends(store):
    old, young = exchange(new_exchange_id(), T0), exchange(new_exchange_id(), T0 + timedelta(days=80))
    assert store.append_exchanges(pa.Table.from_pylist([old, young], schema=EXCHANGE_SCHEMA)) == 2
    assert store.exchange(old["exchange_id"]) == old
    store.maintain(T0 + timedelta(days=91), keep_exchanges=timedelta(days=90))
    assert store.exchange(old["exchange_id"]) is None
    assert store.exchange(young["exchange_id"]) == young


def test_exchange_ids_grow_and_never_repeat():
    ids = [new_exchange_id() for _ in range(20_000)]
    assert ids == sorted(set(ids))
    assert ids[-1] < 2**53  # a browser's numbers


def test_missing_slots_are_what_should_be_there_minus_what_is(store, batch):
    there = [0, 1, 3, 7]
    store.append_readings(
        batch(*((1, T0 + n * QUARTER + timedelta(seconds=20 * (-1) ** n), "1") for n in there)), T0
    )
    store.append_readings(batch((1, T0 + 5 * QUARTER + timedelta(seconds=31), "1")), T0)
    missing = store.missing_slots([1, 2], KEY, TimeRange(T0, T0 + 2 * HOUR), QUARTER)
    assert [
        (r["meter_id"], (r["start_at"] - T0) // QUARTER, (r["end_at"] - T0) // QUARTER)
        for r in missing.to_pylist()
    ] == [
        (2, 0, 8),
        (1, 2, 3),
        (1, 4, 7),
    ]


def interval(start: datetime, energy: str | None, method: str = "measured", status: int = 0) -> dict:
    return {
        "point_id": 1,
        "quantity": KEY,
        "start_at": start,
        "end_at": start + QUARTER,
        "energy": None if energy is None else Decimal(energy),
        "status": status,
        "method": method,
    }


def test_intervals_are_versioned_and_a_persons_edit_stands(store):
    def append(*given: dict) -> Appended:
        return store.append_intervals(pa.Table.from_pylist(list(given), schema=INTERVAL_SCHEMA), T0)

    assert append(interval(T0, "1"), interval(T0 + QUARTER, "2")).accepted == 2
    assert append(interval(T0, "1.5", "linear", 1)).superseding == 1
    assert append(interval(T0, "1.2", "edited", 2)).superseding == 1
    assert append(interval(T0, "1.5", "linear", 1)).accepted == 0
    append(interval(T0 + QUARTER, None, "none", IntervalStatus.WITHDRAWN.value))
    found = store.intervals(point_ids=[1], quantity=KEY)
    assert [(row["start_at"], row["energy"], row["method"]) for row in found.to_pylist()] == [
        (T0, Decimal("1.2000"), "edited")
    ]
    assert store.intervals(as_known_at=T0)["energy"].to_pylist() == [Decimal(1), Decimal(2)]


def test_only_an_estimate_has_an_error_and_none_is_below_zero(store):
    def append(method: str, error: str | None) -> Appended:
        row = interval(T0, "1", method, 1) | {"error": None if error is None else Decimal(error)}
        return store.append_intervals(pa.Table.from_pylist([row], schema=INTERVAL_SCHEMA), T0)

    assert append("linear", "0.25").accepted == 1
    assert append("linear", "0.25").repeated == 1
    assert append("profile", "0.25").superseding == 1
    with pytest.raises(BadReadings, match=r"measured interval of metering point 1 has the error 0\.2500"):
        append("measured", "0.25")
    with pytest.raises(BadReadings, match=r"error -0\.0001"):
        append("linear", "-0.0001")
    assert store.intervals()["error"].to_pylist() == [Decimal("0.25")]


def test_daily_energy_is_the_sum_of_the_intervals_of_the_civil_day(store):
    shanghai = ZoneInfo("Asia/Shanghai")
    midnight = datetime(2026, 1, 4, 16, tzinfo=UTC)
    given = [
        interval(midnight - QUARTER, "9"),
        interval(midnight, "1"),
        interval(midnight + QUARTER, "2", "linear", 1),
    ]
    given.append(interval(midnight + 2 * QUARTER, None, "none", IntervalStatus.BACKWARDS.value))
    store.append_intervals(pa.Table.from_pylist(given, schema=INTERVAL_SCHEMA), T0)
    days = store.energy_by_day([1], KEY, TimeRange.day(datetime(2026, 1, 5).date(), shanghai), shanghai)  # noqa: DTZ001  a civil date
    assert days.to_pylist() == [
        {
            "point_id": 1,
            "day": datetime(2026, 1, 5).date(),  # noqa: DTZ001  a civil date
            "energy": Decimal("3.0000"),
            "intervals": 3,
            "estimated": 1,
            "without_energy": 1,
        }
    ]


@pytest.mark.embedded
def test_a_second_owner_of_the_folder_is_told_who_has_it(tmp_path):
    with ReadingsStore.open(tmp_path) as store:
        with pytest.raises(StoreBusy):
            ReadingsStore.open(tmp_path)
        code = "import sys; from wattkeeper.readings.store import ReadingsStore as S; S.open(sys.argv[1])"
        second = subprocess.run(
            [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False
        )
        assert second.returncode != 0
        assert f"is open in process {os.getpid()}." in second.stderr
        assert store.readings().num_rows == 0


def test_a_store_from_a_newer_version_is_left_alone(open_store):
    store = open_store()
    with store._lake.transaction() as cursor:
        cursor.execute(f"INSERT INTO lake.store_format VALUES ({FORMAT + 1})")
    store.close()
    with pytest.raises(StoreTooNew, match=f"has format {FORMAT + 1}"):
        open_store()


@pytest.mark.embedded
def test_a_catalogue_that_is_none_is_told_and_not_touched(tmp_path):
    catalogue = tmp_path / "catalogue.ducklake"
    catalogue.write_bytes(b"not a catalogue" * 1000)
    with pytest.raises(StoreDamaged, match="cannot be read"):
        ReadingsStore.open(tmp_path)
    assert catalogue.read_bytes() == b"not a catalogue" * 1000


@pytest.mark.embedded
def test_a_place_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="cannot use the folder"):
        ReadingsStore.open(tmp_path / "file")
    with pytest.raises(StoreUnavailable, match="does not answer"):
        ReadingsStore.open("postgresql://nobody:secret@127.0.0.1:1/none", data_path=tmp_path / "data")


@pytest.mark.embedded
def test_a_store_that_was_moved_opens_where_it_is_now(tmp_path, batch):
    rows = [(m, T0, str(m)) for m in range(300)]
    with ReadingsStore.open(tmp_path / "before") as store:
        store.append_readings(batch(*rows), T0)
    (tmp_path / "before").rename(tmp_path / "after")
    with ReadingsStore.open(tmp_path / "after") as store:
        assert store.append_readings(batch(*rows), T0).repeated == 300
        assert not (tmp_path / "before").exists()
