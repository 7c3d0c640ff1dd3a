"""What one virtual meter is, and what is printed on its front."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from wattkeeper.simulator.bcd import bcd, low_first
from wattkeeper.simulator.electrics import NOMINAL_V
from wattkeeper.simulator.registers import TARIFFS

PASSWORDS: Mapping[int, str] = MappingProxyType({2: "123456", 4: "123456"})
"""Of a meter as it leaves its maker: levels 02 (clear, switch) and 04 (write)."""


@dataclass(frozen=True, slots=True)
class MeterSpec:
    """What one virtual meter is.

    Attributes:
        address: 12 digits.
        kind: household, shop, office, factory or street_light.
        phases: 1 or 3.
        installed: when it began to count, civil time of its place.
        first_register: what it showed then. [kWh]
        register_modulus: where its registers turn over. [kWh]
        record_days: how long it remembers load records. [d]
        clock_offset: how far its clock is ahead. [s]
        utc_offset: of its place's civil time.
        ct_ratio: of the current transformers before it; told under 04000306.
        supply_voltage: what its place is supplied with on average. [V]
        seed: makes it differ from others.
        passwords: what opens which level, P2 P1 P0 as people write them.
        edition: of DL/T 645 that it speaks, 2007 or 1997.
        esam: whether it has a security chip, whose keys nobody here has: it refuses plain commands.
        guarded: whether its programming key must be pressed before it obeys, as on meters without a security module.

    """

    address: str
    kind: str = "household"
    phases: int = 1
    installed: datetime = datetime(2026, 1, 1)  # noqa: DTZ001 -- a meter's civil time has no zone
    first_register: int = 0
    register_modulus: int = 1_000_000
    record_days: int = 100
    clock_offset: float = 0.0
    utc_offset: timedelta = timedelta(hours=8)
    ct_ratio: int = 1
    supply_voltage: float = NOMINAL_V
    seed: int = 1
    passwords: Mapping[int, str] = field(default_factory=lambda: PASSWORDS)
    edition: int = 2007
    esam: bool = False
    guarded: bool = False


def parameters(spec: MeterSpec, shown: datetime) -> dict[str, bytes]:
    """Family 04 by DI2 DI1 DI0, in wire order; ``shown`` is what the meter's clock shows."""
    three = spec.phases > 1
    date = f"{shown:%y%m%d}{(shown.weekday() + 1) % 7:02d}"  # weekday 0 is Sunday
    words = {f"0005{number:02d}": bytes(2) for number in range(1, 8)}  # all is well
    return words | {
        "000101": low_first(date),
        "000102": low_first(f"{shown:%H%M%S}"),
        "00010C": low_first(f"{date}{shown:%H%M%S}"),
        "000204": bcd(TARIFFS, 1),
        "000306": bcd(spec.ct_ratio, 3),
        "000307": bcd(1, 3),
        "000401": low_first(spec.address),
        "000402": low_first(spec.address),
        "000403": _text(f"SIM{spec.address}", 32),
        "000404": _text("3x220" if three else "220V", 6),
        "000405": _text("1.5A" if three else "5A", 6),
        "000406": _text("6A" if three else "60A", 6),
        "000407": _text("1.0", 4),
        "000408": _text("2.0", 4),
        "000409": bcd(6400 if three else 1200, 3),
        "00040A": bcd(6400 if three else 1200, 3),
        "00040B": _text("WK-SIM3" if three else "WK-SIM1", 10),
        "00040C": _text(f"{spec.installed:%Y-%m-%d}", 10),
        "00040D": _text("DL/T645-2007", 16),
        "0005FF": bytes(14),
        "000B01": low_first("0100"),  # settlement on the 1st at 00 h
    }


def _text(text: str, size: int) -> bytes:
    """ASCII, padded with NUL, last character first."""
    return text.encode("ascii").ljust(size, b"\0")[::-1]
