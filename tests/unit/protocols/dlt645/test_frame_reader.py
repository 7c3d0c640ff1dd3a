"""Frames come out of a stream whole, whatever surrounds them and however it is cut."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.protocols.dlt645 import BrokenFrame, Frame, FrameError, FrameReader, RequestError
from wattkeeper.protocols.dlt645.frames import check_address, matches_address

READ = bytes.fromhex("68610100000000681104333334331416")
REPLY = bytes.fromhex("6861010000000068910833333433593333338A16")
REPLY_FRAME = Frame("000000000161", 0x91, bytes.fromhex("0000010026000000"))

addresses = st.text("0123456789", min_size=12, max_size=12)
frames = st.builds(Frame, addresses, st.integers(0, 255), st.binary(max_size=200))
# Noise made of the bytes that fool parsers most: starts, ends, wake-ups, lengths.
noise = st.lists(st.sampled_from([0x68, 0x16, 0xFE, 0x00, 0x0B, 0xFF, 0xC8, 0x91, 0x33]), max_size=30).map(
    bytes
)


def good(events):
    return [event for event in events if isinstance(event, Frame)]


def cut(stream, cuts):
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[begin:end] for begin, end in pairwise(edges)]


def assert_frame(frame, raw):
    """Encoding the frame yields the bytes; decoding the bytes yields the frame."""
    assert frame.encode(preamble=0) == raw
    assert Frame.decode(raw) == frame


def test_a_read_request():
    assert_frame(Frame("000000000161", 0x11, bytes.fromhex("00000100")), READ)


def test_a_reply():
    assert_frame(REPLY_FRAME, REPLY)


def test_a_frame_without_data():
    assert_frame(Frame("AAAAAAAAAAAA", 0x13), bytes.fromhex("68AAAAAAAAAAAA681300DF16"))


@given(frames, st.integers(0, 8))
def test_every_frame_survives_the_wire(frame, preamble):
    assert Frame.decode(frame.encode(preamble)) == frame


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "no bytes", id="nothing"),
        pytest.param("FEFE", "no bytes", id="preamble_only"),
        pytest.param("1668", "it begins with 16, not 68", id="other_start"),
        pytest.param("6861", "length 2, the shortest frame has 12", id="short"),
        pytest.param("68610100000000671104333334331416", "byte 8 is 67, not 68", id="second_start"),
        pytest.param("68610100000000681105333334331416", "length 16 != 12+5", id="length"),
        pytest.param("68610100000000681104333334331417", "last byte 17, not 16", id="end"),
        pytest.param("68610100000000681104333334331516", "checksum 15 expected 14", id="checksum"),
    ],
)
def test_a_broken_frame_is_refused_with_its_reason(text, reason):
    with pytest.raises(FrameError) as refused:
        Frame.decode(bytes.fromhex(text))
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "address", ["1", "00000000016", "0000000001611", "00000000016X", "0161AAAAAAAA", "A00000000161"]
)
def test_an_impossible_address_is_refused_before_anything_is_sent(address):
    with pytest.raises(RequestError, match="is not a meter address"):
        check_address(address)


def test_a_short_address_is_refused_with_the_padded_one_as_hint():
    with pytest.raises(RequestError, match="pad it with zeros on the left: 000000000161"):
        check_address("161")


def test_wildcard_matching():
    assert matches_address("AAAAAAAAAAAA", "123456789012")
    assert matches_address("AAAAAAAA9012", "123456789012")
    assert not matches_address("AAAAAAAA9013", "123456789012")
    assert not matches_address("123456789013", "123456789012")


@pytest.mark.parametrize("preamble", [0, 1, 2, 3, 4, 300])
def test_a_preamble_of_any_length_is_skipped(preamble):
    assert FrameReader().feed(b"\xfe" * preamble + REPLY) == [REPLY_FRAME]


def test_byte_by_byte_gives_the_frame_with_its_last_byte():
    reader = FrameReader()
    events = [reader.feed(bytes([byte])) for byte in REPLY]
    assert events == [[]] * (len(REPLY) - 1) + [[REPLY_FRAME]]


def test_a_false_start_does_not_swallow_the_frame_behind_it():
    false_start = bytes.fromhex("68 000000000000 68 91 C8")  # 200 bytes announced, none come
    assert good(FrameReader().feed(false_start + REPLY)) == [REPLY_FRAME]


def test_an_absurd_length_is_not_waited_for():
    reader = FrameReader()
    assert reader.feed(bytes.fromhex("68 000000000000 68 91 FF")) == [
        BrokenFrame(bytes.fromhex("6800000000000068 91FF"), "length byte FF is more than 200")
    ]
    assert reader.feed(REPLY) == [REPLY_FRAME]


def test_a_frame_that_lost_a_byte_does_not_take_the_next_one_along():
    events = FrameReader().feed(REPLY[:12] + REPLY[13:] + REPLY)
    assert good(events) == [REPLY_FRAME]
    assert [event.reason for event in events if isinstance(event, BrokenFrame)] == ["last byte 68, not 16"]


def test_a_frame_cut_short_is_reported_when_the_next_one_is_there():
    half = Frame("000000000162", 0x91, bytes(100)).encode(0)[:30]
    assert FrameReader().feed(half + REPLY) == [
        BrokenFrame(half, "cut short after 30 of 112 bytes"),
        REPLY_FRAME,
    ]


def test_a_wrong_checksum_is_reported_with_both_values():
    damaged = REPLY[:-2] + b"\x8b\x16"
    assert FrameReader().feed(damaged) == [BrokenFrame(damaged, "checksum 8B expected 8A")]


def test_start_bytes_inside_a_good_frame_are_not_reported_as_broken():
    frame = Frame("686868686868", 0x91, bytes([0x35] * 40))  # 35H is 68H on the wire
    assert FrameReader().feed(frame.encode()) == [frame]


def test_silence_reports_half_a_frame_and_frees_the_reader():
    reader = FrameReader()
    assert reader.feed(REPLY[:15]) == []
    assert reader.flush() == [BrokenFrame(REPLY[:15], "silence after 15 of 20 bytes")]
    assert reader.flush() == []
    assert reader.feed(REPLY) == [REPLY_FRAME]


def test_an_endless_stream_of_starts_is_kept_small():
    reader = FrameReader()
    for _ in range(50):
        reader.feed(b"\x68" * 1000)
    assert len(reader._buffer) <= 212
    assert good(reader.feed(b"\x00" * 212 + REPLY)) == [REPLY_FRAME]


@given(st.lists(st.tuples(noise, frames), max_size=4), st.lists(st.integers(0, 10_000), max_size=12))
def test_every_way_of_cutting_the_stream_gives_the_same_events(pieces, cuts):
    stream = b"".join(before + frame.encode(0) for before, frame in pieces)
    whole, chunked, bytewise = FrameReader(), FrameReader(), FrameReader()
    expected = whole.feed(stream)
    assert [event for chunk in cut(stream, cuts) for event in chunked.feed(chunk)] == expected
    assert [event for byte in stream for event in bytewise.feed(bytes([byte]))] == expected
    assert chunked.flush() == bytewise.flush() == whole.flush()


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_no_bytes_make_the_reader_raise_or_hoard(chunks):
    reader = FrameReader()
    for chunk in chunks:
        reader.feed(chunk)
        assert len(reader._buffer) <= 212


@settings(max_examples=300)
@given(st.lists(st.tuples(noise, frames), min_size=1, max_size=4), noise)
def test_noise_between_frames_loses_none(pieces, after):
    stream = b"".join(before + frame.encode() for before, frame in pieces) + after
    found = good(FrameReader().feed(stream))
    # Noise may by chance close a frame of its own around or inside ours; then, and only then, ours may be missing.
    if len(found) == len(pieces) or not any(b"\x68" in before for before, _ in pieces):
        assert found == [frame for _, frame in pieces]


def test_clean_noise_never_costs_a_frame():
    stream = b"".join(bytes([byte]) * 3 + REPLY for byte in range(256) if byte != 0x68)
    assert good(FrameReader().feed(stream)) == [REPLY_FRAME] * 255


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (Frame("000000000161", 0x11, bytes(256)), "at most 255 data bytes"),
        (Frame("000000000161", 0x111), "not a control byte"),
        (Frame("161", 0x11), "not a frame address"),
        (Frame("00000000016X", 0x11), "not a frame address"),
    ],
)
def test_a_frame_that_cannot_be_sent_is_refused(frame, problem):
    with pytest.raises(RequestError, match=problem):
        frame.encode()


def test_frames_and_damage_have_a_line_for_the_log():
    assert str(REPLY_FRAME) == "000000000161 < 91 [00 00 01 00 26 00 00 00]"
    assert str(Frame.decode(READ)) == "000000000161 > 11 [00 00 01 00]"
    assert str(BrokenFrame(b"\x68\x16", "silence")) == "broken: silence [68 16]"


@pytest.mark.parametrize(
    ("control", "body", "edition"),
    [
        (0x01, "1090", 1997),
        (0x11, "00000100", 2007),
        (0x08, "", 2007),
        (0x03, "1090", 1997),
        (0x03, "FF000007", 2007),
        (0xC3, "02", 1997),
        (0xC3, "0200", 2007),
        (0x10, "", 1997),
    ],
)
def test_the_edition_is_told_by_the_control_code(control, body, edition):
    assert Frame("000000000161", control, bytes.fromhex(body)).edition == edition
