"""What the district's meters are told: one command that is carried out, one that waits for a second person."""

from datetime import UTC, datetime
from typing import Final

from wattkeeper.collection.commands.kinds import CommandKind
from wattkeeper.collection.commands.service import CommandService, Wanted
from wattkeeper.collection.drivers import check_command
from wattkeeper.demo.masterdata import PORTAL_CUSTOMER
from wattkeeper.kernel.hub import Hub
from wattkeeper.parts import Parts
from wattkeeper.registry.repository import Registry
from wattkeeper.security.acting import Actor, ActorKind, acting
from wattkeeper.security.repository import SecurityRepository

METER_PASSWORD: Final = "02123456"  # noqa: S105 (of simulated meters, as they leave their maker)
ASKS: Final = "operator"
IN_DEBT: Final = "C-0010"
"""Who is two months behind; `run.HABITS` sees to it."""
KEPT: Final = "家中有制氧机，保电 Oxygen at home: power is kept"
DEBT: Final = "欠费两个月，已书面通知 Two months of debt, told in writing"


def give_orders(parts: Parts) -> None:
    """Have power kept at one flat, once; have the trip of another wait, also after an earlier one expired."""
    commands = CommandService(parts.database, Hub(), check=check_command)
    now = datetime.now(UTC)
    first = not commands.batches(limit=1)
    with parts.database.read() as session:
        user = SecurityRepository(session).user_by_login(ASKS)
        assert user is not None
        asks = Actor(ActorKind.USER, ASKS, user.id)
        registry = Registry(session)
        kept, in_debt = _meter_of(registry, PORTAL_CUSTOMER), _meter_of(registry, IN_DEBT)
    with acting(asks):
        if first:
            commands.ask(
                Wanted(kind=CommandKind.KEEP_POWER_ON, meter_ids=[kept], reason=KEPT, expires_at=_late(commands, now)),
                now=now,
            )  # fmt: skip
        if all(batch.expires_at <= now for batch in commands.batches(waiting=True, limit=1)):
            commands.ask(
                Wanted(kind=CommandKind.TRIP, meter_ids=[in_debt], reason=DEBT, expires_at=_late(commands, now)),
                now=now,
            )  # fmt: skip


def _late(commands: CommandService, now: datetime) -> datetime:
    return now + commands.options.longest_wait


def _meter_of(registry: Registry, customer_code: str) -> int:
    """The meter that a customer's first account pays for."""
    customer = registry.customer_by_code(customer_code)
    assert customer is not None
    account = next(account for account in registry.accounts() if account.customer_id == customer.id)
    return registry.find_meters(search=account.code).rows[0].meter_id
