"""The rules that values and states are judged by: every limit, with its source, in this one place.

Voltage. GB/T 12325-2008 (in force since 2009-05-01), 4.3: single-phase supply at 220 V may deviate by +7 % to -10 %; 4.2:
three-phase supply at 20 kV and below by +/-7 %, which is said of the voltage between phases (380 V). Our quantities are
voltages between a phase and neutral, at which every single-phase load of a three-phase customer hangs too, so each is
judged by 4.3: 198.0 V to 235.4 V. (The band of 380 V, seen from one phase of a symmetrical system, would be 204.0 V to
234.7 V; what is between two phases does not follow from one phase alone.) The standard speaks of the point of supply and
of means over time; a meter tells a moment, so two readings in a row have to be out. Behind a voltage transformer the
nominal voltage is not in the master data, and nothing is judged. Below a tenth of the nominal voltage no wire is taken
to be connected: many three-phase meters serve one phase.

Frequency. GB/T 15945-2008 (in force since 2009-05-01): 50 Hz +/-0.2 Hz in normal operation, +/-0.5 Hz where the system is
small. One grid has one frequency, so there is one alarm per link and not one per meter.

Current. A meter's own maximum current Imax (GB/T 17215.321), which is of what flows through the meter: secondary.

Power. The most that a metering point may draw (its rated power), which is primary: a secondary reading is multiplied by
the ratios of current and voltage transformer, once.

Clock. DL/T 645-2007 lets a broadcast set a clock that is at most five minutes off; one further off needs a person.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from wattkeeper.kernel.severity import Severity

PHASES: Final = ("l1", "l2", "l3")
ONE: Final = Decimal(1)


class Code(StrEnum):
    """What a finding says; texts are in `words`."""

    METER_SILENT = "meter_silent"
    LINK_DOWN = "link_down"
    LINK_SILENT = "link_silent"
    """The link is open, and no meter behind it answers any more."""
    VOLTAGE_HIGH = "voltage_high"
    VOLTAGE_LOW = "voltage_low"
    FREQUENCY_HIGH = "frequency_high"
    FREQUENCY_LOW = "frequency_low"
    CURRENT_HIGH = "current_high"
    POWER_HIGH = "power_high"
    CLOCK_OFF = "clock_off"


SEVERITIES: Final[Mapping[str, Severity]] = {
    Code.METER_SILENT: Severity.WARNING,
    Code.LINK_DOWN: Severity.CRITICAL,
    Code.LINK_SILENT: Severity.CRITICAL,
    Code.VOLTAGE_HIGH: Severity.WARNING,
    Code.VOLTAGE_LOW: Severity.WARNING,
    Code.FREQUENCY_HIGH: Severity.WARNING,
    Code.FREQUENCY_LOW: Severity.WARNING,
    Code.CURRENT_HIGH: Severity.WARNING,
    Code.POWER_HIGH: Severity.WARNING,
    Code.CLOCK_OFF: Severity.WARNING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an installation may choose; the module says where each comes from."""

    nominal_v: Decimal = Decimal(220)
    voltage_over: Decimal = Decimal("0.07")
    voltage_under: Decimal = Decimal("0.10")
    voltage_connected: Decimal = Decimal("0.10")
    """The share of the nominal voltage below which no wire is taken to be connected."""
    nominal_hz: Decimal = Decimal(50)
    frequency_band_hz: Decimal = Decimal("0.2")
    clock_off: timedelta = timedelta(minutes=5)
    readings_to_raise: int = 2
    readings_to_clear: int = 2
    """Hysteresis: so many readings in a row are out before a finding, and within before it is cleared."""
    steady: timedelta = timedelta(seconds=30)
    """How long a link is down before that is said, and a link or meter well again before that is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterFacts:
    """What is known of a meter that is read, as far as its values are judged by it."""

    meter_id: int
    link_id: int
    ct_ratio: Decimal = ONE
    pt_ratio: Decimal = ONE
    primary: bool = False
    """Whether the meter shows primary values by its own setting."""
    max_current_a: Decimal | None = None
    rated_power_kw: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A value of these quantities is out when, multiplied, it is beyond its limit."""

    code: Code
    quantities: tuple[str, ...]
    above: bool
    limit: Callable[[MeterFacts], Decimal | None]
    """The limit for a meter; None: this meter is not judged by the rule."""
    factor: Callable[[MeterFacts], Decimal] = lambda _: ONE
    """What a reading is multiplied by before it is compared."""
    least: Decimal = field(default=Decimal(0))
    """What is smaller says nothing."""
    per_link: bool = False
    """Whether all meters of a link see the same, so that one finding is enough."""

    def is_out(self, value: Decimal, limit: Decimal) -> bool:
        """Whether a value, multiplied, is beyond the limit."""
        return value > limit if self.above else value < limit

    def beyond(self, value: Decimal, limit: Decimal) -> Decimal:
        """How far a value is beyond the limit; negative when it is within."""
        return value - limit if self.above else limit - value


def rules(limits: Limits) -> tuple[Rule, ...]:
    """The rules for values."""
    voltages = tuple(f"voltage_{phase}" for phase in PHASES)
    highest, lowest = (
        limits.nominal_v * (1 + limits.voltage_over),
        limits.nominal_v * (1 - limits.voltage_under),
    )
    connected = limits.nominal_v * limits.voltage_connected

    def direct(limit: Decimal) -> Callable[[MeterFacts], Decimal | None]:
        return lambda meter: limit if meter.pt_ratio == 1 else None

    def always(limit: Decimal) -> Callable[[MeterFacts], Decimal | None]:
        return lambda _: limit

    fastest, slowest = (
        limits.nominal_hz + limits.frequency_band_hz,
        limits.nominal_hz - limits.frequency_band_hz,
    )
    return (
        Rule(Code.VOLTAGE_HIGH, voltages, above=True, limit=direct(highest)),
        Rule(Code.VOLTAGE_LOW, voltages, above=False, limit=direct(lowest), least=connected),
        Rule(Code.FREQUENCY_HIGH, ("frequency",), above=True, limit=always(fastest), per_link=True),
        # A meter without voltage measures no frequency and says 0.
        Rule(
            Code.FREQUENCY_LOW, ("frequency",), above=False, limit=always(slowest), least=ONE, per_link=True
        ),
        Rule(
            Code.CURRENT_HIGH,
            tuple(f"current_{phase}" for phase in PHASES),
            above=True,
            limit=lambda meter: meter.max_current_a,
            factor=through_the_meter,
        ),
        Rule(
            Code.POWER_HIGH,
            ("active_power",),
            above=True,
            limit=lambda meter: meter.rated_power_kw,
            factor=in_the_mains,
        ),
    )


def through_the_meter(meter: MeterFacts) -> Decimal:
    """What a current shown becomes the current that flows through the meter by."""
    return 1 / meter.ct_ratio if meter.primary else ONE


def in_the_mains(meter: MeterFacts) -> Decimal:
    """What a power shown becomes the power drawn from the mains by."""
    return ONE if meter.primary else meter.ct_ratio * meter.pt_ratio
