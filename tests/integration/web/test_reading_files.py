"""Readings over the API as files: out in every format, for who may see them, and on record."""

import io
from datetime import datetime

import pyarrow.parquet
import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import select

from wattkeeper.security.models import AuditEvent

EXPORT = "/api/v1/readings/export"
OCTOBER = {"start": "2026-10-01", "end": "2026-11-01"}


def test_intervals_of_a_month_leave_as_parquet(client):
    answer = client.get(EXPORT, params=OCTOBER | {"what": "intervals", "point_id": 1, "format": "parquet"})
    table = pyarrow.parquet.read_table(io.BytesIO(answer.content))
    assert answer.headers["x-wattkeeper-rows"] == str(table.num_rows) == str(31 * 96)
    assert str(sum(table["energy"].to_pylist())) == "265.0700"
    assert answer.headers["content-disposition"] == 'attachment; filename="intervals.parquet"'


def test_a_sheet_has_civil_times_of_the_site(client):
    day = {"start": "2026-10-01", "end": "2026-10-02", "what": "intervals", "point_id": 1, "format": "xlsx"}
    sheet = CalamineWorkbook.from_filelike(
        io.BytesIO(client.get(EXPORT, params=day).content)
    ).get_sheet_by_index(0)
    rows = sheet.to_python()
    assert len(rows) == 97
    assert rows[2][3:5] == [datetime(2026, 10, 1, 0, 15), datetime(2026, 10, 1, 0, 30)]  # noqa: DTZ001 (a sheet knows none)


def test_an_export_is_on_record_with_what_was_named(client, town):
    client.get(EXPORT, params=OCTOBER | {"meter_id": 1})
    with town.database.read() as session:
        entry = session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()
    assert (entry.action, entry.subject_kind, entry.subject_id) == ("export", "table", "readings")


@pytest.mark.parametrize(
    ("params", "status", "said"),
    [
        ({"meter": "nobody"}, 404, "There is no meter nobody"),
        ({"start": "2026-11-01", "end": "2026-10-01"}, 400, "not after its start"),
        ({"quantity": "volts"}, 404, "There is no quantity"),
        ({"start": "0001-01-01", "end": "0001-01-02"}, 400, "outside of the calendar"),
        ({"format": "docx"}, 422, ""),
    ],
)
def test_what_cannot_be_exported_is_said(client, params, status, said):
    answer = client.get(EXPORT, params=params)
    assert answer.status_code == status
    assert said in answer.json()["detail"]
