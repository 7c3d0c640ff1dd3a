"""Stores on real files and on a real PostgreSQL, and tables a person can check."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.readings.store import ReadingsStore

WRITER = Path(__file__).with_name("writer_process.py")


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
