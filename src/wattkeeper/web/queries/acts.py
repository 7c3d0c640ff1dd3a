"""The audit as people read it: who did what to what, and what that changed."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from wattkeeper.security.acting import ActorKind
from wattkeeper.security.rights import Right, Role
from wattkeeper.security.values import AuditRow
from wattkeeper.web.language import Language
from wattkeeper.web.queries import command_words
from wattkeeper.web.queries.act_words import ACTIONS, FIELDS, PAGES, REASONS, SUBJECTS
from wattkeeper.web.queries.people import customer_names, place_names
from wattkeeper.web.queries.roles import right_groups, role_text
from wattkeeper.web.queries.states import N_
from wattkeeper.web.services import Services

Names = Mapping[tuple[str, int], str]
ACTOR_KINDS: Final[Mapping[ActorKind, str | None]] = {
    ActorKind.USER: None,
    ActorKind.TOKEN: N_("by a token"),
    ActorKind.LOCAL: N_("on the server's command line"),
    ActorKind.SYSTEM: N_("by itself"),
    ActorKind.ANONYMOUS: N_("not signed in"),
}


@dataclass(frozen=True, slots=True)
class ChangedField:
    """One part of what an act changed; `before` or `after` is None where there is nothing."""

    label: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class ActLine:
    """One act in a list."""

    id: int
    at: datetime
    actor: str
    actor_note: str | None
    actor_page: str | None
    address: str | None
    what: str
    action: str
    subject: str
    subject_kind: str
    subject_page: str | None
    changes: tuple[ChangedField, ...]
    position: int | None
    hash: str | None


def act_lines(services: Services, rows: Iterable[AuditRow], say: Language) -> list[ActLine]:
    """Acts in words."""
    rows = list(rows)
    names = _names(services, rows)
    return [_line(row, names, say) for row in rows]


def action_groups(say: Language) -> list[tuple[str, list[tuple[str, str]]]]:
    """Every action by the kind of thing it is done to, as choices."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for action, text in ACTIONS.items():
        kind = action.partition(".")[0].replace("-", "_")
        group = SUBJECTS.get(kind) or _OTHER_GROUPS.get(kind, N_("other"))
        groups.setdefault(say.text(group), []).append((action, say.text(text)))
    return list(groups.items())


_OTHER_GROUPS: Final[Mapping[str, str]] = {
    "session": N_("sign-in"),
    "registry": N_("import"),
    "export": N_("export"),
    "bill_run": N_("job"),
}


def subject_kinds(say: Language) -> list[tuple[str, str]]:
    """Every kind of thing that something is done to, as choices."""
    return [(kind, say.text(text)) for kind, text in SUBJECTS.items()]


def _line(row: AuditRow, names: Names, say: Language) -> ActLine:
    note = ACTOR_KINDS[row.actor_kind]
    known = ACTIONS.get(row.action)
    kind, key = row.subject_kind or "", row.subject_id or ""
    page = PAGES.get(kind)
    return ActLine(
        id=row.id, at=row.at, actor=row.actor_name, actor_note=say.text(note) if note else None,
        actor_page=f"/users/{row.actor_user_id}" if row.actor_user_id else None, address=row.address,
        what=say.text(known) if known else row.action, action=row.action, subject=_subject(row, say) or key,
        subject_kind=say.text(SUBJECTS[kind]) if kind in SUBJECTS else kind,
        subject_page=page % quote(key) if page and key else None, changes=changes(row, names, say),
        position=row.position, hash=row.hash,
    )  # fmt: skip


def _subject(row: AuditRow, say: Language) -> str:
    """What the thing is called; a command by what it tells meters."""
    name = row.subject_name or ""
    told = (
        _CODES["kind"].get(name)
        if row.subject_kind in {"command", "command_batch", "standing_order"}
        else None
    )
    return say.text(told) if told else name


def changes(row: AuditRow, names: Names, say: Language) -> tuple[ChangedField, ...]:
    """What differs between before and after, part by part; what stayed the same is left out."""
    before, after = _parts(row.before), _parts(row.after)
    differing = [key for key in before | after if key not in before or before.get(key) != after.get(key)]
    if row.before is not None and row.after is None:
        differing = list(before)
    return tuple(
        ChangedField(
            say.text(FIELDS[key]) if key in FIELDS else key,
            _text(key, before[key], names, say) if key in before else None,
            _text(key, after[key], names, say) if key in after else None,
        )
        for key in differing
    )


def _parts(kept: Any) -> dict[str, Any]:
    if kept is None:
        return {}
    return dict(kept) if isinstance(kept, dict) else {"": kept}


def _text(key: str, value: Any, names: Names, say: Language) -> str:  # noqa: PLR0911 (one line per kind of value)
    if value is None or value in ("", []):
        return "–"
    if isinstance(value, bool):
        return say.text("yes") if value else say.text("no")
    if key in _PLACES and isinstance(value, list):
        return say.listed(names.get((_PLACES[key], item), str(item)) for item in value)
    if key in _PLACES:
        return names.get((_PLACES[key], value), str(value))
    if key == "rights" and isinstance(value, list):
        rights = {Right(item) for item in value if item in set(Right)}
        return say.listed(right.text for group in right_groups(say, rights) for right in group.rights)
    if key == "role" and value in set(Role):
        return role_text(Role(value), say)
    if isinstance(value, str) and value in _CODES.get(key, {}):
        return say.text(_CODES[key][value])
    if isinstance(value, str):
        return _moment(value, say) or value
    if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        return say.listed(map(str, value))
    return json.dumps(value, ensure_ascii=False)


_CODES: Final[Mapping[str, Mapping[str, str]]] = {
    "kind": {code.value: text for code, text in command_words.KINDS.items()},
    "state": {code.value: text for code, (_, text) in command_words.STATES.items()},
    "outcome": {code.value: text for code, text in command_words.OUTCOMES.items()},
    "reason": REASONS,
}
"""Codes that stand for words, by the part of a change they are in."""
_PLACES: Final = {
    "sites": "site",
    "areas": "area",
    "site_id": "site",
    "area_id": "area",
    "customer_id": "customer",
}


def _moment(text: str, say: Language) -> str | None:
    """An instant as it is told here; None for any other text."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return say.moment(moment, seconds=True) if moment.tzinfo else None


def _names(services: Services, rows: Iterable[AuditRow]) -> Names:
    """The names of the places and customers that changes speak of by id."""
    wanted: dict[str, set[int]] = {"site": set(), "area": set(), "customer": set()}
    for row in rows:
        for kept in (_parts(row.before), _parts(row.after)):
            for key, kind in _PLACES.items():
                value = kept.get(key)
                items = value if isinstance(value, list) else [value]
                wanted[kind].update(item for item in items if isinstance(item, int))
    names = place_names(services, wanted["site"], wanted["area"]) if wanted["site"] or wanted["area"] else {}
    customers = customer_names(services, wanted["customer"]) if wanted["customer"] else {}
    return names | {("customer", key): name for key, name in customers.items()}
