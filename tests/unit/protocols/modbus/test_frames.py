"""Frames are found whole and sound, however the line cuts and disturbs them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU, FramerSocket

from wattkeeper.protocols.modbus import BrokenFrame, Frame, FrameError, RtuReader, TcpReader
from wattkeeper.protocols.modbus.crc import crc16
from wattkeeper.protocols.modbus.explain import explain

REQUEST = bytes.fromhex("01040000000271CB")
REPLY = bytes.fromhex("010404436633341B38")

replies = st.builds(
    lambda unit, function, data: Frame(unit, function, bytes((len(data),)) + data),
    st.integers(1, 247),
    st.sampled_from([1, 2, 3, 4, 0x17]),
    st.binary(min_size=1, max_size=250),
)


def frames_of(events):
    return [event for event in events if isinstance(event, Frame)]


@given(st.binary(max_size=300))
def test_the_crc_is_pymodbus_s(octets):
    assert crc16(octets).to_bytes(2, "little") == FramerRTU.compute_CRC(octets).to_bytes(2, "big")


@given(replies)
def test_what_is_encoded_is_decoded(frame):
    assert Frame.decode_rtu(frame.encode()) == frame
    tcp = frame._replace(transaction=7)
    assert Frame.decode_tcp(tcp.encode()) == tcp


@given(replies)
def test_pymodbus_s_framers_build_and_take_the_same_bytes(frame):
    from pymodbus.pdu import DecodePDU

    pdu = bytes((frame.function,)) + frame.body
    rtu, tcp = FramerRTU(DecodePDU(is_server=False)), FramerSocket(DecodePDU(is_server=False))
    assert rtu.encode(pdu, frame.unit, 0) == frame.encode()
    assert tcp.encode(pdu, frame.unit, 513) == frame._replace(transaction=513).encode()
    assert tcp.decode(frame._replace(transaction=513).encode())[1:] == (frame.unit, 513, pdu)
    if frame.function != 0x17:
        used, unit, _, found = rtu.decode(frame.encode())
        assert (used, unit, found) == (len(frame.encode()), frame.unit, pdu)


@given(st.lists(replies, min_size=1, max_size=4), st.binary(max_size=12), st.data())
def test_every_cut_of_a_stream_brings_the_same_frames_and_loses_no_byte(frames, noise, data):
    stream = b"".join(noise + frame.encode() for frame in frames)
    whole = RtuReader()
    at_once = [*whole.feed(stream), *whole.flush()]
    reader, events, rest = RtuReader(), [], stream
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        events += reader.feed(rest[:size])
        rest = rest[size:]
    events += reader.flush()
    assert frames_of(events) == frames_of(at_once)
    assert b"".join(each.raw if isinstance(each, BrokenFrame) else each.encode() for each in events) == stream


@given(st.lists(replies, min_size=1, max_size=3), st.data())
def test_a_tcp_stream_may_be_cut_anywhere(frames, data):
    frames = [frame._replace(transaction=number) for number, frame in enumerate(frames)]
    reader, found, rest = TcpReader(), [], b"".join(frame.encode() for frame in frames)
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        found += reader.feed(rest[:size])
        rest = rest[size:]
    assert found == frames
    assert reader.flush() == []


def test_a_frame_behind_noise_is_found_and_the_noise_is_told():
    events = RtuReader().feed(b"\xff\x00" + REPLY)
    assert events == [BrokenFrame(b"\xff\x00", "no frame begins here"), Frame.decode_rtu(REPLY)]


def test_a_wrong_crc_is_named():
    damaged = REPLY[:-1] + b"\x39"
    reader = RtuReader()
    assert reader.feed(damaged) == []  # the line may yet bring a frame that began inside it
    assert reader.flush() == [BrokenFrame(damaged, "CRC 1B39, 1B38 expected")]


def test_half_a_frame_is_told_when_the_line_falls_silent():
    reader = RtuReader()
    assert reader.feed(REPLY[:5]) == []
    assert reader.flush() == [BrokenFrame(REPLY[:5], "silence after 5 of 9 bytes")]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("0001000100060104000000 02", "protocol 0001, not 0000"),
        ("000100000001010400000002", "length field 1, 2 to 254 allowed"),
        ("00010000000601040000", "10 bytes, its length field says 12"),
        ("000100", "length 3, the shortest frame has 8"),
    ],
)
def test_a_broken_tcp_frame_says_why(raw, reason):
    with pytest.raises(FrameError) as refused:
        Frame.decode_tcp(bytes.fromhex(raw))
    assert refused.value.reason == reason


def test_babble_never_grows_the_buffer():
    reader = RtuReader()
    for _ in range(2000):
        reader.feed(b"\x01\x03\xff" * 10)
    assert len(reader._buffer) <= 256


def published(shared):
    lines = (shared / "cases" / "frames.jsonl").read_text(encoding="utf-8").splitlines()
    return [case for case in map(json.loads, lines) if case["proto"].startswith("modbus")]


def test_every_published_frame_has_its_published_meaning_or_is_refused_for_the_published_reason(shared):
    cases = published(shared)
    assert len(cases) == 8
    for case in cases:
        raw, meaning = bytes.fromhex(case["hex"]), case["meaning"]
        found = explain(raw)
        assert b"".join(part.octets for part in found.parts) == raw
        assert found.valid is case["valid"], case
        if not case["valid"]:
            expected = case["known_bad"].removeprefix("CRC expected ").upper()
            assert found.error == f"CRC {case['hex'][-4:].upper()}, {expected} expected"
            continue
        told = found.as_json()
        assert (told["unit"], told["function"], told["direction"]) == (
            meaning["unit"],
            meaning["fc"],
            case["direction"],
        )
        if case["direction"] == "request":
            assert (told["address"], told["count"]) == (meaning["start"], meaning["count"])
        else:
            words = b"".join(word.to_bytes(2) for word in told["registers"])
            assert words.hex().upper() == meaning["bytes"]
            assert f"as float32 {meaning['float32_be']:g}" in found.parts[3].value
