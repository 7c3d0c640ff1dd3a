"""An import does what its preview said: all of it, or nothing with every error named."""

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import process_time

import pytest
import xlsxwriter

from wattkeeper.kernel.feed import ChangeFeed
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry import importing
from wattkeeper.registry.importing import CellError, ExistingRows, ImportRefused, PlannedRow, RowAction
from wattkeeper.registry.models import AccountKind, PointKind
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import INSTALLATION_CHANGED, assign_account, install_meter, remove_meter
from wattkeeper.registry.sides import Shows

NOW = datetime(2026, 11, 26, tzinfo=UTC)

T0 = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
GOOD = {
    "link_code": "BUS-1",
    "address": "000000000201",
    "point_code": "P-201",
    "installed_at": "2026-03-01 08:00",
}


def file(*rows: dict[str, str]) -> bytes:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return "\n".join([",".join(keys), *(",".join(row.get(key, "") for key in keys) for row in rows)]).encode()


def preview(town, *rows, existing=ExistingRows.SKIP):
    with town.database.read() as session:
        return importing.preview(session, file(*rows), "meters.csv", existing=existing)


def apply(town, *rows, existing=ExistingRows.SKIP):
    with town.database.write() as session:
        return importing.apply(session, file(*rows), "meters.csv", existing=existing, now=NOW)


def everything(town) -> tuple:
    with town.database.read() as session:
        registry = Registry(session)
        return registry.counts(), registry.find_meters(limit=1000), registry.installations()


def installed(town) -> None:
    with town.database.write() as session:
        install_meter(session, point_id=town.points[0], meter_id=town.meters[0], at=T0, ct_ratio=Decimal(40))
        assign_account(session, point_id=town.points[0], account_id=town.accounts[0], at=T0)


INSTALLED = {
    "link_code": "BUS-1",
    "address": "000000000161",
    "point_code": "P-1",
    "installed_at": "2026-01-01 08:00",
}


def test_a_row_makes_everything_it_names(town):
    row = GOOD | {
        "link_code": "BUS-2",
        "link_url": "tcp://127.0.0.1:9000",
        "model": "DDZY-1",
        "register_digits": "5",
        "shows": "primary",
        "max_current_a": "60",
        "point_name": "2栋201",
        "point_kind": "商铺",
        "area_code": "A",
        "area_name": "东区",
        "interval_minutes": "30",
        "rated_power_kw": "7.5",
        "ct_ratio": "40",
        "pt_ratio": "100",
        "first_register": "12345.67",
        "account_code": "2001",
        "account_name": "李四",
        "account_kind": "商业",
        "phone": "13800000000",
    }
    done = apply(town, row)
    assert done.rows == (PlannedRow(2, RowAction.CREATE, "000000000201", "P-201", "2001"),)
    with town.database.read() as session:
        registry = Registry(session)
        (line,) = registry.find_meters(search="2栋201").rows
        assert (line.address, line.model, line.link_code, line.area_name) == (
            "000000000201",
            "DDZY-1",
            "BUS-2",
            "东区",
        )
        assert (line.point_kind, line.account_code, line.customer_name) == (PointKind.SHOP, "2001", "李四")
        (found,) = registry.installations(meter_ids=[line.meter_id])
        assert found.period == TimeRange(datetime(2026, 3, 1, tzinfo=UTC), None)  # 08:00 in Shanghai
        assert (found.first_register, found.ratio, found.register_digits) == (
            Decimal("12345.67"),
            Decimal(1),
            5,
        )
        assert (found.interval_minutes, found.rated_power_kw) == (30, Decimal("7.5"))
        meter = registry.get_meter(line.meter_id)
        assert (meter.shows, meter.max_current_a) == (Shows.PRIMARY, Decimal(60))
        account = registry.get_account(line.account_id)
        assert (account.kind, account.opened_at) == (AccountKind.COMMERCIAL, found.period.start)
        assert registry.get_customer(account.customer_id).phone == "13800000000"
        assert [paid.period for paid in registry.points_of_account(account.id)] == [found.period]
        (event,) = ChangeFeed().read(session, "readings", [INSTALLATION_CHANGED], 10)
        assert event.payload == {
            "point_id": line.point_id,
            "meter_id": line.meter_id,
            "start": "2026-03-01T00:00:00+00:00",
            "end": None,
        }


def test_a_preview_says_what_would_happen_and_changes_nothing(town):
    installed(town)
    before = everything(town)
    rows = (GOOD, INSTALLED | {"model": "NEW", "point_name": "renamed"})
    looked = preview(town, *rows, existing=ExistingRows.UPDATE)
    assert [row.action for row in looked.rows] == [RowAction.CREATE, RowAction.UPDATE]
    assert (looked.count(RowAction.CREATE), looked.errors) == (1, ())
    assert everything(town) == before
    assert apply(town, *rows, existing=ExistingRows.UPDATE) == looked


@pytest.mark.parametrize(
    ("existing", "action", "expected"),
    [
        (ExistingRows.SKIP, RowAction.SKIP, ("", "1栋101", 6, "张三")),
        (ExistingRows.UPDATE, RowAction.UPDATE, ("NEW", "renamed", 5, "张三丰")),
    ],
)
def test_what_is_there_is_left_alone_or_brought_up_to_date_as_chosen(town, existing, action, expected):
    installed(town)
    row = INSTALLED | {
        "model": "NEW",
        "point_name": "renamed",
        "register_digits": "5",
        "account_code": "100001",
        "account_name": "张三丰",
    }
    assert [planned.action for planned in apply(town, row, existing=existing).rows] == [action]
    with town.database.read() as session:
        registry = Registry(session)
        meter, point = registry.get_meter(town.meters[0]), registry.get_point(town.points[0])
        account = registry.get_account(town.accounts[0])
        assert (meter.model, point.name, meter.register_digits, account.name) == expected


def test_what_an_installed_meter_shows_is_not_changed_because_past_energy_rests_on_it(town):
    installed(town)
    (error,) = preview(town, INSTALLED | {"shows": "一次"}, existing=ExistingRows.UPDATE).errors
    assert (error.row, error.column, error.message) == (
        2,
        "shows",
        "Meter 000000000161 shows secondary values.",
    )


def test_an_empty_cell_leaves_a_value_as_it_is(town):
    installed(town)
    apply(town, INSTALLED | {"model": "M1", "rated_power_kw": "5"}, existing=ExistingRows.UPDATE)
    apply(town, INSTALLED | {"model": "", "rated_power_kw": ""}, existing=ExistingRows.UPDATE)
    with town.database.read() as session:
        registry = Registry(session)
        assert registry.get_meter(town.meters[0]).model == "M1"
        assert registry.get_point(town.points[0]).rated_power_kw == Decimal(5)


def test_the_same_file_twice_is_the_same_as_once(town):
    rows = (
        GOOD | {"account_code": "2001", "account_name": "李四"},
        GOOD | {"address": "000000000202", "point_code": "P-202"},
    )
    apply(town, *rows)
    before = everything(town)
    assert {row.action for row in apply(town, *rows).rows} == {RowAction.SKIP}
    assert everything(town) == before


def test_one_account_can_have_several_points(town):
    shared = {"account_code": "2001", "account_name": "李四"}
    apply(town, GOOD | shared, GOOD | shared | {"address": "000000000202", "point_code": "P-202"})
    with town.database.read() as session:
        registry = Registry(session)
        points = registry.points_of_account(registry.account_by_code("2001").id)
    assert [point.point_code for point in points] == ["P-201", "P-202"]


@pytest.mark.parametrize(
    ("row", "column", "sentence"),
    [
        pytest.param({"address": "201"}, "address", "has 12 digits", id="short_address"),
        pytest.param({"link_code": "BUS-9"}, "link_code", "no link BUS-9", id="unknown_link"),
        pytest.param({"link_code": "BUS-9", "link_url": "udp://x"}, "link_url", "", id="bad_url"),
        pytest.param({"link_url": "tcp://127.0.0.1:1"}, "link_url", "has the URL", id="other_url"),
        pytest.param({"site_code": "XX"}, "site_code", "no site XX", id="unknown_site"),
        pytest.param({"area_code": "Z"}, "area_code", "no area Z", id="unknown_area"),
        pytest.param({"installed_at": ""}, "installed_at", "needs its time", id="no_time"),
        pytest.param({"first_register": "1000000"}, "first_register", "6 digits", id="register_too_big"),
        pytest.param({"point_code": "P-1"}, "point_code", "has another meter", id="point_taken"),
        pytest.param({"address": "000000000161"}, "address", "another metering point", id="meter_taken"),
        pytest.param({"account_code": "2001"}, "account_name", "needs a name", id="account_without_name"),
        pytest.param(
            INSTALLED | {"account_code": "100002"},
            "account_code",
            "Another account pays",
            id="another_account",
        ),
        pytest.param(
            INSTALLED | {"ct_ratio": "50"}, "ct_ratio", "installed with 40 here", id="history_rewritten"
        ),
        pytest.param(
            INSTALLED | {"installed_at": "2026-01-02"}, "installed_at", "at 2026-01-01 08:00", id="other_time"
        ),
        pytest.param({"register_digits": "0"}, "register_digits", "from 1 to 12", id="unreadable_cell"),
    ],
)
def test_a_wrong_cell_is_named_with_its_row_and_column_and_what_to_do(town, row, column, sentence):
    installed(town)
    before = everything(town)
    other = {"address": "000000000209", "point_code": "P-209"}
    (error,) = preview(town, GOOD | other, GOOD | row).errors
    assert (error.row, error.column) == (3, column)
    assert sentence in error.message
    assert error.hint
    with pytest.raises(ImportRefused, match="nothing was imported") as refused:
        apply(town, GOOD | other, GOOD | row)
    assert refused.value.errors == (error,)
    assert everything(town) == before


def test_every_wrong_row_is_named_at_once(town):
    bad = [
        GOOD | {"address": "x"},
        GOOD | {"ct_ratio": "y", "installed_at": "z"},
        GOOD | {"link_code": "BUS-9"},
    ]
    assert [(error.row, error.column) for error in preview(town, *bad).errors] == [
        (2, "address"),
        (3, "installed_at"),
        (3, "ct_ratio"),
        (4, "link_code"),
        (4, "point_code"),
    ]


@pytest.mark.parametrize(
    ("row", "column", "what"),
    [
        ({"point_code": "P-202"}, "address", "meter 000000000201"),
        ({"address": "000000000202"}, "point_code", "metering point P-201"),
    ],
)
def test_a_meter_and_a_point_stand_in_one_row_only(town, row, column, what):
    errors = preview(town, GOOD, GOOD | row).errors
    assert (
        CellError(3, column, GOOD[column], f"Row 2 has {what} already.", "Remove one of the rows.") in errors
    )


def test_rows_that_name_one_account_differently_must_agree(town):
    rows = [
        GOOD | {"account_code": "2001", "account_name": "李四"},
        GOOD
        | {"address": "000000000202", "point_code": "P-202", "account_code": "2001", "account_name": "王五"},
    ]
    (error,) = preview(town, *rows).errors
    assert (error.row, error.column, error.message) == (
        3,
        "account_name",
        "An earlier row calls account 2001 李四.",
    )


def test_a_point_can_get_a_meter_again_from_the_moment_the_last_one_went(town):
    installed(town)
    with town.database.write() as session:
        remove_meter(session, point_id=town.points[0], at=T0 + 90 * DAY, last_register=None)
    row = {"link_code": "BUS-1", "address": "000000000162", "point_code": "P-1"}
    (error,) = preview(town, row | {"installed_at": "2026-04-01 07:59"}).errors
    assert (error.column, error.message) == (
        "installed_at",
        "The point or the meter was in use until 2026-04-01 00:00 UTC.",
    )
    apply(town, row | {"installed_at": "2026-04-01 08:00"})


def test_with_two_sites_a_row_must_say_which(town):
    with town.database.write() as session:
        Registry(session).add_site(code="BJ", name="北京", zone="Asia/Shanghai")
    (error,) = preview(town, GOOD).errors
    assert (error.column, error.hint) == ("site_code", "Use one of SH, BJ.")
    assert preview(town, GOOD | {"site_code": "BJ"}).errors == ()


def test_the_filled_template_is_imported(town):
    content = io.BytesIO(importing.template("zh"))
    table = importing.import_table.read_table(content.getvalue(), "template.xlsx")
    assert table.errors == ()
    filled = io.BytesIO()
    with xlsxwriter.Workbook(filled, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["通道编码 *", "表地址 *", "计量点编码 *", "安装时间", "户号", "户名"])
        sheet.write_row(1, 0, ["BUS-1", "000000000201", "P-201", "2026-03-01", "2001", "李四"])
    with town.database.write() as session:
        done = importing.apply(session, filled.getvalue(), "meters.xlsx", now=NOW)
    assert done.rows == (PlannedRow(2, RowAction.CREATE, "000000000201", "P-201", "2001"),)


def test_thousands_of_rows_are_one_quick_transaction(town):
    rows = [
        GOOD
        | {
            "address": f"{n:012}",
            "point_code": f"Q-{n}",
            "account_code": f"A-{n}",
            "account_name": f"用户{n}",
        }
        for n in range(10_000, 12_000)
    ]
    began = process_time()
    done = apply(town, *rows)
    assert (done.count(RowAction.CREATE), done.errors) == (2_000, ())
    assert process_time() - began < 8, "2,000 new meters (12,000 rows in the database) take about 1.5 s"
    assert everything(town)[0].meters == 2_003
