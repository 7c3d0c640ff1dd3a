"""How far deriving intervals has come: all SQL of the readings room in the ledger database."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from wattkeeper.readings.models import DerivationCursor, DerivedInstallation
from wattkeeper.registry.models import Installation, Meter, MeteringPoint, Site

# All that derivation takes from the registry: what `InstalledMeter` says.
_COPIED: dict[str, InstrumentedAttribute[Any]] = {
    "point_id": Installation.point_id,
    "meter_id": Installation.meter_id,
    "valid_from": Installation.valid_from,
    "valid_to": Installation.valid_to,
    "ct_ratio": Installation.ct_ratio,
    "pt_ratio": Installation.pt_ratio,
    "first_register": Installation.first_register,
    "last_register": Installation.last_register,
    "register_digits": Meter.register_digits,
    "register_decimals": Meter.register_decimals,
    "shows": Meter.shows,
    "interval_minutes": MeteringPoint.interval_minutes,
    "rated_power_kw": MeteringPoint.rated_power_kw,
    "zone": Site.zone,
}
_ENDING = {"valid_to", "last_register"}
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class MovedInstallation:
    """An installation that is not as the intervals know it, or whose meter or point is not."""

    installation_id: int
    point_id: int
    meter_id: int
    touched_from: datetime
    """Energy from here on is to be derived again."""
    values: dict[str, Any]
    """What to remember once that is done."""


class DerivationRepository:
    """Positions and remembered installations, in the caller's transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def position(self, stream: str) -> int:
        """The ``recorded_at`` [µs] up to which a stream was dealt with; 0 at first."""
        cursor = self._session.get(DerivationCursor, stream)
        return 0 if cursor is None else cursor.position

    def advance(self, stream: str, position: int) -> None:
        """Remember a position; it never goes back."""
        cursor = self._session.get(DerivationCursor, stream, with_for_update=True)
        if cursor is None:
            self._session.add(DerivationCursor(stream=stream, position=position))
        else:
            cursor.position = max(cursor.position, position)

    def moved_installations(self) -> list[MovedInstallation]:
        """Installations that are new, or changed in anything that intervals are derived from."""
        differs = or_(
            DerivedInstallation.installation_id.is_(None),
            *(now.is_distinct_from(getattr(DerivedInstallation, name)) for name, now in _COPIED.items()),
        )
        rows = self._session.execute(
            select(Installation.id, DerivedInstallation, *_COPIED.values())
            .join(Meter, Meter.id == Installation.meter_id)
            .join(MeteringPoint, MeteringPoint.id == Installation.point_id)
            .join(Site, Site.id == MeteringPoint.site_id)
            .outerjoin(DerivedInstallation, DerivedInstallation.installation_id == Installation.id)
            .where(differs)
        )
        return [
            _moved(identifier, dict(zip(_COPIED, now, strict=True)), then) for identifier, then, *now in rows
        ]

    def remember(self, moved: Iterable[MovedInstallation]) -> None:
        """The intervals now follow these installations."""
        rows = [{"installation_id": one.installation_id, **one.values} for one in moved]
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            known = DerivedInstallation.installation_id.in_([row["installation_id"] for row in chunk])
            self._session.execute(delete(DerivedInstallation).where(known))
            self._session.execute(insert(DerivedInstallation), chunk)


def _moved(installation_id: int, now: dict[str, Any], then: DerivedInstallation | None) -> MovedInstallation:
    """A mere end touches what lies after it; anything else touches the whole installation."""
    touched_from = now["valid_from"] if then is None else min(now["valid_from"], then.valid_from)
    if then is not None and {name for name in _COPIED if getattr(then, name) != now[name]} <= _ENDING:
        touched_from = min(end for end in (now["valid_to"], then.valid_to) if end is not None)
    return MovedInstallation(installation_id, now["point_id"], now["meter_id"], touched_from, now)
