"""Which value a parameter of a rule has for a class of metering point on a day."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

import numpy as np
import numpy.typing as npt

from wattkeeper.readings.batches import microseconds
from wattkeeper.readings.registers import Integers
from wattkeeper.readings.validation.facts import Floats
from wattkeeper.readings.validation.models import ANY_KIND
from wattkeeper.readings.validation.rules import RULES, Parameter
from wattkeeper.readings.validation.values import ParameterValue

_RANK: Final = {True: 1, False: 0}


@dataclass(frozen=True, slots=True)
class Used:
    """The value a finding was made with; ``since`` is None for a default."""

    value: Decimal
    unit: str
    since: datetime | None


class Parameters:
    """Defaults of the rules, with what people set.

    A value of a class goes before one of every class, a later one before an earlier one; the instant that decides is the
    first of the civil day that is judged.
    """

    def __init__(self, values: Iterable[ParameterValue] = ()) -> None:
        self._set: defaultdict[tuple[str, str], list[ParameterValue]] = defaultdict(list)
        for value in values:
            self._set[value.rule, value.parameter].append(value)
        for versions in self._set.values():
            versions.sort(key=_order)

    def on_days(
        self, rule: str, key: str, kinds: npt.NDArray[np.str_], row: Integers, days: Integers
    ) -> Floats:
        """The value on each of some days (their first instants in microseconds since 1970 UTC).

        ``row`` says which of the ``kinds`` each is about. The answer may be one value in many places: do not write to it.
        """
        parameter = _of(rule, key)
        versions = self._set.get((rule, key), ())
        if not versions and not parameter.by_kind:
            return np.broadcast_to(np.float64(parameter.default), len(row))
        own = np.full(len(kinds), float(parameter.default))
        for kind, value in parameter.by_kind.items():
            own[kinds == kind] = float(value)
        found: Floats = own[row]
        for version in versions:
            holds = days >= microseconds(version.valid_from)
            if version.point_kind != ANY_KIND:
                holds &= (kinds == version.point_kind)[row]
            found[holds] = float(version.value)
        return found

    def largest(self, rule: str, key: str) -> Decimal:
        """The largest value that any class has at any time."""
        parameter = _of(rule, key)
        versions = (version.value for version in self._set.get((rule, key), ()))
        return max([parameter.default, *parameter.by_kind.values(), *versions])

    def used(self, rule: str, key: str, kind: str, day: int) -> Used:
        """The value for one class and day, with when it was set."""
        parameter = _of(rule, key)
        defaults = {of.value: value for of, value in parameter.by_kind.items()}
        used = Used(defaults.get(kind, parameter.default), parameter.unit, None)
        for version in self._set.get((rule, key), ()):
            if version.point_kind in {ANY_KIND, kind} and microseconds(version.valid_from) <= day:
                used = Used(version.value.normalize() + 0, parameter.unit, version.valid_from)
        return used


def _of(rule: str, key: str) -> Parameter:
    parameter = RULES[rule].parameter(key)
    assert parameter is not None, f"{rule} has no parameter {key}"
    return parameter


def _order(version: ParameterValue) -> tuple[int, datetime]:
    return _RANK[version.point_kind != ANY_KIND], version.valid_from
