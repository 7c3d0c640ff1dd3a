"""For which meters a command is asked: by address, by area, or as a list of meters shows them; and which cannot take it."""

import functools
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import select

from wattkeeper.collection.commands.errors import BadCommand
from wattkeeper.collection.commands.kinds import NEVER_IN_A_BATCH, CommandKind
from wattkeeper.collection.commands.models import MeterControl
from wattkeeper.collection.drivers import check_command
from wattkeeper.collection.models import MeterProgress
from wattkeeper.collection.spoken import spoken_protocol
from wattkeeper.kernel.database import in_parts
from wattkeeper.registry.models import Link, Meter
from wattkeeper.registry.scope import Scope
from wattkeeper.web.queries import meters
from wattkeeper.web.queries.meters import MeterFilter
from wattkeeper.web.services import Services

ROWS_AT_A_TIME: Final = 1000
DIGITS: Final = 12
Why = Literal["no_such_meter", "several_meters", "disabled", "no_commands", "keeps_power"]
WHY: Final[tuple[Why, ...]] = (
    "no_such_meter", "several_meters", "disabled", "no_commands", "keeps_power",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refused:
    """A meter that is left out, or an address that is none."""

    address: str
    why: Why
    meter_id: int | None = None


@dataclass(frozen=True, slots=True)
class Targets:
    """The meters that a command can be asked for, and those that it cannot."""

    meter_ids: tuple[int, ...] = ()
    refused: tuple[Refused, ...] = field(default=())

    @property
    def mark(self) -> str:
        """Stands for just these meters, so that what was shown is what is asked for."""
        return hashlib.sha256(repr(self.meter_ids).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Meters by id, and addresses that name none or several."""

    meter_ids: tuple[int, ...]
    refused: tuple[Refused, ...] = ()


def by_addresses(services: Services, text: str) -> Chosen:
    """The meters whose addresses somebody wrote, separated by anything that is no digit or letter."""
    wanted = list(dict.fromkeys(part.zfill(DIGITS) for part in re.findall(r"\w+", text)))
    found: dict[str, list[int]] = {}
    with services.database.read() as session:
        for part in in_parts(wanted):
            chosen = select(Meter.address, Meter.id).where(
                Meter.address.in_(part), services.scope.has_meter()
            )
            for address, meter_id in session.execute(chosen):
                found.setdefault(address, []).append(meter_id)
    refused = [
        Refused(address, "several_meters" if address in found else "no_such_meter")
        for address in wanted
        if len(found.get(address, ())) != 1
    ]
    ids = (found[address][0] for address in wanted if len(found.get(address, ())) == 1)
    return Chosen(tuple(ids), tuple(refused))


def named_meters(services: Services, text: str) -> Chosen:
    """As `by_addresses`, and `link/address` too: a Modbus unit, say, is the same on many links."""
    words = re.split(r"[\s,;，、；]+", text.strip())
    plain = by_addresses(services, " ".join(word for word in words if "/" not in word))
    ids, refused = list(plain.meter_ids), list(plain.refused)
    with services.database.read() as session:
        for word in dict.fromkeys(word for word in words if "/" in word):
            code, _, address = word.rpartition("/")
            chosen = (
                select(Meter.id)
                .join(Link, Link.id == Meter.link_id)
                .where(Link.code == code, Meter.address == address, services.scope.has_meter())
            )
            found = session.scalars(chosen).all()
            ids += found[:1]
            refused += [] if found else [Refused(word, "no_such_meter")]
    return Chosen(tuple(ids), tuple(refused))


def by_area(services: Services, area_id: int) -> Chosen:
    """The meters at and below an area, where they were installed last."""
    there = Scope(areas=frozenset({area_id}))
    with services.database.read() as session:
        services.registry(session).get_area(area_id)
        chosen = select(Meter.id).where(there.has_meter(), services.scope.has_meter()).order_by(Meter.id)
        return Chosen(tuple(session.scalars(chosen)))


def by_filter(services: Services, wanted: MeterFilter) -> Chosen:
    """The meters that a list shows; no more than a batch takes, and one."""
    most = services.commands.options.most_meters + 1
    found: list[int] = []
    after = None
    while len(found) < most:
        page = meters.find(services, wanted, after=after, limit=ROWS_AT_A_TIME)
        found += [row.meter_id for row in page.rows]
        after = page.after
        if after is None:
            break
    return Chosen(tuple(found[:most]))


def sorted_out(services: Services, kind: CommandKind, chosen: Chosen) -> Targets:
    """Which of the chosen meters can be asked for.

    Raises:
        BadCommand: several meters for what is for one at a time, or more than one batch takes.

    """
    ids = sorted(set(chosen.meter_ids))
    most = services.commands.options.most_meters
    if len(ids) > 1 and kind in NEVER_IN_A_BATCH:
        raise BadCommand(
            "This is for one meter at a time: a mistake in it would be in every one of them.",
            hint="Ask for each meter on its own page.",
        )
    if len(ids) > most:
        raise BadCommand(f"More than {most} meters are more than one batch takes.", hint="Choose fewer.")
    good: list[int] = []
    refused = list(chosen.refused)
    takes = functools.cache(functools.partial(_takes, kind=kind))
    with services.database.read() as session:
        for part in in_parts(ids):
            rows = session.execute(
                select(
                    Meter.id,
                    Meter.address,
                    spoken_protocol().label("protocol"),
                    Meter.enabled,
                    MeterControl.keep_power,
                )
                .outerjoin(MeterControl, MeterControl.meter_id == Meter.id)
                .outerjoin(MeterProgress, MeterProgress.meter_id == Meter.id)
                .where(Meter.id.in_(part), services.scope.has_meter())
                .order_by(Meter.id)
            )
            for row in rows:
                why = _why_not(row, kind, takes=takes(row.protocol))
                if why is None:
                    good.append(row.id)
                else:
                    refused.append(Refused(row.address, why, row.id))
    return Targets(tuple(good), tuple(refused))


def _why_not(row: Any, kind: CommandKind, *, takes: bool) -> Why | None:
    if not row.enabled:
        return "disabled"
    if not takes:
        return "no_commands"
    return "keeps_power" if kind is CommandKind.TRIP and row.keep_power else None


def takes_commands(protocol: str) -> bool:
    """Whether meters of a protocol can be told anything."""
    return _takes(protocol, kind=CommandKind.SET_CLOCK)


def _takes(protocol: str, *, kind: CommandKind) -> bool:
    """Whether its meters take such a command; what a parameter holds is checked when it is asked for."""
    try:
        check_command(protocol, CommandKind.SET_CLOCK if kind is CommandKind.SET_PARAMETER else kind, None)
    except BadCommand:
        return False
    return True


def counted(refused: Collection[Refused]) -> Mapping[Why, int]:
    """How many are left out for each reason."""
    found = {why: sum(item.why == why for item in refused) for why in WHY}
    return {why: count for why, count in found.items() if count}
