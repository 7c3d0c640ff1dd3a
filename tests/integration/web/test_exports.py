"""Tables as files, through the server: as the page shows them, no more than one may see, and on record."""

import csv
import io
import re
from datetime import datetime
from decimal import Decimal
from urllib.parse import unquote

import pyarrow as pa
import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import select
from tests.integration.web.conftest import add_user, signed_in

from wattkeeper.collection.commands.kinds import CommandKind
from wattkeeper.collection.commands.service import Wanted
from wattkeeper.monitoring.values import FindingFilter
from wattkeeper.readings.editing.values import INTERVAL_EDIT_SCHEMA
from wattkeeper.registry.models import Area
from wattkeeper.security.acting import Actor, ActorKind, acting
from wattkeeper.security.models import AuditEvent
from wattkeeper.security.rights import Role
from wattkeeper.web.access import routes

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def table(answer):
    """The rows of a CSV or of a workbook's first sheet."""
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"] == XLSX:
        return CalamineWorkbook.from_filelike(io.BytesIO(answer.content)).get_sheet_by_index(0).to_python()
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))


def addresses(town, browser):
    """Every file that the console offers, with ids of the town filled in."""
    account = town.accounts["000000000100"]
    with town.database.read() as session:
        bill = town.billing.bills(account_id=account).items[0].id
        area = session.scalars(select(Area.id).where(Area.code == "A1")).one()
    alarms = [row.id for row in town.monitoring.findings(FindingFilter(state="all")).rows]
    told = town.commands.ask(
        Wanted(
            kind=CommandKind.SET_CLOCK, meter_ids=[town.meters["000000000100"]], reason="For a file of it"
        ),
        now=town.now,
    )
    (told_command,) = town.commands.commands(batch_id=told.id)
    changed = pa.Table.from_pylist(
        [{"point_id": town.points["000000000100"], "quantity": "active_energy_import", "start_at": town.now.replace(hour=1, minute=0, second=0), "energy": Decimal(1)}],
        INTERVAL_EDIT_SCHEMA,
    )  # fmt: skip
    with acting(Actor(ActorKind.USER, "li", user_id=901)):
        edit = town.editing.propose_intervals(changed, "For a file of it", now=town.now)
    known = {
        "edit_id": edit.id, "batch_id": told.id, "command_id": told_command.id, "meter_id": town.meters["000000000100"], "point_id": town.points["000000000100"], "account_id": account,
        "bill_id": bill, "code": "north", "area_id": area, "alarm_id": alarms[0] if alarms else None, "token": "-",
    }  # fmt: skip
    paths = [route.path for route in routes(browser.app) if route.path.endswith((".csv", ".xlsx"))]
    return {
        path: path.format_map({**known, "customer_id": 1, "user_id": 1, "job_id": 1})
        for path in paths
        if alarms or "{alarm_id}" not in path
    }


def test_every_file_of_the_console_opens_and_both_kinds_say_the_same(client, town, browser):
    files = addresses(town, browser)
    assert len(files) >= 24
    for path, address in files.items():
        if path.endswith(".xlsx") or path.startswith(("/import", "/jobs/", "/portal")):
            continue  # these need an upload, a run, and a customer: below, and in their own tests
        as_csv = table(client.get(address))
        as_xlsx = table(client.get(address.removesuffix("csv") + "xlsx"))
        assert as_csv[0] == as_xlsx[0], path
        if path != "/audit.csv":  # taking the first file is itself on record by the second
            assert len(as_csv) == len(as_xlsx), path


def test_the_list_of_meters_keeps_its_filter_and_sort(client):
    rows = table(client.get("/meters.xlsx?search=00000000010&sort=address&descending=1"))
    assert [row[0] for row in rows[1:]] == [f"00000000010{n}" for n in range(9, -1, -1)]
    assert rows[0] == [
        "表号", "计量点", "台区", "通道", "状态", "正向有功示数 (kWh)", "功率 (kW)", "最近读数 (Asia/Shanghai)",
    ]  # fmt: skip
    last = rows[-1]
    assert last[:5] == ["000000000100", "1号楼101室", "1号公变台区", "北区集中", "正常"]
    assert isinstance(last[5], float)
    assert last[6:] == [0.56, datetime.fromisoformat("2026-11-22T17:36:45")]


def test_both_files_are_named_and_can_be_kept_apart(client):
    answer = client.get("/meters.xlsx?search=nobody")
    named = answer.headers["content-disposition"]
    assert 'filename="meters-2026-11-22.xlsx"' in named
    assert "电表 2026-11-22.xlsx" in unquote(named)
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "content-encoding" not in answer.headers or answer.headers["content-encoding"] == "identity"
    assert client.get("/meters.csv").headers["cache-control"] == "no-store"


def test_a_day_of_a_load_curve_is_96_quarter_hours_with_what_they_rest_on(client, town):
    point = town.points["000000000100"]
    rows = table(
        client.get(f"/points/{point}/load-curve.xlsx?start=2026-11-20T16:00:00Z&end=2026-11-21T16:00:00Z")
    )
    assert rows[0] == [
        "起 (Asia/Shanghai)", "止 (Asia/Shanghai)", "起始时刻 (UTC)", "电量 (kWh)", "平均功率 (kW)", "数据状态",
    ]  # fmt: skip
    assert len(rows) == 97
    assert rows[2][:3] == [
        datetime.fromisoformat("2026-11-21T00:15:00"), datetime.fromisoformat("2026-11-21T00:30:00"), "2026-11-20T16:15:00Z",
    ]  # fmt: skip
    assert rows[1][4] == pytest.approx(rows[1][3] * 4)
    assert {row[5] for row in rows[1:]} == {"实测"}


def test_a_bill_is_a_table_of_its_lines_that_sums_to_its_total(client, town):
    bill = town.billing.bill(town.bills[0])
    rows = table(client.get(f"/bills/{bill.id}/lines.xlsx"))
    place = rows[0].index("金额 (CNY)")
    assert round(sum(row[place] for row in rows[1:]), 2) == float(bill.total.amount)


def test_money_says_its_currency_in_the_heading(english):
    assert table(english.get("/accounts.csv"))[0] == [
        "Account number",
        "Name",
        "Kind",
        "Tariff",
        "Owes (CNY)",
    ]


def test_a_file_holds_no_more_than_one_may_see(town, browser):
    with town.database.read() as session:
        area = session.scalars(select(Area.id).where(Area.code == "A2")).one()
    limited = signed_in(browser.app, add_user(town, "export-a2", Role.ANALYST, areas=frozenset({area})))
    assert {row[2] for row in table(limited.get("/meters.csv"))[1:]} == {"2号公变台区"}
    assert len(table(limited.get("/accounts.xlsx"))) == 6
    home = "000000000100"
    for hidden in (
        f"/points/{town.points[home]}/load-curve.csv",
        f"/meters/{town.meters[home]}/values.csv",
        f"/meters/{town.meters[home]}/installations.xlsx",
        f"/accounts/{town.accounts[home]}/statement.csv",
        f"/accounts/{town.accounts[home]}/bills.xlsx",
    ):
        assert limited.get(hidden).status_code == 404, hidden


def test_a_file_needs_the_right_of_its_page(town, browser):
    clerk = signed_in(browser.app, add_user(town, "export-clerk", Role.CLERK))
    assert clerk.get("/links.csv").status_code == 403
    assert clerk.get("/bills.xlsx").status_code == 200
    operator = signed_in(browser.app, add_user(town, "export-operator", Role.OPERATOR))
    assert operator.get("/bills.csv").status_code == 403
    assert operator.get("/accounts.csv").status_code == 403


def test_who_takes_a_file_is_on_record(client, town):
    client.get("/meters.xlsx?search=0000000001&lang=zh")
    with town.database.read() as session:
        event = session.scalars(
            select(AuditEvent).where(AuditEvent.action == "export").order_by(AuditEvent.id.desc()).limit(1)
        ).one()
    assert (event.actor_name, event.subject_kind, event.subject_id, event.subject_name, event.after) == (
        "chief", "table", "meters", "/meters.xlsx", {"format": "xlsx", "filter": "search=0000000001&lang=zh"},
    )  # fmt: skip


def test_pages_offer_their_files_with_their_filter(client, town):
    assert 'href="/meters.xlsx?search=101&amp;sort=link"' in client.get("/meters?search=101&sort=link").text
    curve = {"hx-request": "true", "hx-target": "section#curve"}
    meter = client.get(f"/meters/{town.meters['000000000100']}", headers=curve).text
    assert (
        f"/points/{town.points['000000000100']}/load-curve.csv?start=2026-11-21T16:00:00Z&amp;end=" in meter
    )


def test_a_wrong_address_is_a_sentence_before_anything_is_sent(client):
    assert client.get("/bills/999999/lines.csv").status_code == 404
    assert client.get("/meters.csv?sort=price").status_code == 422


def test_the_wrong_cells_of_an_import_are_a_file_for_whoever_corrects_them(english):
    head = "Link code,Meter address,Point code,Point name,Installed at\n"
    page = english.post(
        "/import/preview", files={"file": ("m.csv", head + "north,12,P900,=1+1,2026-11-01\n")}
    ).text
    address = re.search(r'href="(/import/preview/[^"/]+/errors)\.csv"', page)[1]
    wrong = table(english.get(f"{address}.xlsx"))
    assert wrong[0] == ["Row", "Column", "Cell", "What is wrong"]
    assert [row[:1] + row[2:3] for row in wrong[1:]] == [[2.0, "12"]]
    assert table(english.get(f"{address.replace('errors', 'rows')}.csv"))[0][1] == "What happens"
    assert english.get("/import/preview/gone/errors.csv").status_code == 400
