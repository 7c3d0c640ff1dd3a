"""Values against limits, with hysteresis: pure, in memory, and idle while everything is within.

A finding of a meter stays open while any of the quantities of its rule is out; a three-phase meter has one alarm for
its voltages and not three.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from wattkeeper.collection.values import LiveReading
from wattkeeper.monitoring.decisions import Cleared, Decision, Evidence, Open, OpenFindings, Raised, Updated
from wattkeeper.monitoring.limits import Limits, MeterFacts, Rule, rules
from wattkeeper.monitoring.models import SubjectKind
from wattkeeper.monitoring.values import Key

WORSE_BY: Final = Decimal("0.01")
"""Share of the limit by which a value must be worse than the worst one before it is written down."""
NOTE_EVERY: Final = timedelta(minutes=10)
"""How often it is written down that something goes on."""

Meters = Mapping[int, MeterFacts]


@dataclass(frozen=True, slots=True)
class Sample:
    """A reading as it was compared."""

    reading: LiveReading
    value: Decimal
    """The reading, multiplied as the rule wants it."""

    def as_json(self) -> Evidence:
        """What a person needs to check it."""
        return {
            "quantity": self.reading.quantity,
            "value": plain(self.value),
            "read": plain(self.reading.value),
            "unit": self.reading.unit,
            "read_at": self.reading.read_at.isoformat(),
            "exchange_id": str(self.reading.exchange_id),  # 64 bits do not fit a JSON number
        }


@dataclass(slots=True)
class Run:
    """One quantity of a meter that is out, or was until just now."""

    out: int = 0
    inside: int = 0
    confirmed: bool = False
    samples: list[Sample] = field(default_factory=list)
    """The readings that were out: the first ones in a row, then the worst."""


class Judge:
    """Remembers what is out; decides what is to be raised, updated and cleared."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._rules: dict[str, Rule] = {rule.code: rule for rule in rules(limits)}
        self._by_quantity: dict[str, tuple[Rule, ...]] = {}
        for rule in self._rules.values():
            for quantity in rule.quantities:
                self._by_quantity[quantity] = (*self._by_quantity.get(quantity, ()), rule)
        self._runs: dict[Key, dict[str, Run]] = {}
        self._unwritten: dict[Key, int] = defaultdict(int)
        """Readings that were out since the finding was last written."""

    def restore(self, key: Key, evidence: Evidence) -> None:
        """Go on with a finding that is open in the database."""
        if key.code in self._rules and key not in self._runs:
            quantities = evidence.get("quantities", ())
            self._runs[key] = {quantity: Run(out=1, confirmed=True) for quantity in quantities}

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a subject that is not watched any more."""
        self._runs.pop(key, None)
        self._unwritten.pop(key, None)

    def unlimited(self, meters: Meters, open_: OpenFindings) -> list[Decision]:
        """Close what has lost its limit, as when a meter's maximum current was taken out of the master data."""
        return [
            Cleared(key, "no_limit")
            for key in open_
            if (rule := self._rules.get(key.code)) is not None
            and (meter := meters.get(key.subject_id)) is not None
            and rule.limit(meter) is None
        ]

    def take(
        self, readings: Iterable[LiveReading], meters: Meters, open_: OpenFindings, now: datetime
    ) -> list[Decision]:
        """Judge readings in the order they came in."""
        touched: dict[Key, Sample] = {}
        for reading in readings:
            applying = self._by_quantity.get(reading.quantity)
            meter = meters.get(reading.meter_id)
            if applying is None or meter is None:
                continue
            for rule in applying:
                self._compare(rule, reading, meter, touched)
        return list(self._decide(touched, meters, open_, now)) if touched else []

    def _compare(
        self, rule: Rule, reading: LiveReading, meter: MeterFacts, touched: dict[Key, Sample]
    ) -> None:
        limit = rule.limit(meter)
        if limit is None:
            return
        size = abs(reading.value)  # currents and powers of what is fed back are negative
        if size < rule.least:
            return
        factor = rule.factor(meter)
        value = size if factor == 1 else size * factor
        key = Key(rule.code, SubjectKind.METER, reading.meter_id)
        if rule.is_out(value, limit):
            touched[key] = sample = Sample(reading, value)
            self._note_out(key, rule, sample, limit)
        elif key in self._runs and self._note_inside(key, reading.quantity):
            touched[key] = Sample(reading, value)

    def _note_out(self, key: Key, rule: Rule, sample: Sample, limit: Decimal) -> None:
        run = self._runs.setdefault(key, {}).setdefault(sample.reading.quantity, Run())
        run.out, run.inside = run.out + 1, 0
        run.confirmed = run.confirmed or run.out >= self._limits.readings_to_raise
        self._unwritten[key] += 1
        if len(run.samples) < self._limits.readings_to_raise:
            run.samples.append(sample)
        elif rule.beyond(sample.value, limit) > rule.beyond(run.samples[-1].value, limit):
            run.samples[self._limits.readings_to_raise :] = [sample]

    def _note_inside(self, key: Key, quantity: str) -> bool:
        """Whether a quantity is well again."""
        runs = self._runs[key]
        run = runs.get(quantity)
        if run is None:
            return False
        run.inside += 1
        if run.confirmed and run.inside < self._limits.readings_to_clear:
            return False
        del runs[quantity]
        if not runs:
            self.forget(key)
        return True

    def _decide(
        self, touched: Mapping[Key, Sample], meters: Meters, open_: OpenFindings, now: datetime
    ) -> Iterator[Decision]:
        taken = {
            (key.code, meters[key.subject_id].link_id)
            for key in open_
            if (rule := self._rules.get(key.code)) is not None and rule.per_link and key.subject_id in meters
        }
        for key, sample in touched.items():
            rule, meter = self._rules[key.code], meters[key.subject_id]
            runs = self._runs.get(key, {})
            found = open_.get(key)
            if found is not None and not runs:
                yield Cleared(key, "within", {"cleared_by": sample.as_json()})
            elif found is not None:
                yield from self._updated(key, found, rule, meter, now)
            elif any(run.confirmed for run in runs.values()):
                if rule.per_link:
                    if (key.code, meter.link_id) in taken:
                        continue
                    taken.add((key.code, meter.link_id))
                self._unwritten[key] = 0
                yield Raised(key, _evidence(rule, meter, runs), self._limits.readings_to_raise)

    def _updated(
        self, key: Key, found: Open, rule: Rule, meter: MeterFacts, now: datetime
    ) -> Iterator[Decision]:
        """What is worth a row: markedly worse, or going on for a while."""
        limit, count = rule.limit(meter), self._unwritten[key]
        worst = _worst(rule, limit, self._runs[key].values())
        if limit is None or worst is None or not count:
            return
        known = found.evidence.get("worst", {}).get("value", found.evidence.get("value", "0"))
        worse = rule.beyond(worst.value, limit) - rule.beyond(Decimal(known), limit)
        if worse < limit * WORSE_BY and now - found.updated_at < NOTE_EVERY:
            return
        self._unwritten[key] = 0
        evidence = found.evidence | {"quantities": sorted(self._runs[key])}
        if worse > 0:
            evidence["worst"] = worst.as_json()
        yield Updated(key, evidence, found.occurrences + count)


def _worst(rule: Rule, limit: Decimal | None, runs: Iterable[Run]) -> Sample | None:
    samples = [sample for run in runs for sample in run.samples]
    if limit is None or not samples:
        return None
    return max(samples, key=lambda sample: rule.beyond(sample.value, limit))


def _evidence(rule: Rule, meter: MeterFacts, runs: Mapping[str, Run]) -> Evidence:
    """The reading that raised it with the one before, the limit and how the value was made."""
    limit = rule.limit(meter)
    assert limit is not None
    confirmed = [run for run in runs.values() if run.confirmed and run.samples]
    raising = max(confirmed, key=lambda run: rule.beyond(run.samples[-1].value, limit)).samples
    evidence = raising[-1].as_json() | {
        "limit": plain(limit),
        "above": rule.above,
        "before": _earlier(raising),
        "quantities": sorted(quantity for quantity, run in runs.items() if run.confirmed),
    }
    factor = rule.factor(meter)
    return evidence if factor == 1 else evidence | {"factor": plain(factor)}


def _earlier(samples: Sequence[Sample]) -> list[Evidence]:
    return [sample.as_json() for sample in samples[:-1]]


def plain(value: Decimal) -> str:
    """A decimal as it is written, without trailing zeros of a multiplication."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
