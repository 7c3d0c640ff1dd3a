"""What lies within the part of the network that whoever asks may see; None stands for all of it.

Where everything may be seen, nothing is looked up: most people see everything.
"""

from collections.abc import Iterable

from sqlalchemy import exists, not_, select
from sqlalchemy.orm import aliased

from wattkeeper.billing.values import BillView
from wattkeeper.collection.values import MeterState, Presence
from wattkeeper.registry.models import Account, Link, Meter
from wattkeeper.web.services import Services


def point_ids(services: Services) -> list[int] | None:
    """The ids of the metering points within."""
    if services.scope.everything:
        return None
    with services.database.read() as session:
        return list(session.scalars(services.scope.points()))


def meter_ids(services: Services) -> frozenset[int] | None:
    """The ids of the meters within."""
    if services.scope.everything:
        return None
    with services.database.read() as session:
        return frozenset(session.scalars(select(Meter.id).where(services.scope.has_meter())))


def account_ids(services: Services) -> frozenset[int] | None:
    """The ids of the accounts within."""
    if services.scope.everything:
        return None
    with services.database.read() as session:
        return frozenset(session.scalars(select(Account.id).where(services.scope.has_account())))


def link_codes(services: Services) -> frozenset[str] | None:
    """The codes of the links that carry a meter within."""
    if services.scope.everything:
        return None
    with services.database.read() as session:
        return frozenset(link.code for link in services.registry(session).links())


def watchable_links(services: Services) -> frozenset[str] | None:
    """The codes of the links whose every meter is within: the frames of others would tell of other areas."""
    if services.scope.everything:
        return None
    other = aliased(Meter)
    inside = select(Meter.id).where(services.scope.has_meter())
    foreign = exists().where(other.link_id == Link.id, not_(other.id.in_(inside)))
    with services.database.read() as session:
        return frozenset(session.scalars(select(Link.code).where(services.scope.has_link(), not_(foreign))))


def meter_states(services: Services) -> tuple[MeterState, ...]:
    """What the collector knows of the meters within; nothing when none runs."""
    if services.collector is None:
        return ()
    return among(services.collector.meter_states(), meter_ids(services))


def presences(services: Services) -> dict[int, Presence]:
    """Whether each meter within answers; nothing when no collector runs."""
    if services.collector is None:
        return {}
    known, allowed = services.collector.presences(), meter_ids(services)
    if allowed is None:
        return dict(known)
    return {meter_id: presence for meter_id, presence in known.items() if meter_id in allowed}


def among(states: Iterable[MeterState], allowed: frozenset[int] | None) -> tuple[MeterState, ...]:
    """The states of the allowed meters."""
    return tuple(state for state in states if allowed is None or state.meter_id in allowed)


def bill(services: Services, bill_id: int) -> BillView:
    """A bill whose account is within; NotFound for any other."""
    found = services.billing.bill(bill_id)
    with services.database.read() as session:
        services.registry(session).get_account(found.account_id)
    return found
