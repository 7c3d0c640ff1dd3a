"""Stores on real files and on a real PostgreSQL, and tables a person can check."""

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pg8000.native
import pyarrow as pa
import pytest
from sqlalchemy import make_url

from wattkeeper.readings.files.importing import Broken, staged
from wattkeeper.readings.schemas import READING_SCHEMA, Appended
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.models import PointKind
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.scope import EVERYTHING
from wattkeeper.registry.service import install_meter

WRITER = Path(__file__).with_name("writer_process.py")
LARGE = os.environ.get("WATTKEEPER_STORE") == "large"
"""Whether every store that a test opens in a folder is one on PostgreSQL: the second run of `make test-all`."""


@pytest.fixture(scope="session", autouse=LARGE)
def every_store_is_large(request: pytest.FixtureRequest) -> Iterator[None]:
    """A folder stands for a database of its own; its Parquet files are where the embedded store has them."""
    server = request.getfixturevalue("postgres_url").removesuffix("/postgres")
    small = ReadingsStore.open
    known: set[str] = set()

    def opened(location: Path | str, *, data_path: Path | None = None) -> ReadingsStore:
        if not isinstance(location, Path):
            return small(location, data_path=data_path)
        name = f"large_{hashlib.sha256(str(location.resolve()).encode()).hexdigest()[:20]}"
        if name not in known:
            with contextlib.closing(pg8000.native.Connection(**_connected(server))) as connection:
                connection.run(f"CREATE DATABASE {name}")
            known.add(name)
        return small(f"{server}/{name}", data_path=location / "parquet")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ReadingsStore, "open", opened)
        yield


def _connected(server: str) -> dict[str, object]:
    url = make_url(f"{server}/postgres")
    return {"user": url.username, "host": url.host, "port": url.port, "database": url.database}


@pytest.fixture(scope="session")
def batch() -> Callable[..., pa.Table]:
    """Readings of ``(meter_id, read_at, value)`` or ``(meter_id, read_at, value, source)``."""

    def build(*rows: tuple, quantity: str = "active_energy_import") -> pa.Table:
        return pa.Table.from_pylist(
            [
                {
                    "meter_id": meter_id,
                    "quantity": quantity,
                    "read_at": read_at,
                    "value": Decimal(value),
                    "status": 0,
                    "source": source[0] if source else "polled",
                    "exchange_id": None,
                }
                for meter_id, read_at, value, *source in rows
            ],
            schema=READING_SCHEMA,
        )

    return build


@pytest.fixture(params=["embedded", pytest.param("shared", marks=pytest.mark.slow)])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], ReadingsStore]]:
    """Opens one and the same store in either size, as often as a test likes; all are closed after it."""
    opened: list[ReadingsStore] = []
    url = request.getfixturevalue("postgres_database") if request.param == "shared" else None

    def opener() -> ReadingsStore:
        if url is None:
            store = ReadingsStore.open(tmp_path / "readings")
        else:
            store = ReadingsStore.open(url, data_path=tmp_path / "parquet")
        opened.append(store)
        return store

    yield opener
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], ReadingsStore]) -> ReadingsStore:
    return open_store()


@pytest.fixture
def start_writer() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that appends batch after batch and says so after each commit; none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(WRITER), *map(str, arguments)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="session")
def rows() -> Callable[[pa.Table], list[tuple[int, datetime, str]]]:
    """(meter_id, read_at, value) of each reading."""

    def short(table: pa.Table) -> list[tuple[int, datetime, str]]:
        return [(r["meter_id"], r["read_at"], str(r["value"].normalize() + 0)) for r in table.to_pylist()]

    return short


IMPORTED_AT = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def office(database, tmp_path):
    """Meters 000000000161 and 000000000162 at the points P-1 and P-2, and files to import."""
    with database.write() as session:
        registry = Registry(session)
        site = registry.add_site(code="S", name="Site", zone="Asia/Shanghai")
        link = registry.add_link(code="bus", name="bus", url="tcp://127.0.0.1:9")
        for number in (1, 2):
            point = registry.add_point(site_id=site.id, code=f"P-{number}", name="", kind=PointKind.HOUSEHOLD)
            meter = registry.add_meter(address=f"00000000016{number}", link_id=link.id)
            install_meter(session, point_id=point.id, meter_id=meter.id, at=datetime(2026, 1, 1, tzinfo=UTC))
    with ReadingsStore.open(tmp_path / "readings") as store:
        yield Office(database, store, tmp_path)


class Office:
    def __init__(self, database, store, folder: Path) -> None:
        self.database, self.store, self.folder = database, store, folder

    def file(self, content: str | bytes, name="readings.csv", encoding="utf-8") -> Path:
        path = self.folder / name
        path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
        return path

    def looked(self, content, *, zone="Asia/Shanghai", mapping=None, **file):
        path = self.file(content, **file)
        with staged(path, path.name, self.database, EVERYTHING, zone=zone, mapping=mapping) as found:
            return found.preview

    def take_in(
        self, content, *, zone="Asia/Shanghai", mapping=None, broken=Broken.REFUSE, **file
    ) -> Appended:
        path = self.file(content, **file)
        with staged(path, path.name, self.database, EVERYTHING, zone=zone, mapping=mapping) as found:
            return found.take_in(self.database, self.store, broken=broken, now=IMPORTED_AT).stored

    def stored(self):
        """(meter, quantity, moment in UTC, value) of every reading."""
        table = self.store.readings().to_pylist()
        assert {row["source"] for row in table} <= {"imported"}
        return [
            (
                row["meter_id"],
                row["quantity"],
                f"{row['read_at']:%m-%d %H:%M}",
                str(row["value"].normalize() + 0),
            )
            for row in table
        ]

    def wrong(self, content, **kind):
        return [(e.row, e.column, e.text, e.code) for e in self.looked(content, **kind).looked.errors]
