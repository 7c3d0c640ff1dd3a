"""Throw damaged conversations at the DL/T 645 codecs, and keep what was new to them.

    python tools/fuzz_dlt645.py                     # a million inputs for each codec
    python tools/fuzz_dlt645.py --inputs 20000 --codec load_record --seed 7
    python tools/fuzz_dlt645.py --keep              # rewrite the corpus that the quick tests replay

Inputs are made as meters make them (identifiers of the table, sound records, sound frames) and then damaged: bits
turned, bytes cut, doubled, lost, filled with FF, AA or 68H, frames glued together or cut. A codec may refuse an input
with its own error; anything else it raises, an input that takes longer than a second, and memory that grows by more
than 64 MB are failures.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from wattkeeper.protocols.dlt645 import (
    Dlt645Error,
    Frame,
    FrameReader,
    decode_body,
    decode_load_records,
    edition1997,
)
from wattkeeper.protocols.dlt645.explain import explain
from wattkeeper.protocols.dlt645.identifiers import TABLE_1997, TABLE_2007
from wattkeeper.protocols.dlt645.layouts import layout_of
from wattkeeper.protocols.dlt645.master import ReadExchange
from wattkeeper.protocols.dlt645.master_1997 import ReadExchange1997
from wattkeeper.protocols.dlt645.requests import identifier_bytes

CORPUS = Path(__file__).resolve().parent.parent / "tests/unit/protocols/dlt645/corpus"
METER = "000000000161"
MOST_KEPT = 150  # inputs of one codec
LONGEST = 1.0  # for one input [s]
MOST_GROWTH = 64 << 20  # of memory [bytes]
SPECIAL = b"\x00\xff\xaa\x68\x16\xfe\x99\xa0\xe5"

_IDENTIFIERS = sorted(TABLE_2007)
_OLD_IDENTIFIERS = sorted(TABLE_1997)
_EVENTS = [di for di in _IDENTIFIERS if di.startswith(("03", "1D", "1E"))]
_LOADS = [di for di in _IDENTIFIERS if di.startswith("06")]
_SIZES = {1: 17, 2: 24, 3: 8, 4: 16, 5: 16, 6: 6}


# -- what a meter might say


def digits(chance: random.Random, size: int) -> bytes:
    """Bytes that are mostly BCD."""
    return bytes(16 * chance.randrange(10) + chance.randrange(10) for _ in range(size))


def damaged(chance: random.Random, sound: bytes) -> bytes:
    """The same with nothing, one or several things wrong."""
    found = bytearray(sound)
    for _ in range(chance.choice((0, 1, 1, 2, 4))):
        at = chance.randrange(len(found) + 1)
        match chance.randrange(6):
            case 0 if at < len(found):
                found[at] ^= 1 << chance.randrange(8)
            case 1:
                found[at:at] = bytes([chance.choice(SPECIAL)]) * chance.randint(1, 4)
            case 2:
                del found[at : at + chance.randint(1, 12)]
            case 3:
                found[at : at + 4] = bytes([chance.choice(SPECIAL)]) * 4
            case 4:
                found[at:at] = found[: chance.randint(0, 40)]
            case _:
                del found[at:]
    return bytes(found[:600])


def body_of(chance: random.Random, di: str) -> bytes:
    """Data that fits an identifier."""
    layout = layout_of(di)
    sizes = list(layout.counts) if layout else []
    return digits(chance, chance.choice(sizes) if sizes else chance.randrange(40))


def load_block(chance: random.Random) -> bytes:
    """A load record with some of its classes."""
    content = digits(chance, 0) + bytes.fromhex(f"{chance.randrange(60):02d}{chance.randrange(24):02d}011125")
    for size in _SIZES.values():
        content += digits(chance, size) * (chance.random() < 0.6) + b"\xaa"  # noqa: PLR2004 - more often than not
    block = b"\xa0\xa0" + bytes([len(content)]) + content
    return block + bytes([sum(block) & 0xFF, 0xE5])


def frame_2007(chance: random.Random) -> bytes:
    """A reply, mostly to a read, whose checksum is right more often than not."""
    di = chance.choice(_IDENTIFIERS)
    control = chance.choice((0x91, 0x91, 0x91, 0xB1, 0xD1, 0x94, 0x9C, 0x83, 0xC3, chance.randrange(256)))
    body = damaged(chance, identifier_bytes(di) + body_of(chance, di))[:200]
    return Frame(METER, control, body).encode(chance.randint(0, 5))


def frame_1997(chance: random.Random) -> bytes:
    """The same in the words of 1997."""
    di = chance.choice(_OLD_IDENTIFIERS)
    control = chance.choice((0x81, 0x81, 0xA1, 0xC1, 0x82, 0x84, chance.randrange(256)))
    layout = edition1997.layout_of(di)
    size = chance.choice(list(layout.counts)) if layout else 4
    body = damaged(chance, bytes.fromhex(di)[::-1] + digits(chance, size) + b"\xaa" * (di[-1] == "F"))[:200]
    return Frame(METER, control, body).encode(chance.randint(0, 5))


def stream(chance: random.Random, one: Callable[[random.Random], bytes]) -> bytes:
    """One or two frames, whole or damaged."""
    raw = one(chance) + (one(chance) if chance.random() < 0.2 else b"")  # noqa: PLR2004 - now and then
    return raw if chance.random() < 0.5 else damaged(chance, raw)  # noqa: PLR2004 - half of them


# -- what is done with it: `make` an input, `take` it


def take_frames(raw: bytes, exchange: ReadExchange | ReadExchange1997) -> str:
    """Everything that is done with received bytes."""
    events = FrameReader().feed(raw)
    told = explain(raw)
    told.as_json()
    said = "+".join(type(event).__name__ for event in events[:3])
    try:
        exchange.feed(raw[: len(raw) // 2])
        exchange.feed(raw[len(raw) // 2 :])
        if exchange.request is None:
            return f"{said} {len(exchange.values) > 1}"
    except Dlt645Error as error:
        return f"{said} {type(error).__name__} {error}"
    reasons = [getattr(stray, "reason", "another address") for stray in exchange.strays[:1]]
    return f"{said} {told.function} {reasons}"


def take_2007(raw: bytes) -> str:
    """A reply to a read of 2007."""
    return take_frames(raw, ReadExchange(METER, _identifier_in(raw, "00010000", 4)))


def take_1997(raw: bytes) -> str:
    """A reply to a read of 1997."""
    return take_frames(raw, ReadExchange1997(METER, _identifier_in(raw, "9010", 2)))


def _identifier_in(raw: bytes, otherwise: str, size: int) -> str:
    """The identifier that a frame carries, so that the exchange asked for it."""
    start = raw.find(b"\x68")
    found = bytes((byte - 0x33) & 0xFF for byte in raw[start + 10 : start + 10 + size])
    return found[::-1].hex().upper() if start >= 0 and len(found) == size else otherwise


def make_load(chance: random.Random) -> bytes:
    """An identifier, and blocks behind it."""
    di = chance.choice(_LOADS)
    return identifier_bytes(di) + damaged(
        chance, b"".join(load_block(chance) for _ in range(chance.randint(1, 2)))
    )


def take_load(raw: bytes) -> str:
    """The reply to a read of load records."""
    records = decode_load_records(raw[3::-1].hex().upper(), raw[4:])
    return " ".join(f"{len(record.values)}{record.faults}{record.marked_wrong}" for record in records[:2])


def make_event(chance: random.Random) -> bytes:
    """An identifier, and an event record behind it."""
    di = chance.choice(_EVENTS)
    return identifier_bytes(di) + damaged(chance, body_of(chance, di))


def take_event(raw: bytes) -> str:
    """The reply to a read of an event record."""
    values = decode_body(raw[3::-1].hex().upper(), raw[4:])
    return f"{raw[3:1:-1].hex()} {len(values)} {any(value.value is None for value in values)}"


CODECS: dict[str, tuple[Callable[[random.Random], bytes], Callable[[bytes], str]]] = {
    "frames_2007": (lambda chance: stream(chance, frame_2007), take_2007),
    "frames_1997": (lambda chance: stream(chance, frame_1997), take_1997),
    "load_record": (make_load, take_load),
    "event_record": (make_event, take_event),
}


def outcome(codec: str, raw: bytes) -> str:
    """What became of one input, in words that are the same for the same way through the code."""
    try:
        said = CODECS[codec][1](raw)
    except Dlt645Error as error:
        said = f"{type(error).__name__} {error}"
    return re.sub(r"\b[0-9A-F]*\d[0-9A-F]*\b", "#", said)


def fuzz(codec: str, inputs: int, seed: int) -> tuple[dict[str, bytes], float, int]:
    """Run; the inputs kept by what became of them, the longest time of one [s], the memory gained [bytes]."""
    chance = random.Random(seed)  # noqa: S311 - inputs have to repeat, not to be secret
    make = CODECS[codec][0]
    kept: dict[str, bytes] = {}
    slowest = 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(inputs):
        if number == inputs // 10:  # the tables are loaded by now
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        raw = make(chance)
        began = time.perf_counter()
        try:
            said = outcome(codec, raw)
        except BaseException as error:
            error.add_note(f"{codec}: {raw.hex()}")
            raise
        slowest = max(slowest, time.perf_counter() - began)
        if said not in kept and len(kept) < MOST_KEPT:
            kept[said] = raw
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return kept, slowest, growth


def main() -> int:
    """Fuzz as asked; 1 when a codec was too slow or too greedy (what it raises ends the run)."""
    parser = argparse.ArgumentParser(description="Fuzz the DL/T 645 codecs.")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--codec", choices=sorted(CODECS))
    parser.add_argument("--seed", type=int, default=645)
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    failed = False
    for codec in [asked.codec] if asked.codec else CODECS:
        began = time.perf_counter()
        kept, slowest, growth = fuzz(codec, asked.inputs, asked.seed)
        took = time.perf_counter() - began
        print(
            f"{codec}: {asked.inputs:,} inputs in {took:.0f} s, {len(kept)} outcomes kept,"
            f" slowest {1000 * slowest:.1f} ms, memory +{growth / 2**20:.1f} MB",
            flush=True,
        )
        failed |= slowest > LONGEST or growth > MOST_GROWTH
        if asked.keep:
            CORPUS.mkdir(exist_ok=True)
            lines = sorted(raw.hex() for raw in kept.values())
            (CORPUS / f"{codec}.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
