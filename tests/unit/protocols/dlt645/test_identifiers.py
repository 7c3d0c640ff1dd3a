"""The shipped table says of every identifier what the standard's lists say."""

import csv
import re
import runpy
from decimal import Decimal
from pathlib import Path

import pytest

from wattkeeper.protocols.dlt645 import lookup
from wattkeeper.protocols.dlt645.edition1997 import lookup as lookup_1997
from wattkeeper.protocols.dlt645.identifiers import TABLE_1997, TABLE_2007
from wattkeeper.protocols.dlt645.layouts import layout_of

REPOSITORY = Path(__file__).resolve().parents[4]
SHIPPED = REPOSITORY / "src/wattkeeper/protocols/dlt645"


def _rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_identifier_of_the_standard_is_found_with_its_meaning(shared):
    rows = _rows(shared / "facts/dlt645_di.csv")
    assert len(rows) == 8147
    for row in rows:
        found = lookup(row["di"])
        assert (
            found.name_zh, found.name_en, found.format, found.size, found.unit, found.signed, found.access, found.source,
        ) == (
            row["name_zh"], row["name_en"], row["format"], row["bytes"], row["unit"], row["signed"] == "yes", row["rw"],
            row["source"],
        ), row["di"]  # fmt: skip
        assert found.scale == (Decimal(row["scale"]) if row["scale"] and found.scale is not None else None)


def test_every_pattern_of_the_standard_is_found_with_its_length_unit_and_sign(shared):
    for row in _rows(shared / "facts/dlt645_di_patterns.csv"):
        pattern = row["pattern"]
        if "[" not in pattern:
            continue
        for tariff in (0, 1, 8, 9, 0x3F):
            for settlement in (0, 1, 0x0C):
                found = lookup(f"{pattern[:4]}{tariff:02X}{settlement:02X}")
                assert (found.format, found.size, found.unit, str(found.scale), found.signed) == (
                    row["format"], row["bytes"], row["unit"], row["scale"], row["signed"] == "yes",
                )  # fmt: skip


def test_every_block_pattern_of_the_standard_has_a_layout_of_its_members(shared):
    patterns = [row["pattern"] for row in _rows(shared / "facts/dlt645_di_patterns.csv")]
    assert len(patterns) == 24
    members = {"00ZZFFKK": 64, "00ZZTTFF": 13, "01ZZTTFF": 13}
    assert {pattern for pattern in patterns if "[" not in pattern} == set(members)
    for pattern, most in members.items():
        for kind in range(1, 0x0B):
            di = pattern.replace("ZZ", f"{kind:02X}").replace("TT", "04").replace("KK", "01")
            layout = layout_of(di)
            assert [layout.counts[size] for size in sorted(layout.counts)] == list(range(1, most + 1)), di


def test_every_row_of_the_standard_survives_the_round_trip(shared):
    for row in _rows(shared / "facts/dlt645_di.csv"):
        layout = layout_of(row["di"])
        assert layout is not None, row["di"]
        for size, count in list(layout.counts.items())[:1] + list(layout.counts.items())[-1:]:
            values = layout.decode(bytes(size))
            assert len(values) == count
            assert len(layout.encode([(value.value, value.occurred_at) for value in values])) == size


def test_every_1997_identifier_is_found_with_its_meaning(shared):
    rows = _rows(shared / "facts/dlt645_1997_di.csv")
    assert len(rows) == 1332
    for row in rows:
        found = lookup_1997(row["di"])
        assert (found.name_zh, found.name_en, found.format, found.size, found.unit) == (
            row["name_zh"], row["name_en"], row["format"], row["bytes"], row["unit"],
        )  # fmt: skip


def test_the_shipped_tables_are_what_the_tool_builds(shared, tmp_path):
    tool = runpy.run_path(str(REPOSITORY / "tools/build_identifiers.py"))
    tool["main"].__globals__["TARGET"] = tmp_path
    tool["main"](shared / "facts")
    for name in ("identifiers_2007.tsv", "identifiers_1997.tsv", "event_records.tsv"):
        assert (tmp_path / name).read_text("utf-8") == (SHIPPED / name).read_text("utf-8")


def test_keys_are_unique_snake_case_names():
    for table in (TABLE_2007, TABLE_1997):
        keys = [table.lookup(di).key for di in table]
        assert len(set(keys)) == len(keys)
        assert all(re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", key) for key in keys)


def test_lower_case_digits_are_the_same_identifier():
    assert lookup("0001ff00") == lookup("0001FF00")


@pytest.mark.parametrize(
    "di",
    ["", "0", "00014000", "0001000D", "FFFFFFFF", "0001000", "000100000", "0001[01-3F]00", "{0}", "ZZZZZZZZ"],
)
def test_what_the_table_lacks_is_none(di):
    assert lookup(di) is None


def test_every_identifier_has_a_layout_that_agrees_with_its_length():
    for di in TABLE_2007:
        layout, size = layout_of(di), lookup(di).size
        if size.isdecimal():
            assert max(layout.counts) == int(size), di
        elif "*" in size:
            assert min(layout.counts) == int(size.partition("*")[0]), di


def test_combined_energies_are_signed_and_others_are_not():
    signs = {
        di: lookup(di).signed
        for di in ("00000000", "00010000", "00020000", "00030000", "00040000", "00050000")
    }
    assert signs == {
        "00000000": True, "00010000": False, "00020000": False, "00030000": True, "00040000": True, "00050000": False,
    }  # fmt: skip
