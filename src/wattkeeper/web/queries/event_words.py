"""Events of a meter in words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from wattkeeper.monitoring.words import sentence_of
from wattkeeper.web.language import Language
from wattkeeper.web.queries.events import Kind, MeterEvent
from wattkeeper.web.queries.states import N_, Level

KINDS: Final[dict[Kind, str]] = {
    "installed": N_("Installed"),
    "exchanged": N_("Exchanged"),
    "removed": N_("Taken down"),
    "ratio_changed": N_("Ratio changed"),
    "rollover": N_("Register ran over"),
    "register_fell": N_("Register fell"),
    "clock_off": N_("Clock off"),
    "alarm": N_("Alarm"),
    "read_asked": N_("Read by hand"),
    "created": N_("Entered"),
    "changed": N_("Master data changed"),
}
FIELDS: Final = {
    "address": N_("Address"),
    "protocol": N_("Protocol"),
    "link_id": N_("Link"),
    "model": N_("Model"),
    "register_digits": N_("Digits"),
    "register_decimals": N_("Decimals"),
    "shows": N_("Shown values"),
    "max_current_a": N_("Maximum current"),
    "enabled": N_("In use"),
}


@dataclass(frozen=True, slots=True)
class EventLine:
    """An event as a page and a chart show it."""

    at: datetime
    until: datetime | None
    kind: Kind
    level: Level
    title: str
    text: str
    href: str | None = None


def event_lines(events: Iterable[MeterEvent], say: Language, *, names: bool) -> list[EventLine]:
    """Events in the visitor's language; `names` tells who did what people did."""
    return [
        EventLine(
            at=event.at,
            until=event.until,
            kind=event.kind,
            level=event.level,
            title=say.text(KINDS[event.kind]),
            text=_told(event, say, names=names),
            href=f"/alarms/{event.facts['finding'].id}" if event.kind == "alarm" else None,
        )
        for event in events
    ]


def _told(event: MeterEvent, say: Language, *, names: bool) -> str:
    match event.kind:
        case "rollover" | "register_fell":
            return _register_told(event.facts, say)
        case "clock_off":
            return _clock_told(event.facts["seconds"], say)
        case "alarm":
            return sentence_of(event.facts["finding"], say.code)
        case "read_asked" | "created" | "changed":
            return _act_told(event.facts, say, names=names)
        case _:
            return _installation_told(event, say)


def _installation_told(event: MeterEvent, say: Language) -> str:
    facts = event.facts
    words = {
        "address": facts["address"],
        "point": facts["point"],
        "register": _register(facts["register"], say),
        "ratio": say.exact(facts["ratio"]),
        "old": facts.get("old_address"),
        "last": _register(facts.get("old_register"), say),
        "old_ratio": say.exact(facts.get("old_ratio")),
    }
    return say.text(_INSTALLATIONS[event.kind], **words)


_INSTALLATIONS: Final[Mapping[Kind, str]] = {
    "installed": N_("Meter %(address)s at %(point)s, register %(register)s kWh, ratio %(ratio)s"),
    "exchanged": N_(
        "Meter %(old)s (last register %(last)s kWh) gave way to %(address)s (first register %(register)s kWh)"
    ),
    "removed": N_("Meter %(address)s from %(point)s, last register %(register)s kWh"),
    "ratio_changed": N_("From %(old_ratio)s to %(ratio)s"),
}


def _register(value: Decimal | None, say: Language) -> str:
    return say.exact(value, 2)


def _register_told(facts: Mapping[str, Any], say: Language) -> str:
    parts = [
        say.quantity(facts["quantity"]),
        say.text("%(before)s → %(after)s kWh", before=_register(facts["before"], say), after=_register(facts["value"], say)),
    ]  # fmt: skip
    if facts["counted"] is not None:
        parts.append(
            say.text("%(energy)s kWh counted across the end", energy=_register(facts["counted"], say))
        )
    else:
        parts.append(say.text("no rollover explains it"))
    return say.listed(parts)


def _clock_told(seconds: Decimal, say: Language) -> str:
    if seconds >= 0:
        return say.text("%(seconds)s s ahead", seconds=say.number(seconds, 1))
    return say.text("%(seconds)s s behind", seconds=say.number(-seconds, 1))


def _act_told(facts: Mapping[str, Any], say: Language, *, names: bool) -> str:
    before, after = facts["before"] or {}, facts["after"] or {}
    parts = [str(facts["who"])] if names else []
    parts += [
        f"{say.text(FIELDS[name])} {_plain(before[name], say)} → {_plain(after.get(name), say)}"
        for name in FIELDS
        if name in before
    ]
    return say.listed(parts)


def _plain(value: object, say: Language) -> str:
    if isinstance(value, bool):
        return say.text("yes") if value else say.text("no")
    return "–" if value is None or value == "" else str(value)
