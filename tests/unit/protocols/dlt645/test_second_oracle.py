"""PyPI python-dlt645 0.1.4, a second independent implementation: frames both ways, and a whole read of energy.

It is imported as `dlt645`, as the first one is, so it lives in an environment of its own that uv makes. Its known
departures: it reads any control byte as 0, cannot take 33H from a byte below 33H, cannot add it to one above CCH, and
ends a frame at the first 16H; what is compared stays clear of those.
"""

import json
import random
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from wattkeeper.protocols.dlt645 import Frame, MeterSide, ReadAddressExchange, decode_body, encode_value

REPOSITORY = Path(__file__).resolve().parents[4]
PEER = """
import io, json, sys
import dlt645

class Line:
    def __init__(self, reply):
        self.reply, self.written = io.BytesIO(reply), b""
    def read(self, size):
        return self.reply.read(size)
    def write(self, data):
        self.written += bytes(data)

def told(case):
    if case["kind"] == "load":
        frame = dlt645.Frame()
        frame.load(bytearray.fromhex(case["raw"]))
        return [frame.addr, frame.data]
    if case["kind"] == "dump":
        control = {"direction": 1, "response": 0, "more": case["more"], "function": 0x11}
        frame = dlt645.Frame(case["address"], control)
        frame.data = case["data"]
        return bytes(frame.dump()).hex()
    line = Line(bytes.fromhex(case["reply"]))
    if case["kind"] == "address":
        return [dlt645.get_addr(line), line.written.hex()]
    return [str(dlt645.get_active_energy(case["address"], line)), line.written.hex()]

print(json.dumps([told(case) for case in json.load(sys.stdin)]))
"""
METER = "123456789012"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def peer():
    """Ask it many things at once."""
    uv = shutil.which("uv") or REPOSITORY / ".tools/bin/uv"
    command = [uv, "run", "--no-project", "--isolated", "--with", "python-dlt645==0.1.4", "python", "-c"]

    def ask(cases, script=PEER):
        return subprocess.run(
            [*command, script],
            input=json.dumps(cases),
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    try:
        made = ask([], "import dlt645")
    except OSError:
        pytest.skip("needs uv to make an environment")
    if made.returncode:
        pytest.skip(f"needs python-dlt645 0.1.4 from a registry: {made.stderr.strip()[-200:]}")
    return lambda cases: json.loads(ask(cases).stdout)


def _body(chance):
    """Bytes to which it can add 33H."""
    return bytes(chance.randrange(0xCB) for _ in range(chance.randint(4, 60)))


def test_frames_are_the_same_both_ways(peer):
    chance = random.Random(645)
    frames = [Frame(METER, chance.choice([0x91, 0xB1]), _body(chance)) for _ in range(200)]
    raws = [frame.encode(0) for frame in frames]
    loaded = peer([{"kind": "load", "raw": raw.hex()} for raw in raws])
    assert loaded == [[METER, frame.body[::-1].hex()] for frame in frames]
    dumped = peer(
        [
            {"kind": "dump", "address": METER, "more": int(frame.has_more), "data": frame.body[::-1].hex()}
            for frame in frames
        ]
    )
    assert [Frame.decode(bytes.fromhex(raw)) for raw in dumped] == frames


class Meter:
    """What it asks for: its address, and its combined active energy."""

    address = METER

    def read(self, di, tail):
        return encode_value(di, Decimal("123.45")) if di == "00000000" else None


def test_its_client_reads_our_meter_and_our_master_asks_as_it_does(peer):
    side = MeterSide(Meter())
    asked = ReadAddressExchange()
    (address_reply,) = side.feed(asked.request)
    energy = Frame(METER, 0x11, bytes(4))
    (energy_reply,) = side.feed(energy.encode())
    assert decode_body("00000000", Frame.decode(energy_reply).body[4:])[0].value == Decimal("123.45")
    address, kwh = peer(
        [
            {"kind": "address", "reply": address_reply.hex()},
            {"kind": "energy", "address": METER, "reply": energy_reply.hex()},
        ]
    )
    assert address == [METER, asked.request.hex()]
    assert kwh == ["123.45", energy.encode().hex()]
