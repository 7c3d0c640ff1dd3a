"""Old months in an archive that any tool reads: nothing leaves the store that is not safely there, and all comes back."""

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wattkeeper.kernel.database import Database
from wattkeeper.readings import archive as archive_module
from wattkeeper.readings.archive import Archive, ArchiveDamaged, NothingArchived
from wattkeeper.readings.kinds import CLASSES
from wattkeeper.readings.retention import Keeper, NoArchive, Retention
from wattkeeper.readings.schemas import INTERVAL_SCHEMA
from wattkeeper.readings.service import IntervalService
from wattkeeper.registry.models import Installation
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import install_meter
from wattkeeper.security.models import AuditEvent

KEY = "active_energy_import"
JANUARY, FEBRUARY, MARCH = (date(2026, month, 1) for month in (1, 2, 3))
T0 = datetime(2026, 1, 5, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
YEAR = {"registers": timedelta(days=60)}


class Kept:
    """A store with three months of hourly registers of 3 meters and a voltage, an archive, and who keeps both."""

    def __init__(self, tmp_path, database, store, batch) -> None:
        self.store, self.batch, self.folder = store, batch, tmp_path / "archive"
        self.database = database
        hours = 24 * 80
        rows = [(m, T0 + n * HOUR, str(100 * m + n), "meter") for m in (1, 2, 3) for n in range(hours)]
        store.append_readings(batch(*rows), T0)
        store.append_readings(batch((1, T0, "230.1"), quantity="voltage_l1"), T0)
        store.append_readings(batch((1, T0 + HOUR, "101.5", "edited")), NOW - 30 * HOUR)
        self.hours = hours

    def keeper(self, keep=None) -> Keeper:
        return Keeper(self.database, self.store, Retention(keep=keep or {}, archive=self.folder))

    def archive(self) -> Archive:
        return self.store.archive(self.folder)

    def everything(self):
        tables = [self.store.readings(), self.store.readings(as_known_at=NOW - 31 * HOUR)]
        return [table.to_pylist() for table in tables]

    def months(self):
        counted: dict[str, int] = {}
        for at in self.store.readings(quantities=[KEY])["read_at"].to_pylist():
            counted[f"{at:%Y-%m}"] = counted.get(f"{at:%Y-%m}", 0) + 1
        return counted


@pytest.fixture
def database():
    database = Database("sqlite://")
    database.create_schema()
    yield database
    database.dispose()


@pytest.fixture
def kept(tmp_path, database, store, batch):
    return Kept(tmp_path, database, store, batch)


def test_a_month_is_a_plain_file_with_its_checksum_in_the_manifest(kept):
    file = kept.keeper().create("registers", JANUARY, NOW)
    path = kept.folder / "registers" / "registers-2026-01.parquet"
    table = pq.read_table(path)
    assert table.num_rows == file.rows == 3 * 27 * 24
    assert table.column_names[:4] == ["meter_id", "quantity", "read_at", "value"]
    assert table.slice(1, 1).to_pylist()[0] | {"recorded_at": None} == {
        "meter_id": 1, "quantity": KEY, "read_at": T0 + HOUR, "value": Decimal("101.5"), "status": 0,
        "source": "edited", "exchange_id": None, "recorded_at": None,
    }  # fmt: skip
    (listed,) = json.loads((kept.folder / "manifest.json").read_text())["files"]
    assert listed["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (listed["kept"], listed["month"], listed["rows"]) == ("registers", "2026-01", file.rows)
    assert kept.keeper().files(check=True) == [(file, True)]
    assert kept.months()["2026-01"] == file.rows, "it stays in the store"


def test_writing_again_what_has_not_changed_writes_nothing(kept):
    first = kept.keeper().create("registers", JANUARY, NOW)
    assert kept.keeper().create("registers", JANUARY, NOW + HOUR) == first
    kept.store.append_readings(kept.batch((9, T0, "1")), NOW)
    second = kept.keeper().create("registers", JANUARY, NOW + HOUR)
    assert (second.rows, len(kept.keeper().files())) == (first.rows + 1, 1)
    assert [path.name for path in (kept.folder / "registers").iterdir()] == [second.path.split("/")[1]]


def test_old_months_leave_the_store_once_they_are_archived_and_come_back_as_they_were(kept):
    before = kept.everything()
    keeper = kept.keeper(YEAR | {"superseded_readings": timedelta(days=60)})
    done = keeper.enforce(NOW)
    assert [(file.kept, f"{file.month:%Y-%m}") for file in done.let_go] == [
        ("registers", "2026-01"),
        ("registers", "2026-02"),
        ("registers", "2026-03"),
        ("superseded_readings", "2026-01"),
    ]
    assert kept.months() == {}
    assert kept.store.readings(quantities=["voltage_l1"]).num_rows == 1, "another class, kept for ever"
    assert kept.store.latest([2], [KEY])["value"].to_pylist() == [Decimal(200 + kept.hours - 1)]
    kept.store.maintain(NOW, keep_snapshots=timedelta(0))
    assert keeper.restore("registers", FEBRUARY, NOW) == 3 * 28 * 24
    assert list(kept.months()) == ["2026-02"]
    keeper.restore("registers", JANUARY, NOW)
    keeper.restore("registers", MARCH, NOW)
    keeper.restore("superseded_readings", JANUARY, NOW)
    assert kept.everything() == before
    assert keeper.restore("registers", MARCH, NOW) == 0, "what is there is not there twice"
    assert kept.everything() == before
    assert keeper.enforce(NOW + 29 * 24 * HOUR).let_go == (), "brought back, it is left alone for a while"
    assert len(keeper.enforce(NOW + 31 * 24 * HOUR).let_go) == 4


def test_by_default_nothing_is_ever_let_go_of(kept):
    before = kept.everything()
    assert kept.keeper().enforce(NOW + timedelta(days=36500)).let_go == ()
    assert kept.everything() == before
    with pytest.raises(NoArchive, match="archive_dir"):
        Keeper(kept.database, kept.store, Retention()).files()


def test_a_file_that_is_not_what_it_was_keeps_its_month_in_the_store(kept, monkeypatch):
    before = kept.everything()
    written = Archive.write

    def then_damaged(self, *arguments):
        file = written(self, *arguments)
        path = self.folder / file.path
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        return file

    with monkeypatch.context() as patched:
        patched.setattr(Archive, "write", then_damaged)
        done = kept.keeper(YEAR).enforce(NOW)
    assert (done.let_go, len(done.waiting)) == ((), 3)
    assert kept.everything() == before
    with pytest.raises(ArchiveDamaged, match="nothing was restored"):
        kept.keeper().restore("registers", JANUARY, NOW)
    assert len(kept.keeper(YEAR).enforce(NOW).let_go) == 3, "it is written anew"


def test_what_comes_in_between_writing_and_letting_go_keeps_its_month(kept, monkeypatch):
    written = Archive.write

    def then_late(self, data, month, now):
        file = written(self, data, month, now)
        if month == JANUARY:
            kept.store.append_readings(kept.batch((7, T0 + 5 * HOUR, "1")), NOW)
        return file

    with monkeypatch.context() as patched:
        patched.setattr(Archive, "write", then_late)
        done = kept.keeper(YEAR).enforce(NOW)
    assert (len(done.let_go), done.waiting) == (2, ("registers 2026-01",))
    assert len(kept.keeper(YEAR).enforce(NOW).let_go) == 1
    kept.keeper().restore("registers", JANUARY, NOW)
    assert kept.store.readings(meter_ids=[7]).num_rows == 1


def test_what_comes_late_for_a_month_that_is_gone_gets_a_file_of_its_own(kept, rows):
    keeper = kept.keeper(YEAR)
    keeper.enforce(NOW)
    kept.store.append_readings(kept.batch((1, T0 + HOUR, "101.7", "edited"), (8, T0, "5")), NOW)
    again = keeper.enforce(NOW)
    assert [file.path for file in again.let_go] == ["registers/registers-2026-01.1.parquet"]
    assert [file.rows for file, _ in keeper.files() if file.month == JANUARY] == [3 * 27 * 24, 2]
    assert keeper.restore("registers", JANUARY, NOW) == 3 * 27 * 24 + 2
    at = [(T0 + HOUR, "101.7")]
    assert [(t, v) for _, t, v in rows(kept.store.readings(meter_ids=[1])) if t == T0 + HOUR] == at
    versions = kept.store.versions_of(1, KEY, T0 + HOUR)["value"].to_pylist()
    assert versions == [Decimal("101.7"), Decimal("101.5"), Decimal(101)]


def test_moments_of_commits_go_on_when_everything_is_gone(kept):
    newest = kept.store.changed_meters(0)[1]
    ages = dict.fromkeys(CLASSES, timedelta(0))
    kept.keeper(ages).enforce(NOW)
    kept.store.maintain(NOW, keep_snapshots=timedelta(0))
    kept.store.append_readings(kept.batch((1, T0, "1")), T0)
    assert kept.store.changed_meters(0)[1] > newest


def test_sums_in_memory_follow_what_leaves_and_comes_back(kept):
    start = datetime(2026, 1, 10, tzinfo=UTC)
    row = {"point_id": 1, "quantity": KEY, "start_at": start, "end_at": start + HOUR, "energy": Decimal(7),
           "status": 0, "method": "measured"}  # fmt: skip
    kept.store.append_intervals(pa.Table.from_pylist([row], schema=INTERVAL_SCHEMA), NOW)
    days, zone = (date(2026, 1, 1), date(2026, 1, 31)), ZoneInfo("UTC")

    def total():
        return kept.store.energy_of_points(None, KEY, days, zone)["energy"].to_pylist()

    assert total() == [7]
    keeper = kept.keeper({"intervals": timedelta(days=60)})
    keeper.enforce(NOW)
    assert total() == []
    keeper.restore("intervals", JANUARY, NOW)
    assert total() == [7]


def test_what_comes_late_for_registers_in_the_archive_leaves_their_intervals_alone(kept, database):
    with database.write() as session:
        registry = Registry(session)
        site = registry.add_site(code="S", name="Site", zone="UTC")
        link = registry.add_link(code="L", name="Link", url="tcp://127.0.0.1:2404")
        meter = registry.add_meter(address="000000000001", link_id=link.id)
        point = registry.add_point(site_id=site.id, code="P", name="Point", interval_minutes=60)
        session.flush()
        assert meter.id == 1
        install_meter(session, point_id=point.id, meter_id=1, at=T0, first_register=Decimal(100))
    service = IntervalService(database, kept.store)
    service.derive_pending(NOW)

    def energies():
        table = kept.store.intervals(point_ids=[point.id])
        return dict(zip(table["start_at"].to_pylist(), table["energy"].to_pylist(), strict=True))

    before = energies()
    assert len(before) == kept.hours - 1
    keeper = kept.keeper({"registers": timedelta(days=110)})
    assert [file.month for file in keeper.enforce(NOW).let_go] == [JANUARY]
    kept.store.append_readings(kept.batch((1, T0 + 5 * HOUR, "300")), NOW)
    with database.write() as session:  # another ratio: all of the installation would be derived again
        session.get_one(Installation, 1).ct_ratio = Decimal(2)
    service.derive_pending(NOW + HOUR)
    after = energies()
    fixed = [at for at in before if at < datetime(2026, 3, 1, tzinfo=UTC)]
    assert {at: after[at] for at in fixed} == {at: before[at] for at in fixed}
    march = datetime(2026, 3, 2, tzinfo=UTC)
    assert (before[march], after[march]) == (Decimal(1), Decimal(2))


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", ["draft", "renamed", "listed", "let go"])
def test_a_kill_at_any_step_leaves_the_month_in_the_store_or_in_the_archive(kept, monkeypatch, step):
    before = kept.everything()
    targets = {
        "draft": (archive_module, "_sha256"),
        "renamed": (Archive, "_list"),
        "listed": (Archive, "let_go"),
        "let go": (archive_module, "_wanted"),
    }
    where, name = targets[step]
    original = getattr(where, name)
    calls = []

    def dies(*arguments, **named):
        calls.append(name)
        if step == "let go" and len(calls) < 4:  # in the transaction, after the comparison
            return original(*arguments, **named)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(where, name, dies)
        with pytest.raises(Killed):
            kept.keeper(YEAR).enforce(NOW)
    assert kept.everything() == before
    keeper = kept.keeper(YEAR)
    assert len(keeper.enforce(NOW).let_go) == 3
    assert {intact for _, intact in keeper.files(check=True)} == {True}
    for month in (JANUARY, FEBRUARY, MARCH):
        keeper.restore("registers", month, NOW)
    assert kept.everything() == before


def test_a_month_that_was_never_archived_is_told(kept):
    kept.keeper().create("registers", JANUARY, NOW)
    with pytest.raises(NothingArchived, match="no registers of 2025-12"):
        kept.keeper().restore("registers", date(2025, 12, 1), NOW)


def test_writing_and_restoring_are_on_record(kept, database):
    keeper = kept.keeper()
    keeper.create("registers", JANUARY, NOW)
    keeper.restore("registers", JANUARY, NOW)
    with database.read() as session:
        found = [(row.action, row.after["month"]) for row in session.query(AuditEvent)]
    assert found == [("archive.create", "2026-01"), ("archive.restore", "2026-01")]
