"""Frames decoded to values per second: ours against PyPI dlt645 3.2.0, the same frames, in one run.

Both sides get the bytes of one sound reply (with preamble) and end at one number of the right scale: frame found and
checked, 33H removed, identifier looked up, BCD decoded. Ours gives an exact Decimal with unit and identifier.
Of theirs two ways are timed: its codec (`deserialize`, table look-up, `bcd_to_float`) and its client's own way from
bytes to an item (`handle_response`); the ratio is against the faster. Each figure is the best of several rounds.

    python benchmarks/codec.py
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from decimal import Decimal

from dlt645 import MeterClientService
from dlt645.common.transform import bcd_to_float, bytes_to_int
from dlt645.model.data import data_handler
from dlt645.protocol.protocol import DLT645Protocol

from wattkeeper.protocols.dlt645 import Frame, FrameReader, decode_body, encode_body, encode_value
from wattkeeper.protocols.dlt645.columns import decode_column, decode_columns
from wattkeeper.protocols.dlt645.requests import identifier_bytes

DI = "00010000"
ADDRESS = "000000000161"
FREEZE = "05060101"
TARIFFS = 5  # the total and four
FRAMES = 20_000
COLUMN = 1_000_000
ROUNDS = 5


def replies(number: int) -> list[bytes]:
    generator = random.Random(645)
    frames = []
    for _ in range(number):
        value = Decimal(generator.randrange(10**8)).scaleb(-2)
        frame = Frame(ADDRESS, 0x91, identifier_bytes(DI) + encode_value(DI, value))
        frames.append(frame.encode(preamble=4))
    return frames


def daily_freezes(number: int) -> list[bytes]:
    generator = random.Random(506)
    frames = []
    for _ in range(number):
        energies = [Decimal(generator.randrange(10**8)).scaleb(-2) for _ in range(TARIFFS)]
        frame = Frame(ADDRESS, 0x91, identifier_bytes(FREEZE) + encode_body(FREEZE, energies))
        frames.append(frame.encode(preamble=4))
    return frames


def ours_one_at_a_time(frames: list[bytes]) -> None:
    reader = FrameReader()
    for raw in frames:
        for frame in reader.feed(raw):
            body = frame.body
            decode_body(body[3::-1].hex(), body[4:])


def their_codec(frames: list[bytes], client: MeterClientService) -> None:
    for raw in frames:
        frame = DLT645Protocol.deserialize(raw)
        item = data_handler.get_data_item(bytes_to_int(frame.data[0:4]), client.data_map)
        bcd_to_float(frame.data[4:8], item.data_format, "little")


def their_client(frames: list[bytes], client: MeterClientService) -> None:
    for raw in frames:
        client.handle_response(DLT645Protocol.deserialize(raw))


def best_rate(work: Callable[[], object], number: int) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return number / best


def main() -> None:
    logging.disable(logging.CRITICAL)
    frames = replies(FRAMES)
    client = MeterClientService.new_tcp_client("127.0.0.1", 1)  # never connects
    client.set_address(bytes.fromhex(ADDRESS)[::-1].hex())  # it writes addresses in wire order
    codec = best_rate(lambda: their_codec(frames, client), FRAMES)
    whole = best_rate(lambda: their_client(frames, client), FRAMES)
    theirs = max(codec, whole)
    single = best_rate(lambda: ours_one_at_a_time(frames), FRAMES)
    column = (frames * (COLUMN // FRAMES + 1))[:COLUMN]
    bulk = best_rate(lambda: decode_column(DI, column), COLUMN)
    days = (daily_freezes(FRAMES) * (COLUMN // FRAMES // TARIFFS + 1))[: COLUMN // TARIFFS]
    frozen = best_rate(lambda: decode_columns(FREEZE, days), len(days) * TARIFFS)
    print(f"dlt645 3.2.0: codec {codec:,.0f}/s, client's handle_response {whole:,.0f}/s")
    print(f"decode one at a time: {single:,.0f}/s against {theirs:,.0f}/s: {single / theirs:.1f}x (aim 3x)")
    print(f"decode a column:      {bulk:,.0f}/s against {theirs:,.0f}/s: {bulk / theirs:.1f}x (aim 30x)")
    print(f"decode daily freezes: {frozen:,.0f} values/s, {TARIFFS} a reply (aim 1,000,000/s)")


if __name__ == "__main__":
    main()
