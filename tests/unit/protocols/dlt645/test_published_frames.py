"""Every published frame, and every frame built from the standard's text, is understood as its source says."""

import json
from datetime import datetime
from decimal import Decimal

import pytest

from wattkeeper.protocols.dlt645 import BrokenFrame, Frame, FrameError, FrameReader
from wattkeeper.protocols.dlt645.anatomy import name_of, plain
from wattkeeper.protocols.dlt645.explain import explain

EDITIONS = {"645-2007": "dlt645-2007", "645-1997": "dlt645-1997"}


def _load(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def published(shared):
    return [case for case in _load(shared / "cases/frames.jsonl") if case["proto"] in EDITIONS]


@pytest.fixture(scope="module")
def constructed(shared):
    return _load(shared / "cases/dlt645_constructed_vectors.jsonl")


def test_the_files_hold_what_we_think(published, constructed):
    assert (len(published), len(constructed)) == (122, 85)


def test_every_good_published_frame_means_what_was_published(published):
    for case in published:
        if case["valid"]:
            _assert_meaning(case["hex"], case["proto"], case["meaning"])


def test_every_bad_published_frame_is_refused_for_the_published_reason(published):
    bad = [case for case in published if not case["valid"]]
    assert len(bad) == 9
    for case in bad:
        raw = bytes.fromhex(case["hex"])
        with pytest.raises(FrameError) as refused:
            Frame.decode(raw)
        assert refused.value.reason == case["known_bad"]
        assert explain(raw).as_json() == {"valid": False, "error": case["known_bad"]}
        assert not any(isinstance(event, Frame) for event in FrameReader().feed(raw))


def test_every_constructed_frame_means_what_the_standard_says(constructed):
    for case in constructed:
        _assert_meaning(case["hex"], case["proto"], case["decoded"])


def test_the_reader_finds_every_good_frame_in_one_long_stream(published, constructed):
    cases = [case for case in published if case["valid"]] + constructed
    stream = b"\x00\x68\xff".join(bytes.fromhex(case["hex"]) for case in cases)
    found = [event for event in FrameReader().feed(stream) if not isinstance(event, BrokenFrame)]
    assert found == [Frame.decode(bytes.fromhex(case["hex"])) for case in cases]


def _assert_meaning(text, proto, meaning):
    raw = bytes.fromhex(text)
    found = explain(raw)
    assert found.valid, text
    frame = found.frame
    assert frame is not None
    assert frame.address == meaning["address"]
    assert frame.control == int(meaning["control"], 16)
    assert frame.from_meter == meaning["from_slave"]
    assert frame.is_error == meaning["error"]
    assert not frame.from_meter or frame.has_more == meaning["follow_up"]
    assert len(frame.body) == meaning["length"]
    assert frame.encode(meaning["preamble_fe"]) == raw
    assert b"".join(part.octets for part in found.parts) == raw
    if frame.function == 0x08:
        assert found.protocol == "dlt645-2007"  # both editions share 08H
    elif meaning["function"] != "0x12":  # a 1997 log holds one frame with a function number of 2007
        assert found.protocol == EDITIONS[proto]
        assert found.function == meaning["function"]
    _assert_data(found, meaning)


def _assert_data(found, meaning):
    fields = found.anatomy.fields
    if meaning.get("di") and not found.frame.is_error:
        assert found.anatomy.identifier == meaning["di"]
        named = name_of(meaning["di"])
        assert (named.name_en if named else None) == meaning.get("name")
    for key in ("pa", "password", "operator", "n2", "new_address", "meter_address"):
        assert key not in meaning or fields[key] == meaning[key]
    for key in ("freeze_at", "valid_until", "start"):
        assert key not in meaning or fields[key] == meaning[key]["digits"]
    for key, said in (("seq", str), ("records", "{:02d}".format), ("baud_word", str)):
        assert key not in meaning or fields[key].startswith(said(meaning[key]))
    if meaning["function"] == "broadcast_time" and meaning["length"] and "time" in meaning:
        assert fields["time"] == meaning["time"]["digits"]
    if "action" in meaning:
        assert fields["action"] == f"{meaning['n1']} ({meaning['action']})"
    if "err" in meaning:
        error = found.as_json()["meter_error"]
        assert (error["err"], error["err_bits"]) == (meaning["err"], meaning["err_bits"])
    _assert_values(found, meaning)


def _assert_values(found, meaning):
    expected = meaning.get("values", [meaning["value"]] if "value" in meaning else None)
    if expected is None:
        return
    if isinstance(expected[0], dict) and "raw" in expected[0]:
        assert found.values == ()
        assert found.anatomy.problem
        return
    assert [_comparable(value) for value in found.values] == [_expected(item) for item in expected]
    assert {value.unit for value in found.values} == {meaning.get("unit", "")}
    if "time" in meaning:  # a maximum demand
        assert f"{found.values[0].occurred_at:%y%m%d%H%M}" == meaning["time"]["digits"]


def _comparable(value):
    return plain(value) if isinstance(value.value, Decimal) else value.value


def _expected(item):
    return item["digits"] if isinstance(item, dict) else item


def test_load_record_vectors_hold_what_their_notes_say(constructed):
    by_name = {case["name"]: explain(bytes.fromhex(case["hex"])) for case in constructed}
    full = {value.identifier: value for value in by_name["load_rep_full"].values}
    assert len(full) == 29
    assert full["02020300"].value == Decimal("-1.502")
    assert full["02030300"].value == Decimal("-0.1100")
    assert full["02060300"].value == Decimal("-0.993")
    assert full["00040000"].value == Decimal("-2.00")
    assert full["00010000"].occurred_at == datetime(2025, 11, 2, 23, 45)  # noqa: DTZ001 - a meter's clock
    assert [value.identifier for value in by_name["load_rep_class1"].values] == [
        "02010100", "02010200", "02010300", "02020100", "02020200", "02020300", "02800002",
    ]  # fmt: skip
    assert by_name["load_none"].values == ()
