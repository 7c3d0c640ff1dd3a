"""The large size, as docs/howto/run-on-postgresql.md describes it: both stores on PostgreSQL, by URL alone."""

import json
import signal
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pg8000.dbapi
import pyarrow as pa
import pytest

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.parts import Parts
from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.registry.repository import Registry
from wattkeeper.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SHANGHAI = ZoneInfo("Asia/Shanghai")
MONTH = TimeRange.month(2026, 3, SHANGHAI)
FILE = """\
Link code,Link URL,Meter address,Point code,Interval (min),Installed at,CT ratio,Account code,Account name
BUS-1,tcp://127.0.0.1:9,000000000001,P-1,60,2026-03-01,1,100001,张三
BUS-1,,000000000002,P-2,60,2026-03-01,40,100002,李四
"""


@pytest.fixture
def databases(postgres_url):
    """The URLs of two empty databases: one for the ledger, one for the catalogue of the readings."""
    names = [f"{kind}_{uuid.uuid4().hex[:8]}" for kind in ("ledger", "readings")]
    port = int(postgres_url.rpartition(":")[2].partition("/")[0])

    def execute(statement: str) -> None:
        with closing(pg8000.dbapi.connect("postgres", host="127.0.0.1", port=port)) as connection:
            connection.autocommit = True
            connection.cursor().execute(statement)

    for name in names:
        execute(f"CREATE DATABASE {name}")
    yield [postgres_url.removesuffix("/postgres") + f"/{name}" for name in names]
    for name in names:
        execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def large(databases, tmp_path):
    """Settings by the name of a machine: each has a folder of its own, the stores are the same."""

    def settings(machine: str) -> Settings:
        return Settings(
            data_dir=tmp_path / machine,
            ledger_url=databases[0],
            readings_url=databases[1],
            readings_path=tmp_path / "readings",
        )

    return settings


def registers(parts: Parts, hours: range) -> pa.Table:
    """Hourly registers of every meter: 0.5 kWh an hour on the display."""
    with parts.database.read() as session:
        meters = [meter.meter_id for meter in Registry(session).installations()]
    rows = [
        {
            "meter_id": meter,
            "quantity": "active_energy_import",
            "read_at": MONTH.start + timedelta(hours=hour),
            "value": Decimal(hour) / 2,
            "status": 0,
            "source": "meter",
            "exchange_id": None,
        }
        for meter in meters
        for hour in hours
    ]
    return pa.Table.from_pylist(rows, schema=READING_SCHEMA)


def test_from_two_empty_databases_to_a_bill(databases, large, start, wattkeeper, tmp_path):
    environment = {
        "WATTKEEPER_DATA_DIR": str(tmp_path / "one"),
        "WATTKEEPER_LEDGER_URL": databases[0],
        "WATTKEEPER_READINGS_URL": databases[1],
        "WATTKEEPER_READINGS_PATH": str(tmp_path / "readings"),
        "WATTKEEPER_COLLECT": "false",
    }
    (tmp_path / "meters.csv").write_text(FILE, encoding="utf-8")
    server = start("serve", "--port", 0, **environment)
    server.url()
    imported = wattkeeper("import", "meters.csv", **environment)
    assert imported.stdout == "2 rows new, 0 changed, 0 left as they were.\n", imported.stderr

    # A second process on a folder of its own writes to the same stores while the server runs.
    other = Parts.open(large("two"))
    try:
        now = datetime.now(UTC)
        other.store.append_readings(registers(other, range(400)), now)
        other.store.append_readings(registers(other, range(390, 745)), now)
    finally:
        other.close()

    billed = wattkeeper("bill", "--month", "2026-03", "--tariff", "cn-single-price", "--json", **environment)
    assert billed.returncode == 0, billed.stderr
    run = json.loads(billed.stdout)
    assert (run["state"], run["billed"], run["exceptions"]) == ("finished", 2, [])

    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    parts = Parts.open(large("one"))
    try:
        assert parts.store.maintain().ran
        assert parts.intervals.derive_pending(datetime.now(UTC)) == 0
        assert parts.store.readings().num_rows == 2 * 745
        energy = parts.store.intervals(period=MONTH).group_by("point_id").aggregate([("energy", "sum")])
        assert sorted(energy["energy_sum"].to_pylist()) == [Decimal(372), Decimal(372 * 40)]
        bills = parts.billing.bills(period=MONTH).items
        assert {bill.account_code: bill.energy_kwh for bill in bills} == {
            "100001": Decimal(372),
            "100002": Decimal(372 * 40),
        }
        assert all(parts.billing.recompute(bill.id).matches for bill in bills)
        assert parts.billing.balance(bills[0].account_id) == bills[0].total
    finally:
        parts.close()
    assert not (tmp_path / "one" / "ledger.sqlite").exists()
    assert not (tmp_path / "one" / "readings").exists()


@pytest.mark.parametrize("wrong", ["ledger", "readings"])
def test_a_database_that_does_not_answer_is_a_sentence_without_the_password(wattkeeper, tmp_path, wrong):
    away = "postgresql://keeper:s3cret@127.0.0.1:9/nowhere"
    done = wattkeeper(
        "serve",
        "--port",
        0,
        WATTKEEPER_READINGS_PATH=str(tmp_path / "readings"),
        **{f"WATTKEEPER_{wrong.upper()}_URL": away},
    )
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr
    assert "hint: " in done.stderr
    assert "s3cret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_is_not_there_is_a_sentence(wattkeeper, postgres_url):
    missing = postgres_url.removesuffix("/postgres") + "/absent"
    for name in ("LEDGER", "READINGS"):
        done = wattkeeper("serve", "--port", 0, **{f"WATTKEEPER_{name}_URL": missing})
        assert done.returncode == 1
        assert "absent" in done.stderr
        assert "Traceback" not in done.stderr
