"""The inputs a bill keeps, as JSON, and the rating of nothing but them: issuing and recomputing are one path."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from wattkeeper.billing.rating import Rated, Use, rate
from wattkeeper.billing.tariff import Tariff
from wattkeeper.billing.tariff_reader import restore_tariff
from wattkeeper.billing.values import Basis, Line, Party, ReadingRow
from wattkeeper.kernel.timerange import TimeRange

FORMAT = 1


@dataclass(frozen=True)
class Part:
    """The stretch of a bill that one tariff rates."""

    tariff: Tariff
    in_force: TimeRange
    used_before: Mapping[datetime, Decimal]
    uses: tuple[Use, ...]


@dataclass(frozen=True)
class Inputs:
    """Everything a bill is computed from."""

    party: Party
    calendar: Mapping[str, str]
    parts: tuple[Part, ...]
    readings: tuple[ReadingRow, ...]

    def rated(self) -> Rated:
        """Lines and total."""
        return rated(self.parts)

    @property
    def energy_kwh(self) -> Decimal:
        """All energy billed [kWh]."""
        return sum((use.kwh for part in self.parts for use in part.uses), Decimal(0))

    @property
    def estimated(self) -> bool:
        """Whether any of the energy was not measured."""
        return any(use.estimated for part in self.parts for use in part.uses)

    def as_json(self) -> dict[str, Any]:
        """The kept form."""
        return {
            "format": FORMAT,
            "party": {name: getattr(self.party, name) for name in Party.__slots__},
            "calendar": dict(self.calendar),
            "parts": [_part_json(part) for part in self.parts],
            "readings": [_row_json(row) for row in self.readings],
        }

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> "Inputs":
        """The inputs a bill kept."""
        return cls(
            party=Party(**kept["party"]),
            calendar=kept["calendar"],
            parts=tuple(_part(part) for part in kept["parts"]),
            readings=tuple(_row(row) for row in kept["readings"]),
        )


def rated(parts: Sequence[Part]) -> Rated:
    """Lines and total of the stretches of a bill; their totals are added, each rounded by its own tariff."""
    each = [rate(p.tariff, p.uses, in_force=p.in_force, used_before=p.used_before) for p in parts]
    lines = [line for part in each for line in part.lines]
    numbered = tuple(replace(line, position=number) for number, line in enumerate(lines, start=1))
    return Rated(numbered, sum((part.total for part in each), Decimal(0)))


def used_in(kept: Mapping[str, Any], cycle: TimeRange) -> Decimal:
    """The energy [kWh] a bill billed within a tier cycle."""
    uses: Sequence[Use] = [_use(use) for part in kept["parts"] for use in part["uses"]]
    return sum((use.kwh for use in uses if cycle.contains(use.period.start)), Decimal(0))


def reversed_line(line: Line) -> Line:
    """The line that takes back another."""
    return replace(line, quantity=-line.quantity, amount=-line.amount)


def _part_json(part: Part) -> dict[str, Any]:
    return {
        "tariff": {
            "code": part.tariff.code,
            "hash": part.tariff.content_hash,
            "content": part.tariff.content,
        },
        "in_force": _range_json(part.in_force),
        "used_before": {start.isoformat(): str(kwh) for start, kwh in part.used_before.items()},
        "uses": [
            {
                "period": _range_json(use.period),
                "kwh": str(use.kwh),
                "by_tou": [[code, str(kwh)] for code, kwh in use.by_tou],
                "basis": use.basis.value,
                "references": list(use.references),
                "estimated": use.estimated,
            }
            for use in part.uses
        ],
    }


def _part(kept: Mapping[str, Any]) -> Part:
    return Part(
        tariff=restore_tariff(kept["tariff"]["content"]),
        in_force=_range(kept["in_force"]),
        used_before={datetime.fromisoformat(at): Decimal(kwh) for at, kwh in kept["used_before"].items()},
        uses=tuple(_use(use) for use in kept["uses"]),
    )


def _use(kept: Mapping[str, Any]) -> Use:
    return Use(
        period=_range(kept["period"]),
        kwh=Decimal(kept["kwh"]),
        by_tou=tuple((code, Decimal(kwh)) for code, kwh in kept["by_tou"]),
        basis=Basis(kept["basis"]),
        references=tuple(kept["references"]),
        estimated=kept["estimated"],
    )


def _row_json(row: ReadingRow) -> dict[str, Any]:
    plain = {name: getattr(row, name) for name in ReadingRow.__slots__}
    plain["period"] = _range_json(row.period)
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in plain.items()}


def _row(kept: Mapping[str, Any]) -> ReadingRow:
    numbers = ("start", "end", "ratio", "energy_kwh")
    decimals = {name: None if kept[name] is None else Decimal(kept[name]) for name in numbers}
    return ReadingRow(**{**kept, **decimals, "period": _range(kept["period"])})


def _range_json(period: TimeRange) -> list[str | None]:
    return [period.start.isoformat(), None if period.end is None else period.end.isoformat()]


def _range(kept: Sequence[str | None]) -> TimeRange:
    start, end = kept
    assert start is not None
    return TimeRange(datetime.fromisoformat(start), None if end is None else datetime.fromisoformat(end))
