"""The quantity catalogue: what can be measured, under one name for the whole system.

Drivers translate their protocol's identifiers to these keys; nothing above the drivers knows any other
name. Codes are those of IEC 62056-6-1 (OBIS, ``A-B:C.D.E``). Signs follow the meter: import is energy taken
from the grid, power is positive on import, reactive power is positive when it lags.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from wattkeeper.readings.errors import UnknownQuantity

Kind = Literal["register", "instantaneous", "demand", "moment"]
"""How a value behaves in time: a register counts, an instantaneous value is a sample, a demand is the mean over
the meter's demand period, a moment is an instant told as seconds since 1970-01-01 UTC."""

Unit = Literal["kWh", "kvarh", "kVAh", "V", "A", "kW", "kvar", "kVA", "Hz", "°", "°C", "s", "min", "%", ""]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One entry of the catalogue."""

    key: str
    obis: str
    unit: Unit
    kind: Kind
    name_zh: str
    name_en: str
    decimals: int
    """Digits after the point as a 2007 meter shows them; the store keeps four whatever the meter shows."""

    @property
    def is_energy(self) -> bool:
        """Whether differences of this register are an energy over a period."""
        return self.kind == "register"

    @property
    def counts_both_ways(self) -> bool:
        """Whether the register may run down: a combination of two directions, by the meter's own combination word."""
        return (
            self.key.startswith(("active_energy_t", "active_energy_net", "reactive_energy_combined"))
            or self.key == "active_energy"
        )

    @property
    def occurred_at_key(self) -> str | None:
        """The key of the moment a maximum demand occurred at; None for everything but maximum demands."""
        return f"{self.key}_occurred_at" if self.kind == "demand" and "_max" in self.key else None


_TARIFFS = (("t1", "尖", "sharp peak"), ("t2", "峰", "peak"), ("t3", "平", "flat"), ("t4", "谷", "valley"))
_PHASES = (("l1", "A相", "L1", 20), ("l2", "B相", "L2", 40), ("l3", "C相", "L3", 60))

# key, OBIS group C, unit, Chinese name, English name. Combined active energy is what the meter's own
# combination word makes of import and export (DL/T 645-2007 appendix C), most often their sum: group 15.
_ENERGIES: tuple[tuple[str, int, Unit, str, str], ...] = (
    ("active_energy", 15, "kWh", "组合有功电能", "Active energy, combined"),
    ("active_energy_import", 1, "kWh", "正向有功电能", "Active energy, import"),
    ("active_energy_export", 2, "kWh", "反向有功电能", "Active energy, export"),
    ("reactive_energy_combined1", 3, "kvarh", "组合无功1电能", "Reactive energy, combined 1"),
    ("reactive_energy_combined2", 4, "kvarh", "组合无功2电能", "Reactive energy, combined 2"),
    ("reactive_energy_q1", 5, "kvarh", "第一象限无功电能", "Reactive energy, quadrant 1"),
    ("reactive_energy_q2", 6, "kvarh", "第二象限无功电能", "Reactive energy, quadrant 2"),
    ("reactive_energy_q3", 7, "kvarh", "第三象限无功电能", "Reactive energy, quadrant 3"),
    ("reactive_energy_q4", 8, "kvarh", "第四象限无功电能", "Reactive energy, quadrant 4"),
    ("apparent_energy_import", 9, "kVAh", "正向视在电能", "Apparent energy, import"),
    ("apparent_energy_export", 10, "kVAh", "反向视在电能", "Apparent energy, export"),
)

_NET = Quantity(
    "active_energy_net",
    "1-0:16.8.0",
    "kWh",
    "register",
    "净有功电能(正向减反向)",
    "Active energy, import less export",
    2,
)

# key, OBIS group C of the total and of L1 less 20 (None where there is no total), decimals per phase, names
_PHASED: tuple[tuple[str, int | None, int, Unit, int, str, str], ...] = (
    ("voltage", None, 12, "V", 1, "电压", "Voltage"),
    ("current", None, 11, "A", 3, "电流", "Current"),
    ("active_power", 16, 16, "kW", 4, "有功功率", "Active power"),
    ("reactive_power", 3, 3, "kvar", 4, "无功功率", "Reactive power"),
    ("apparent_power", 9, 9, "kVA", 4, "视在功率", "Apparent power"),
    ("power_factor", 13, 13, "", 3, "功率因数", "Power factor"),
)

_DEMANDS: tuple[tuple[str, int, Unit, str, str], ...] = (
    ("active_demand_import", 1, "kW", "正向有功", "active import"),
    ("active_demand_export", 2, "kW", "反向有功", "active export"),
    ("reactive_demand_combined1", 3, "kvar", "组合无功1", "reactive combined 1"),
    ("reactive_demand_combined2", 4, "kvar", "组合无功2", "reactive combined 2"),
    ("reactive_demand_q1", 5, "kvar", "第一象限无功", "reactive quadrant 1"),
    ("reactive_demand_q2", 6, "kvar", "第二象限无功", "reactive quadrant 2"),
    ("reactive_demand_q3", 7, "kvar", "第三象限无功", "reactive quadrant 3"),
    ("reactive_demand_q4", 8, "kvar", "第四象限无功", "reactive quadrant 4"),
    ("apparent_demand_import", 9, "kVA", "正向视在", "apparent import"),
    ("apparent_demand_export", 10, "kVA", "反向视在", "apparent export"),
)

_SINGLES: tuple[Quantity, ...] = (
    Quantity("current_neutral", "1-0:91.7.0", "A", "instantaneous", "零线电流", "Neutral current", 3),
    Quantity("frequency", "1-0:14.7.0", "Hz", "instantaneous", "电网频率", "Frequency", 2),
    Quantity("phase_angle_l1", "1-0:81.7.40", "°", "instantaneous", "A相相角", "Phase angle L1", 1),
    Quantity("phase_angle_l2", "1-0:81.7.51", "°", "instantaneous", "B相相角", "Phase angle L2", 1),
    Quantity("phase_angle_l3", "1-0:81.7.62", "°", "instantaneous", "C相相角", "Phase angle L3", 1),
    Quantity("temperature", "0-0:96.9.0", "°C", "instantaneous", "表内温度", "Temperature in the meter", 1),
    Quantity(
        "battery_voltage", "0-0:96.6.3", "V", "instantaneous", "时钟电池电压", "Clock battery voltage", 2
    ),
    Quantity(
        "battery_voltage_backup",
        "0-1:96.6.3",
        "V",
        "instantaneous",
        "抄表电池电压",
        "Reading battery voltage",
        2,
    ),
    Quantity(
        "battery_use_time", "0-0:96.6.0", "min", "instantaneous", "内部电池工作时间", "Battery use time", 0
    ),
    Quantity("clock", "0-0:1.0.0", "s", "moment", "电表时钟", "Meter clock", 0),
)


def _energies() -> Iterator[Quantity]:
    for key, group, unit, name_zh, name_en in _ENERGIES:
        yield Quantity(key, f"1-0:{group}.8.0", unit, "register", f"{name_zh}", name_en, 2)
        for number, (tariff, zh, en) in enumerate(_TARIFFS, start=1):
            yield Quantity(
                f"{key}_{tariff}",
                f"1-0:{group}.8.{number}",
                unit,
                "register",
                f"{name_zh}({zh})",
                f"{name_en}, {en}",
                2,
            )
    for key, group, unit, name_zh, name_en in _ENERGIES[1:]:
        for phase, phase_zh, phase_en, offset in _PHASES:
            yield Quantity(
                f"{key}_{phase}",
                f"1-0:{group + offset}.8.0",
                unit,
                "register",
                f"{phase_zh}{name_zh}",
                f"{name_en}, {phase_en}",
                2,
            )
    yield _NET


def _phased() -> Iterator[Quantity]:
    for key, total, group, unit, decimals, name_zh, name_en in _PHASED:
        if total is not None:
            yield Quantity(
                key, f"1-0:{total}.7.0", unit, "instantaneous", f"总{name_zh}", f"{name_en}, total", decimals
            )
        for phase, phase_zh, phase_en, offset in _PHASES:
            yield Quantity(
                f"{key}_{phase}",
                f"1-0:{group + offset}.7.0",
                unit,
                "instantaneous",
                f"{phase_zh}{name_zh}",
                f"{name_en} {phase_en}",
                decimals,
            )


def _between_phases() -> Iterator[Quantity]:
    for number, (pair, zh, en) in enumerate(
        (("l12", "AB", "L1-L2"), ("l23", "BC", "L2-L3"), ("l31", "CA", "L3-L1"))
    ):
        yield Quantity(
            f"voltage_{pair}",
            f"1-0:{124 + number}.7.0",
            "V",
            "instantaneous",
            f"{zh}线电压",
            f"Voltage {en}",
            1,
        )


def _distortions() -> Iterator[Quantity]:
    """Total harmonic distortion: value group E = 124 of the voltage or current it is of."""
    for key, group, name_zh, name_en in (
        ("voltage_thd", 12, "电压总谐波畸变率", "Voltage distortion (THD)"),
        ("current_thd", 11, "电流总谐波畸变率", "Current distortion (THD)"),
    ):
        for phase, phase_zh, phase_en, offset in _PHASES:
            yield Quantity(
                f"{key}_{phase}",
                f"1-0:{group + offset}.7.124",
                "%",
                "instantaneous",
                f"{phase_zh}{name_zh}",
                f"{name_en} {phase_en}",
                2,
            )


def _demands() -> Iterator[Quantity]:
    for key, group, unit, name_zh, name_en in _DEMANDS:
        yield Quantity(
            key, f"1-0:{group}.4.0", unit, "demand", f"当前{name_zh}需量", f"Present demand, {name_en}", 4
        )
        rates = (("", "", ""), *((f"_{tariff}", f"({zh})", f", {en}") for tariff, zh, en in _TARIFFS))
        for number, (tariff, zh, en) in enumerate(rates):
            maximum = f"{key}_max{tariff}"
            obis, label_zh, label_en = (
                f"1-0:{group}.6.{number}",
                f"{name_zh}最大需量{zh}",
                f"Maximum demand, {name_en}{en}",
            )
            yield Quantity(maximum, obis, unit, "demand", label_zh, label_en, 4)
            # COSEM keeps the time of a maximum as another attribute of the same object, hence the same code.
            yield Quantity(
                f"{maximum}_occurred_at",
                obis,
                "s",
                "moment",
                f"{label_zh}发生时间",
                f"{label_en}: occurred at",
                0,
            )


QUANTITIES: Mapping[str, Quantity] = MappingProxyType(
    {
        entry.key: entry
        for source in (_energies(), _phased(), _between_phases(), _distortions(), _demands(), _SINGLES)
        for entry in source
    }
)
"""Every quantity by its key, in the order a person would list them."""


def quantity(key: str) -> Quantity:
    """The catalogue entry of a key; raises UnknownQuantity naming the nearest keys."""
    entry = QUANTITIES.get(key)
    if entry is None:
        raise UnknownQuantity(key, QUANTITIES)
    return entry
