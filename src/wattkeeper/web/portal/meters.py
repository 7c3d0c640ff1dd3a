"""How a customer's meter fares, in plain words and with what they can do."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from wattkeeper.collection.values import Presence
from wattkeeper.web.language import Language
from wattkeeper.web.queries.portal import OwnMeter
from wattkeeper.web.queries.states import N_, Level

OLD: Final = timedelta(hours=26)
"""A reading older than this is worth a word: meters are read at least once a day."""
_SAID: Final[dict[Presence, tuple[Level, str, str]]] = {
    Presence.ANSWERING: ("ok", N_("Your meter answers."), ""),
    Presence.FAILING: (
        "warn",
        N_("Your meter missed its last reading."),
        N_("It is asked again by itself; there is nothing for you to do."),
    ),
    Presence.SILENT: (
        "bad",
        N_("Your meter does not answer at the moment."),
        N_(
            "If you have power, there is nothing for you to do: it is asked again by itself, and what it counts is not "
            "lost. If the power is out, look at your circuit breaker and then call your supplier."
        ),
    ),
    Presence.UNKNOWN: (
        "idle",
        N_("Your meter has not been asked yet."),
        N_("Its first reading comes by itself."),
    ),
}


@dataclass(frozen=True, slots=True)
class MeterView:
    """A meter as its customer sees it."""

    address: str
    place: str
    level: Level
    text: str
    hint: str
    since: datetime | None
    """Since when it does not answer, where that lies within the customer's time."""
    register: Decimal | None
    read_at: datetime | None
    ratio: Decimal


def meter_view(meter: OwnMeter, say: Language, now: datetime) -> MeterView:
    """A meter in plain words."""
    level, text, hint = _SAID[_presence(meter, now)]
    state = meter.state
    trouble = level in {"warn", "bad"} and state is not None
    since = state.last_success_at or state.since if trouble and state else None
    return MeterView(
        address=meter.address,
        place=meter.point_name or meter.point_code,
        level=level,
        text=say.text(text),
        hint=say.text(hint) if hint else "",
        since=since if since and since >= meter.since else None,
        register=meter.reading.value if meter.reading else None,
        read_at=meter.reading.read_at if meter.reading else None,
        ratio=meter.ratio,
    )


def _presence(meter: OwnMeter, now: datetime) -> Presence:
    """What the collector says; where none runs, a fresh reading speaks for the meter."""
    if meter.state is not None:
        return meter.state.presence
    if meter.reading is None:
        return Presence.UNKNOWN
    return Presence.ANSWERING if now - meter.reading.read_at < OLD else Presence.SILENT
