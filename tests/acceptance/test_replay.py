"""`wattkeeper replay`: a recording shown again, for people and for machines."""

import json
from datetime import UTC, datetime, timedelta

from wattkeeper.links.recording import Recording, written
from wattkeeper.links.traffic import Traffic
from wattkeeper.protocols.dlt645.frames import Frame

AT = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)


def chunk(number: int, data: bytes, note: str | None = None) -> Traffic:
    return Traffic("bus", AT + timedelta(milliseconds=number), "rx", data, note)


def test_a_recording_is_shown_again_frame_by_frame(wattkeeper, tmp_path):
    file = tmp_path / "odd.jsonl"
    reading = Frame("000000000161", 0x91, bytes.fromhex("0000010026000000")).encode()
    spoilt = reading[:-2] + bytes((reading[-2] ^ 1, reading[-1]))
    passed = (chunk(0, reading[:7]), chunk(8, reading[7:]), chunk(900, spoilt, "unasked"))
    file.write_text(written(Recording("bus", AT, passed)), encoding="utf-8")
    shown = wattkeeper("replay", str(file), "--json")
    assert shown.returncode == 1
    told = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [(one["check"], one["gap_ms"], one["note"], one["summary"]) for one in told] == [
        ("ok", None, None, "000000000161 answers 91 read 00010000: active_energy_import 0.26 kWh"),
        ("wrong", 892.0, "unasked", f"broken: checksum {spoilt[-2]:02X} expected {reading[-2]:02X}"),
    ]
    assert "0.26 kWh" not in wattkeeper("replay", str(file), "--wrong").stdout


def test_what_is_no_recording_is_said_in_a_sentence(wattkeeper, tmp_path):
    file = tmp_path / "picture.jsonl"
    file.write_bytes(b"\x89PNG\r\n")
    for path in (file, tmp_path / "absent.jsonl"):
        shown = wattkeeper("replay", str(path))
        assert (shown.returncode, "cannot be read" in shown.stderr) == (1, True)
        assert "Traceback" not in shown.stderr


def test_a_recording_is_never_written_over(wattkeeper, tmp_path):
    file = tmp_path / "kept.jsonl"
    file.write_text("somebody's work")
    shown = wattkeeper("monitor", "--link", "tcp://127.0.0.1:9", "--record", str(file))
    assert (shown.returncode, "exists already" in shown.stderr) == (1, True)
    assert file.read_text() == "somebody's work"
