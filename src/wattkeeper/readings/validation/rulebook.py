"""The rules as people see and set them: dated parameters per class of metering point."""

from datetime import datetime
from decimal import Decimal
from typing import Final

from sqlalchemy.exc import DBAPIError

from wattkeeper.kernel.database import Database, violates_uniqueness
from wattkeeper.readings.validation.errors import BadParameter, ParameterExists, UnknownRule
from wattkeeper.readings.validation.models import ANY_KIND, ValidationParameter
from wattkeeper.readings.validation.repository import ParameterRepository
from wattkeeper.readings.validation.rules import RULES
from wattkeeper.readings.validation.values import ParameterValue
from wattkeeper.registry.models import PointKind
from wattkeeper.security.acting import current_actor
from wattkeeper.security.audit import record

_DECIMALS: Final = 4
_LARGEST: Final = Decimal(10**9)


class RuleBook:
    """Reads and sets parameters; what is set holds for civil days that begin at its instant or later."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def parameters(self) -> list[ParameterValue]:
        """Everything that was set, in that order."""
        with self._database.read() as session:
            return ParameterRepository(session).all()

    def set_parameter(
        self,
        rule: str,
        parameter: str,
        value: Decimal,
        *,
        valid_from: datetime,
        now: datetime,
        point_kind: str = ANY_KIND,
    ) -> ParameterValue:
        """Set a parameter from an instant on. Open findings of the rule are then judged again.

        Raises:
            UnknownRule: there is no such rule.
            BadParameter: the rule has no such parameter, there is no such class, or the value cannot be one.
            ParameterExists: it was set from the same instant on before.

        """
        _check(rule, parameter, value, point_kind)
        row = ValidationParameter(
            rule=rule,
            point_kind=point_kind,
            parameter=parameter,
            value=value,
            valid_from=valid_from,
            set_at=now,
            set_by=current_actor().name,
        )
        try:
            with self._database.write() as session:
                kept = ParameterRepository(session).add(row)
                record(
                    session,
                    "validation.set_parameter",
                    now=now,
                    subject=("rule", rule),
                    name=rule,
                    after={
                        "parameter": parameter,
                        "point_kind": point_kind,
                        "value": f"{value:f}",
                        "valid_from": valid_from.isoformat(),
                    },
                )
        except DBAPIError as error:
            if violates_uniqueness(error):
                raise ParameterExists(rule, parameter, valid_from) from error
            raise
        return kept


def _check(rule: str, parameter: str, value: Decimal, point_kind: str) -> None:
    if rule not in RULES:
        raise UnknownRule(rule)
    known = RULES[rule].parameter(parameter)
    if known is None:
        keys = ", ".join(each.key for each in RULES[rule].parameters)
        raise BadParameter(f"The rule {rule} has no parameter {parameter!r}.", hint=f"It has {keys}.")
    if point_kind not in {ANY_KIND, *PointKind}:
        kinds = ", ".join(PointKind)
        raise BadParameter(
            f"There is no class of metering point {point_kind!r}.",
            hint=f"Choose one of {kinds}, or {ANY_KIND} for all.",
        )
    exponent = value.as_tuple().exponent
    if (
        not value.is_finite()
        or not 0 <= value <= _LARGEST
        or not isinstance(exponent, int)
        or exponent < -_DECIMALS
    ):
        raise BadParameter(
            f"The parameter {parameter} of {rule} cannot be {value}.",
            hint=f"Give a number from 0 to {_LARGEST} with at most {_DECIMALS} decimals.",
        )
    if parameter == "enabled" and value not in {0, 1}:
        raise BadParameter(f"The rule {rule} is enabled by 1 and disabled by 0, not by {value}.")
