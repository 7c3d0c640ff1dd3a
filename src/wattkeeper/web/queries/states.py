"""States in words and in one of four levels of attention: ok, warn, bad, idle."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from wattkeeper.billing.values import BillState
from wattkeeper.collection.values import LinkStatus, MeterState, Presence
from wattkeeper.web.language import Language

Level = Literal["ok", "warn", "bad", "idle"]


def N_(message: str) -> str:  # noqa: N802 (gettext's name for it)
    """Mark a message for extraction."""
    return message


PRESENCE: Final[dict[Presence, tuple[Level, str]]] = {
    Presence.UNKNOWN: ("idle", N_("not asked yet")),
    Presence.ANSWERING: ("ok", N_("answering")),
    Presence.FAILING: ("warn", N_("failing")),
    Presence.SILENT: ("bad", N_("silent")),
}
BILL: Final[dict[BillState, tuple[Level, str]]] = {
    BillState.ISSUED: ("warn", N_("open")),
    BillState.PAID: ("ok", N_("paid")),
    BillState.CANCELLED: ("idle", N_("cancelled")),
    BillState.CANCELLATION: ("idle", N_("cancellation")),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A state as pages show it."""

    level: Level
    text: str


def meter_shown(state: MeterState | None, *, enabled: bool, say: Language) -> Shown:
    """How a meter fares."""
    if not enabled:
        return Shown("idle", say.text("disabled"))
    level, text = PRESENCE[state.presence if state else Presence.UNKNOWN]
    return Shown(level, say.text(text))


def link_shown(status: LinkStatus | None, *, enabled: bool, say: Language) -> Shown:
    """How a link fares."""
    if not enabled:
        return Shown("idle", say.text("disabled"))
    if status is None:
        return Shown("idle", say.text("not in use"))
    if status.connected:
        return Shown("ok", say.text("up"))
    if status.error:
        return Shown("bad", say.text("down"))
    return Shown("idle", say.text("not opened yet"))


def bill_shown(state: BillState, *, due_at: datetime | None, now: datetime, say: Language) -> Shown:
    """What became of a bill; an open one past its day is overdue."""
    if state is BillState.ISSUED and due_at is not None and due_at < now:
        return Shown("bad", say.text("overdue"))
    level, text = BILL[state]
    return Shown(level, say.text(text))


def link_news(status: LinkStatus, say: Language) -> dict[str, str]:
    """A link's state for open pages."""
    shown = link_shown(status, enabled=True, say=say)
    return {"state": shown.level, "text": shown.text}
