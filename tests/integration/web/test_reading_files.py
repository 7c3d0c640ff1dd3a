"""Readings over the API as files: out in every format, for who may see them, and on record."""

import io
import json
import re
from datetime import datetime

import pyarrow.parquet
import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import select
from tests.integration.web.conftest import SAME_ORIGIN

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


IMPORT = "/api/v1/readings/import"
FILE = "time,meter,quantity,value\n2020-01-01 00:00,000000000123,active_energy_export,1.5\n2020-01-01 00:15,nobody,active_energy_export,2\n"


def sent(client, path=IMPORT, content=FILE, name="r.csv", **form):
    return client.post(path, files={"file": (name, content)}, data=form)


def test_a_file_is_looked_at_and_nothing_is_written(client, town):
    seen = sent(client, f"{IMPORT}/preview").json()
    assert (seen["rows"], seen["readings"], seen["wrong"], seen["meters"]) == (2, 1, 1, 1)
    assert seen["errors"] == [
        {"row": 3, "column": "meter", "value": "nobody", "code": "unknown",
         "message": "There is no such meter and no such metering point.",
         "hint": "Import the meter first, or correct the name."}
    ]  # fmt: skip
    assert seen["first"] == "2019-12-31T16:00:00Z"
    assert [column["role"] for column in seen["mapping"]["columns"]] == ["time", "meter", "quantity", "value"]
    assert town.store.readings(quantities=["active_energy_export"]).num_rows == 0


def test_a_guess_is_changed_and_given_back(client):
    content = "when,who,stand\n01/02/2020,000000000123,5\n"
    guess = sent(client, f"{IMPORT}/guess", content).json()
    mapping = guess["mapping"] | {"order": "dmy", "quantity": "reactive_energy_q1"}
    for column, role in zip(mapping["columns"], ("time", "meter", "value"), strict=True):
        column |= {"role": role, "meter": ""}
    seen = sent(client, f"{IMPORT}/preview", content, mapping=json.dumps(mapping)).json()
    assert (seen["first"], seen["quantities"], seen["wrong"]) == (
        "2020-01-31T16:00:00Z",
        ["reactive_energy_q1"],
        0,
    )


def test_a_file_with_wrong_cells_goes_in_without_them_only_when_asked(client, town):
    refused = sent(client)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:wattkeeper:problem:nothing-imported")
    done = sent(client, wrong="skip").json()
    assert (done["stored"], done["already_known"], done["wrong"]) == (1, 0, 1)
    lines = [json.loads(line) for line in sent(client, wrong="skip", progress="true").text.splitlines()]
    assert [line.get("doing") for line in lines[:-1]] == ["reading", "storing"]
    assert (lines[-1]["outcome"]["stored"], lines[-1]["outcome"]["already_known"]) == (0, 1)
    problem = json.loads(sent(client, progress="true", content="a\n1\n").text.splitlines()[-1])["problem"]
    assert problem["status"] == 422
    with town.database.read() as session:
        last = session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()
    assert (last.action, last.subject_id) == ("readings.import", "r.csv")


@pytest.mark.parametrize("mapping", ["{", "[]", '{"columns": 7, "zone": "UTC"}'])
def test_a_mapping_that_is_none_is_said(client, mapping):
    assert sent(client, f"{IMPORT}/preview", mapping=mapping).status_code == 422


PAGE = "/import/readings"


def posted(browser, path, **form):
    return browser.post(path, data=form, headers=SAME_ORIGIN)


def chosen(browser, content, name="page.csv"):
    page = browser.post(f"{PAGE}/preview", files={"file": (name, content)}, headers=SAME_ORIGIN)
    return page, re.search(rf"{PAGE}/([\w-]+)/", page.text)[1]


def test_a_person_sees_what_is_wrong_and_takes_in_the_rest(english, town):
    page, token = chosen(english, FILE.replace("export", "export_t1"))
    assert "There is no such meter and no such metering point." in page.text
    assert "Import what is right: 1 values" in page.text
    errors = english.get(f"{PAGE}/{token}/errors.csv").text.splitlines()
    assert errors[1] == "3,meter,nobody,There is no such meter and no such metering point."
    assert town.store.readings(quantities=["active_energy_export_t1"]).num_rows == 0
    done = posted(english, f"{PAGE}/{token}/apply", wrong="skip")
    assert "page.csv is imported: 1 values stored" in done.text
    assert town.store.readings(quantities=["active_energy_export_t1"]).num_rows == 1


def test_a_person_says_what_the_columns_mean_and_the_next_file_is_known(english):
    content = "alpha,beta,gamma\n01.02.2020 00:00,000000000123,5\n"
    page, token = chosen(english, content)
    assert "Say which column is the time." in page.text
    form = {
        "role": ["time", "meter", "value"], "meter": ["", "", ""], "quantity": ["", "", "1-0:5.8.0"], "unit": ["", "", "kvarh"],
        "zone": "Asia/Shanghai", "order": "dmy", "decimal": ".",
    }  # fmt: skip
    page = posted(english, f"{PAGE}/{token}/mapping", **form)
    assert "Import all 1 values" in page.text
    assert "is imported: 1 values stored" in posted(english, f"{PAGE}/{token}/apply").text
    again, _ = chosen(english, content.replace("5\n", "6\n"))
    assert "as for the last file with these headings" in again.text
    assert "is no longer here" in posted(english, f"{PAGE}/{token}/apply").text
