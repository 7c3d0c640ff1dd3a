"""`wattkeeper clean`: a file of any of the three kinds comes out whole, with a status, a method and an error per value."""

import csv
import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from wattkeeper.cli.main import application
from wattkeeper.readings.cleaning.cleaning import clean
from wattkeeper.readings.cleaning.kinds import Kind, Stamp
from wattkeeper.readings.cleaning.report import report
from wattkeeper.readings.cleaning.values import Choices, CleaningError
from wattkeeper.readings.errors import ReadingsError

SHANGHAI = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 3, 2)  # noqa: DTZ001  civil time, as files have it; a Monday
HALF_HOUR = timedelta(minutes=30)
CHOICES = Choices(zone=SHANGHAI)


def home(slot: int) -> str:
    """0.4 kWh each half hour, 1.6 from 18:00 to 22:00."""
    return "1.6" if 36 <= slot % 48 < 44 else "0.4"


def written(path: Path, *rows: tuple, heading: tuple = ("time", "meter", "kwh")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heading, *rows])
    return path


def three_weeks(meter: str = "A", *, without: range = range(0)) -> list[tuple]:
    return [
        (f"{START + n * HALF_HOUR:%Y-%m-%d %H:%M}", meter, home(n))
        for n in range(21 * 48)
        if n not in without
    ]


def run(*arguments: object, language: str = "en"):
    return CliRunner().invoke(
        application(["clean"]), ["clean", *map(str, arguments)], env={"WATTKEEPER_LANGUAGE": language}
    )


def test_a_gap_in_energies_is_filled_from_like_days_and_says_so(tmp_path):
    evening = range(10 * 48 + 34, 10 * 48 + 46)  # 17:00 to 23:00 of the eleventh day
    cleaned = clean(written(tmp_path / "home.csv", *three_weeks(without=evening)), CHOICES)
    rows = cleaned.table.to_pylist()
    assert len(rows) == 21 * 48
    assert [row["value"] for row in rows[:3]] == [Decimal("0.4")] * 3
    filled = [rows[n] for n in evening]
    assert {(row["status"], row["method"]) for row in filled} == {("estimated", "history")}
    assert all(
        abs(row["value"] - Decimal(home(n))) < Decimal("0.01") for n, row in zip(evening, filled, strict=True)
    )
    assert all(row["error"] is not None and row["error"] < Decimal("0.1") for row in filled)
    measured = [row for row in rows if row["status"] == "measured"]
    assert len(measured) == 21 * 48 - 12
    assert {row["error"] for row in measured} == {None}
    facts = cleaned.facts
    assert (facts.kind, facts.kind_found, facts.step_minutes, facts.gap_count) == (Kind.ENERGIES, True, 30, 1)


def test_registers_become_energies_that_add_up_to_what_was_counted(tmp_path):
    rows, counted = [], Decimal(1000)
    registers = {}
    for n in range(21 * 48 + 1):
        registers[n] = counted
        if not 10 * 48 + 34 < n < 10 * 48 + 46:
            rows.append((f"{START + n * HALF_HOUR:%Y-%m-%d %H:%M}", "A", str(counted)))
        counted += Decimal(home(n))
    cleaned = clean(written(tmp_path / "registers.csv", *rows, heading=("time", "meter", "reading")), CHOICES)
    assert (cleaned.facts.kind, cleaned.facts.kind_found) == (Kind.REGISTERS, True)
    energies = cleaned.table["value"].to_pylist()
    assert sum(energies) == registers[21 * 48] - registers[0]
    gap = cleaned.table.to_pylist()[10 * 48 + 34 : 10 * 48 + 46]
    assert {row["method"] for row in gap} == {"profile"}
    assert sum(row["value"] for row in gap) == registers[10 * 48 + 46] - registers[10 * 48 + 34]
    assert gap[0]["value"] < gap[5]["value"]


def test_one_column_per_meter_is_read_as_well(tmp_path):
    rows = [
        (f"{START + n * HALF_HOUR:%Y-%m-%d %H:%M}", home(n), "" if n in (100, 101) else "2")
        for n in range(14 * 48)
    ]
    cleaned = clean(written(tmp_path / "wide.csv", *rows, heading=("时间", "户1", "户2")), CHOICES)
    assert cleaned.names == ("户1", "户2")
    second = [row for row in cleaned.table.to_pylist() if row["meter"] == "户2"]
    assert {row["method"] for row in second[100:102]} == {"history"}
    assert all(abs(row["value"] - 2) < Decimal("0.01") for row in second)


def test_a_meter_with_too_few_days_is_filled_from_the_others(tmp_path):
    rows = [row for meter in "ABC" for row in three_weeks(meter)]
    rows += [
        (time, "D", str(2 * Decimal(value))) for time, _, value in three_weeks(without=range(30, 40))[:86]
    ]
    cleaned = clean(written(tmp_path / "homes.csv", *rows), CHOICES)
    young = [row for row in cleaned.table.to_pylist() if row["meter"] == "D"]
    filled = young[30:40]
    assert {(row["status"], row["method"]) for row in filled} == {("estimated", "peers")}
    # From 15:00 to 20:00 the others go from a low to a high use; so does this one, at its own level.
    assert filled[8]["value"] == pytest.approx(4 * filled[0]["value"], rel=Decimal("0.001"))


def test_a_gap_that_nothing_tells_of_stays_missing(tmp_path):
    cleaned = clean(written(tmp_path / "young.csv", *three_weeks(without=range(30, 40))[:86]), CHOICES)
    gap = cleaned.table.to_pylist()[30:40]
    assert {(row["value"], row["status"], row["method"], row["error"]) for row in gap} == {
        (None, "missing", "none", None)
    }


def test_row_4012_is_named_and_the_others_are_used(tmp_path):
    rows = [row for meter in ("A", "B", "C", "D", "E") for row in three_weeks(meter)]
    rows[4010] = (rows[4010][0], "D", "n/a")  # the headings are row 1
    rows[4020] = ("yesterday", "D", "0.4")
    path = written(tmp_path / "broken.csv", *rows)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[4030] = lines[4030].replace(",D,", ",D,x,")
    path.write_text("\n".join(lines), encoding="utf-8")
    result = run(path, "-o", tmp_path / "out.parquet", "--zone", "Asia/Shanghai")
    assert result.exit_code == 0, result.output
    assert "Rows that cannot be read: 3 (the others were used)" in result.output
    assert "  row 4,012 kwh: 'n/a': no number" in result.output
    assert "  row 4,022 time: 'yesterday': no date and time" in result.output
    assert "  row 4,031: '4': another number of cells than the headings" in result.output
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.num_rows == 5 * 21 * 48
    assert sum(status == "estimated" for status in table["status"].to_pylist()) == 3


def test_a_spike_is_told_kept_and_replaced_on_demand(tmp_path):
    rows = three_weeks()
    rows[15 * 48 + 6] = (rows[15 * 48 + 6][0], "A", "250")
    path = written(tmp_path / "spike.csv", *rows)
    told = clean(path, CHOICES).table.to_pylist()[15 * 48 + 6]
    assert (told["value"], told["status"]) == (Decimal(250), "suspect")
    replaced = clean(path, Choices(zone=SHANGHAI, replace_suspect=True)).table.to_pylist()[15 * 48 + 6]
    assert (replaced["status"], replaced["method"]) == ("estimated", "history")
    assert replaced["value"] == pytest.approx(Decimal("0.4"), abs=Decimal("0.01"))


def test_a_midnight_at_the_end_of_its_own_date_is_the_end_of_that_day(tmp_path):
    rows = []
    for day in range(10):
        for slot in range(1, 49):
            at = START + timedelta(days=day) + slot % 48 * HALF_HOUR
            rows.append((f"{at:%Y-%m-%d %H:%M}", "A", str(Decimal(slot) / 10)))
    cleaned = clean(written(tmp_path / "plant.csv", *rows), CHOICES)
    assert (cleaned.facts.stamp, cleaned.facts.stamp_found) == (Stamp.END, True)
    values = cleaned.table["value"].to_pylist()
    assert values == [Decimal(slot) / 10 for slot in range(1, 49)] * 10
    assert cleaned.table["time"][0].as_py() == START.replace(tzinfo=SHANGHAI)


def test_civil_times_of_a_clock_change_are_written_with_their_offsets(tmp_path):
    first = datetime(2026, 3, 27)  # noqa: DTZ001  civil time
    rows = [
        (f"{at:%Y-%m-%d %H:%M}", "A", "1")
        for n in range(4 * 24)
        if (at := first + timedelta(hours=n)) != datetime(2026, 3, 29, 2)  # noqa: DTZ001
    ]
    target = tmp_path / "out.csv"
    result = run(written(tmp_path / "berlin.csv", *rows), "-o", target, "--zone", "Europe/Berlin")
    assert result.exit_code == 0, result.output
    with target.open(encoding="utf-8") as file:
        times = [row["time"] for row in csv.DictReader(file)]
    assert len(times) == 95
    assert times[49:51] == ["2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"]


def test_the_report_is_in_chinese_where_the_language_is(tmp_path):
    path = written(tmp_path / "home.csv", *three_weeks(without=range(100, 110)))
    result = run(path, "--zone", "Asia/Shanghai", language="zh")
    assert result.exit_code == 0, result.output
    assert "数值：区间电量（自动识别）" in result.output
    assert "按自身相似日估计：10 (0.99 %)" in result.output
    assert (tmp_path / "home.clean.csv").exists()
    english = report(clean(path, CHOICES), SHANGHAI, chinese=False)
    assert not any("\u4e00" <= letter <= "\u9fff" for line in english for letter in line)


def test_machines_get_one_json_object(tmp_path):
    path = written(tmp_path / "home.csv", *three_weeks(without=range(100, 110)))
    told = json.loads(run(path, "--json").output)
    assert (told["rows"], told["values"], told["gaps"]) == (998, "energies", 1)
    assert told["methods"] == {"measured": 998, "history": 10}


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("a,b\n1,2\n", {}, "known to be its time"),
        ("time,kwh\n2026-01-01 00:00,1\n", {}, "two values"),
        ("time,kwh\nx,1\ny,2\n", {}, "can be read"),
        ("time,kwh\n2026-01-01 00:00,1\n2026-01-01 00:07,1\n", {}, "does not divide a day"),
        ("time,kwh\n2026-01-01 00:00,1\n", {"meter": "who"}, "no column 'who'"),
    ],
)
def test_what_cannot_be_cleaned_is_told(tmp_path, content, options, said):
    path = tmp_path / "file.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ReadingsError, match=said):
        clean(path, Choices(zone=SHANGHAI, **options))


def test_the_raw_file_is_never_written_over(tmp_path):
    path = written(tmp_path / "home.csv", *three_weeks())
    before = path.read_bytes()
    result = run(path, "-o", path)
    assert isinstance(result.exception, CleaningError)
    assert path.read_bytes() == before
    assert isinstance(run(path, "-o", tmp_path / "out.xml").exception, CleaningError)


def test_a_real_load_keeps_every_measured_value_to_the_digit(shared, tmp_path):
    source = shared / "data" / "guangdong_region_15min.parquet"
    given = pq.read_table(source).slice(
        49_000, 6_000
    )  # 14 June 2019 with its sixteen missing hours is among them
    path = tmp_path / "region.parquet"
    pq.write_table(given, path)
    cleaned = clean(path, CHOICES)
    rows = cleaned.table.to_pylist()
    kept = [row["value"] for row in rows if row["method"] == "measured"]
    assert kept == [Decimal(repr(kw)).quantize(Decimal("0.0001")) for kw in given["kw"].to_pylist()]
    estimated = [row for row in rows if row["status"] == "estimated"]
    assert len(estimated) == 64
    assert all(0 < row["error"] < row["value"] for row in estimated)
