"""Success of reading, added up over a period by whatever is asked: link, protocol, meter, hour."""

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from wattkeeper.collection.counts import NO_METER, Failure
from wattkeeper.collection.models import LinkStatistic, ReadStatistic
from wattkeeper.collection.values import SuccessRate
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.models import Link, Meter
from wattkeeper.registry.scope import EVERYTHING, Scope

COUNTS: Final = (
    "attempts",
    "reads",
    "first_time",
    "succeeded",
    "strays",
    "answer_ms",
    *(failure.value for failure in Failure),
)
"""The columns of both statistics tables that are added up."""
_HOUR: Final = timedelta(hours=1)
_HOURS_NAMED: Final = 48


class By(StrEnum):
    """What is told apart in a sum."""

    LINK = "link"
    PROTOCOL = "protocol"
    METER = "meter"
    HOUR = "hour"


def success(
    session: Session,
    period: TimeRange,
    *,
    by: Collection[By] = (),
    link_id: int | None = None,
    protocol: str | None = None,
    meter_id: int | None = None,
    scope: Scope = EVERYTHING,
    most: int | None = None,
) -> list[SuccessRate]:
    """Success over the hours that the period touches, one sum for each combination that `by` tells apart, in order.

    A link's outage counts for the link and for no meter. Whoever is limited to a part of the network gets the reads of
    the meters within, and the outages of the links that carry one; these have no protocol there, since all meters of
    the line share them.

    Args:
        session: the ledger database.
        period: every hour that it touches counts whole; it may have no end.
        by: what is told apart; nothing: one sum of all, or none where nothing was read.
        link_id: only this link.
        protocol: only reads in this protocol.
        meter_id: only this meter.
        scope: the part of the network that whoever asks may see.
        most: no more sums than this are returned.

    """
    of_meters = By.METER in by or meter_id is not None or not scope.everything
    table: type[ReadStatistic | LinkStatistic] = ReadStatistic if of_meters else LinkStatistic
    columns: dict[By, Any] = {
        By.LINK: table.link_id,
        By.PROTOCOL: Meter.protocol if of_meters else LinkStatistic.protocol,
        By.METER: ReadStatistic.meter_id,
        By.HOUR: table.hour,
    }
    told = [columns[one].label(one.value) for one in By if one in by]
    sums = [func.sum(getattr(table, name)).label(name) for name in COUNTS]
    wanted: Select[Any] = select(*told, *sums).where(_within_period(table.hour, period))
    if of_meters and (By.PROTOCOL in by or protocol is not None):
        wanted = wanted.outerjoin(Meter, Meter.id == ReadStatistic.meter_id)
    if By.METER in by:
        wanted = wanted.where(ReadStatistic.meter_id != NO_METER)
    if link_id is not None:
        wanted = wanted.where(table.link_id == link_id)
    if meter_id is not None:
        wanted = wanted.where(ReadStatistic.meter_id == meter_id)
    if protocol is not None:
        wanted = wanted.where(columns[By.PROTOCOL] == protocol)
    if not scope.everything:
        wanted = wanted.where(_within_scope(scope))
    if told:
        order = [columns[one] for one in By if one in by]
        wanted = wanted.group_by(*order).order_by(*order)
    rows = session.execute(wanted.limit(most)).all()
    return [_rate(row._mapping) for row in rows if row._mapping["reads"] is not None]  # noqa: SLF001 - SQLAlchemy's name for its public mapping


def _within_period(hour: Any, period: TimeRange) -> ColumnElement[bool]:
    first = period.start.replace(minute=0, second=0, microsecond=0)
    if period.end is None:
        return hour >= first  # type: ignore[no-any-return]
    hours = -((first - period.end) // _HOUR)
    if hours <= _HOURS_NAMED:  # named one by one, the index tells one link's rows of an hour from all others'
        return hour.in_([first + n * _HOUR for n in range(hours)])  # type: ignore[no-any-return]
    return and_(hour >= first, hour < period.end)


def _within_scope(scope: Scope) -> ColumnElement[bool]:
    """Of a statement over ReadStatistic: a meter within, or the outage of a link that carries one."""
    meters = select(Meter.id).where(scope.has_meter())
    links = select(Link.id).where(scope.has_link())
    outage = and_(ReadStatistic.meter_id == NO_METER, ReadStatistic.link_id.in_(links))
    return or_(ReadStatistic.meter_id.in_(meters), outage)


def _rate(counted: Any) -> SuccessRate:
    hour: datetime | None = counted.get(By.HOUR)
    return SuccessRate(
        link_id=counted.get(By.LINK),
        meter_id=counted.get(By.METER),
        protocol=counted.get(By.PROTOCOL),
        hour=hour,
        attempts=counted["attempts"],
        reads=counted["reads"],
        first_time=counted["first_time"],
        succeeded=counted["succeeded"],
        strays=counted["strays"],
        answer_ms=counted["answer_ms"],
        failures={failure.value: counted[failure.value] for failure in Failure if counted[failure.value]},
    )
