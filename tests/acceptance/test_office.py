"""The office at a terminal: template, import, bill; with a running server and without one."""

import json
import re
import signal
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.parts import Parts
from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.registry.importing import template
from wattkeeper.registry.repository import Registry
from wattkeeper.settings import Settings

SHANGHAI = ZoneInfo("Asia/Shanghai")
HEADINGS = "Link code,Link URL,Meter address,Point code,Interval (min),Installed at,CT ratio,Account code,Account name"


def last_month() -> TimeRange:
    yesterday_month = datetime.now(SHANGHAI).replace(day=1) - timedelta(days=1)
    return TimeRange.month(yesterday_month.year, yesterday_month.month, SHANGHAI)


MONTH = last_month()
NAME = f"{MONTH.start.astimezone(SHANGHAI):%Y-%m}"


def row(number: int, **changes: object) -> str:
    cells = {
        "link": "BUS-1",
        "url": "tcp://127.0.0.1:9",
        "address": f"{number:012d}",
        "point": f"P-{number}",
        "minutes": 60,
        "at": f"{NAME}-01",
        "ratio": 40 if number == 2 else 1,
        "account": f"1{number:05d}",
        "name": f"张{number}",
    }
    return ",".join(str(cell) for cell in (cells | changes).values())


def table(*rows: str) -> bytes:
    return "\r\n".join([HEADINGS, *rows]).encode("gb18030")


def read_meters(folder: Path) -> None:
    """A month of hourly registers: 0.5 kWh an hour on every meter's display."""
    parts = Parts.open(Settings(data_dir=folder))
    try:
        with parts.database.read() as session:
            meters = [meter.meter_id for meter in Registry(session).installations()]
        hours = int(MONTH.duration / timedelta(hours=1))
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
            for hour in range(hours + 1)
        ]
        parts.store.append_readings(pa.Table.from_pylist(rows, schema=READING_SCHEMA), datetime.now(UTC))
    finally:
        parts.close()


@pytest.fixture(params=[pytest.param("without a server", marks=pytest.mark.slow), "with a server"])
def office(request, wattkeeper, start, tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command beside a running server, or alone; ``office.between`` runs something while no server does."""

    class Office:
        served = request.param == "with a server"
        server = None

        def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
            if self.served and self.server is None:
                self.server = start("serve", "--port", 0, WATTKEEPER_COLLECT="false")
                self.server.url()
            return wattkeeper(*arguments)

        def between(self, work: Callable[[Path], None]) -> None:
            if self.server is not None:
                assert self.server.interrupt() == 0
                self.server = None
            work(tmp_path / "data")

    return Office()


def test_from_an_empty_folder_to_bills(office, tmp_path):
    file = tmp_path / "meters.csv"
    file.write_bytes(table(row(1), row(2)))
    looked = office("import", file, "--dry-run")
    assert (looked.returncode, looked.stdout) == (
        0,
        "2 rows would be new, 0 would be changed, 0 would be left as they were.\n",
    )
    assert office("import", file).stdout == "2 rows new, 0 changed, 0 left as they were.\n"
    again = json.loads(office("import", file, "--json").stdout)
    assert again == {
        "rows": 2,
        "created": 0,
        "updated": 0,
        "skipped": 2,
        "ignored": [],
        "errors": [],
        "applied": True,
    }
    file.write_bytes(table(row(1, name="李四"), row(3)))
    changed = office("import", file, "--update")
    assert changed.stdout == "1 rows new, 1 changed, 0 left as they were.\n", changed.stderr

    office.between(read_meters)
    untaxed = json.loads(office("bill", "--month", NAME, "--json").stdout)
    assert (untaxed["billed"], [each["reason"] for each in untaxed["exceptions"]]) == (0, ["no_tariff"] * 3)
    billed = office("bill", "--month", NAME, "--tariff", "cn-single-price")
    assert billed.returncode == 0, billed.stderr
    assert billed.stdout == f"3 accounts billed for {NAME}, 0 of them on estimated energy.\n"
    twice = json.loads(office("bill", "--month", NAME, "--json").stdout)
    assert (twice["state"], twice["billed"], twice["exceptions"]) == ("finished", 0, [])

    office.between(lambda folder: None)
    hours = MONTH.duration / timedelta(hours=1)
    parts = Parts.open(Settings(data_dir=tmp_path / "data"))
    try:
        bills = parts.billing.bills(period=MONTH).items
        assert {bill.account_code: bill.energy_kwh for bill in bills} == {
            "100001": Decimal(hours) / 2,
            "100002": Decimal(hours) / 2 * 40,
            "100003": Decimal(hours) / 2,
        }
    finally:
        parts.close()


def test_wrong_cells_are_listed_and_nothing_is_imported(office, tmp_path):
    rows = [row(number) for number in range(1, 60)]
    rows[11] = row(12, ratio="forty")
    rows[40] = row(41, minutes=7)
    file = tmp_path / "meters.csv"
    file.write_bytes(table(*rows))
    refused = office("import", file, "--json")
    assert refused.returncode == 1
    assert "meters.csv has 2 wrong cells, so nothing was imported." in refused.stderr
    wrong = json.loads(refused.stdout)["errors"]
    assert sorted((each["row"], each["column"], each["value"]) for each in wrong) == [
        (13, "ct_ratio", "forty"),
        (42, "interval_minutes", "7"),
    ]
    file.write_bytes(table(*(row(number) for number in range(1, 60))))
    assert json.loads(office("import", file, "--dry-run", "--json").stdout)["created"] == 59


NO_TABLES = (
    ("empty.csv", b"", "empty.csv is empty."),
    ("blank.xlsx", b" \n\n", "blank.xlsx is empty."),
    ("letter.csv", "尊敬的,用户".encode("gb18030"), "letter.csv lacks the column"),
    ("half.xlsx", template("en")[:-900], "half.xlsx cannot be read as an Excel file"),
    ("photo.csv", b"\x89PNG\r\n\x1a\n\x00\x00\xff\xff", "photo.csv is neither Excel nor text"),
    ("quote.csv", table(row(1)) + b'\r\n"open', "quote.csv is not a proper CSV file"),
)


def test_a_file_that_is_no_table_is_a_sentence(office, tmp_path):
    for name, content, said in NO_TABLES if office.served else NO_TABLES[3:4]:
        file = tmp_path / name
        file.write_bytes(content)
        refused = office("import", file)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert said in refused.stderr
        assert "hint: " in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_template_is_not_written_over_and_fits_the_import(wattkeeper, tmp_path):
    assert wattkeeper("template").returncode == 0
    kept = (tmp_path / "meters.xlsx").read_bytes()
    refused = wattkeeper("template")
    assert (refused.returncode, "exists already" in refused.stderr) == (1, True)
    assert (tmp_path / "meters.xlsx").read_bytes() == kept
    assert wattkeeper("template", "--force", WATTKEEPER_LANGUAGE="zh").returncode == 0
    assert (tmp_path / "meters.xlsx").read_bytes() != kept
    done = wattkeeper("import", "meters.xlsx")
    assert (done.returncode, done.stdout) == (0, "0 rows new, 0 changed, 0 left as they were.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import", "nowhere.csv"], "nowhere.csv cannot be read"),
        (["template", "nowhere/meters.xlsx"], "cannot be written"),
        (["bill", "--month", "2026-13"], "2026-13"),
        (["bill", "--month", "2999-01"], "has not ended yet"),
        (["bill", "--month", NAME, "--tariff", "cheap"], "cheap"),
    ],
)
def test_a_mistake_at_the_prompt_is_a_sentence(wattkeeper, arguments, said):
    done = wattkeeper(*arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_server_killed_while_it_imports_leaves_all_or_nothing(start, wattkeeper, tmp_path):
    file = tmp_path / "meters.csv"
    file.write_bytes(table(*(row(number) for number in range(1, 5001))))
    for delay in (0.3, 1.0, 2.0, 3.5):
        server = start("serve", "--port", 0, WATTKEEPER_COLLECT="false")
        server.url()
        command = [Path(server.process.args[0]), "import", file]
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as importing:
            try:
                importing.wait(delay)
            except subprocess.TimeoutExpired:
                server.process.send_signal(signal.SIGKILL)
            said = importing.communicate(timeout=60)[1]
        server.process.kill()
        server.process.wait()
        if importing.returncode:
            assert re.search(r"error: The server \(process \d+\) did not answer", said)
            assert "Traceback" not in said
        left = json.loads(wattkeeper("import", file, "--dry-run", "--json").stdout)
        assert (left["created"], left["skipped"]) in {(5000, 0), (0, 5000)}
        if left["skipped"]:
            break
    assert wattkeeper("import", file).returncode == 0
