"""A file's values as columns: what its columns mean, and which of its rows cannot be read."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from wattkeeper.readings.cleaning.kinds import Kind, Stamp
from wattkeeper.readings.cleaning.values import Choices, CleaningError, Facts, Raw, WrongRow
from wattkeeper.readings.files.mapping import Column, Mapping, Role, detected
from wattkeeper.readings.files.sheets import Sheet, open_sheet
from wattkeeper.readings.files.staging import Stage, load, read

_WRONG_SHOWN: Final = 20
_OWNERS: Final = {
    "customer_id", "customer", "apartment", "household", "house", "home", "station", "substation", "site", "user", "building", "feeder",
    "户号", "用户", "用户编号", "台区", "站点", "变电站",
}  # fmt: skip
"""Headings of columns that part the rows by whose they are."""
_ENERGY: Final = re.compile(r"(^|[^a-z])[kmg]?wh$", re.IGNORECASE)
_POWER: Final = re.compile(r"(^|[^a-z])[kmg]?w$", re.IGNORECASE)
_TIME: Final = re.compile(r"^ts($|_)|time|date|时间|日期")
_DATE: Final = re.compile(r"\s*\d{1,4}[-/.年]\d{1,2}")
_ALL: Final = "all"
"""The meter of a file that names none."""


def read_file(
    path: Path, choices: Choices, facts: Facts, progress: Callable[[int], None] | None = None
) -> Raw:
    """Everything in a file that can be read; what cannot is put down in the facts, row by row."""
    if not path.is_file():
        raise CleaningError(
            f"There is no file {path}.", hint="Give the path of a CSV, Excel or Parquet file."
        )
    sheet = open_sheet(path, path.name)
    mapping = _mapping(sheet, choices, facts)
    with Stage() as stage:
        load(stage, sheet, progress)
        if not any(column.role is Role.METER or column.meter for column in mapping.columns):
            mapping = _owned(mapping)
        read(stage, mapping.checked())
        facts.rows = stage.count("SELECT count(*) FROM raw") + len(sheet.torn)
        _put_down_wrong(stage, sheet, facts)
        if choices.stamp is None and _midnights_stand_last(stage):
            _move_midnights(stage, facts)
        return _columns(stage, path)


def unit_kind(headings: dict[str, str]) -> Kind | None:
    """What the units in the headings of the values say."""
    values = [heading for heading, role in headings.items() if role == Role.VALUE.value]
    if values and all(_POWER.search(heading) for heading in values):
        return Kind.POWER
    return Kind.ENERGIES if values and all(_ENERGY.search(heading) for heading in values) else None


def _mapping(sheet: Sheet, choices: Choices, facts: Facts) -> Mapping:
    """As headings and first rows say, and as the person says against it; units stay the file's own."""
    chosen = {choices.time: Role.TIME, choices.meter: Role.METER} | dict.fromkeys(choices.values, Role.VALUE)
    for name in chosen:
        if name is not None and name not in sheet.headings:
            raise CleaningError(
                f"{sheet.name} has no column {name!r}.", hint=f"It has {', '.join(sheet.headings)}."
            )
    guessed = detected(sheet.headings, sheet.sample, zone=choices.zone.key)
    roles = dict(zip(sheet.headings, (column.role for column in guessed.columns), strict=True))
    roles = {heading: _role(sheet, place, role) for place, (heading, role) in enumerate(roles.items())}
    roles |= {name: role for name, role in chosen.items() if name is not None}
    for role, name in ((Role.TIME, choices.time), (Role.METER, choices.meter)):
        _keep_one(roles, role, name)
    _keep_values(roles, choices.values)
    facts.columns = {heading: role.value for heading, role in roles.items() if role is not Role.IGNORE}
    values = sum(role is Role.VALUE for role in roles.values())
    by_column = values > 1 and Role.METER not in roles.values()
    columns = tuple(
        Column(role, meter=heading if by_column and role is Role.VALUE else "")
        for heading, role in roles.items()
    )
    return replace(guessed, columns=columns, unit="", quantity="active_energy_import")


def _role(sheet: Sheet, place: int, guessed: Role) -> Role:
    """What a column is for, by its heading and, for times, by what stands in it."""
    name = sheet.headings[place].strip().lower()
    if name in _OWNERS:
        return Role.METER
    if _TIME.search(name) and any(_DATE.match(row[place]) for row in sheet.sample):
        return Role.TIME
    if guessed in {Role.QUANTITY, Role.UNIT, Role.UNTIL}:
        return Role.IGNORE
    return Role.VALUE if guessed is Role.IGNORE and _of_energy(name) else guessed


def _of_energy(heading: str) -> bool:
    return bool(_ENERGY.search(heading.strip()) or _POWER.search(heading.strip()))


def _keep_one(roles: dict[str, Role], role: Role, chosen: str | None) -> None:
    """Of several columns of times or meters the one that was chosen counts, else local times, else the first."""
    headings = [heading for heading, its in roles.items() if its is role]
    local = [heading for heading in headings if "local" in heading.lower()]
    kept = [chosen] if chosen is not None else (local or headings)[:1]
    roles.update({heading: Role.IGNORE for heading in headings if heading not in kept})


def _keep_values(roles: dict[str, Role], chosen: tuple[str, ...]) -> None:
    """The columns that were chosen; else those of energies or powers; else all, or one beside a column of meters."""
    headings = [heading for heading, role in roles.items() if role is Role.VALUE]
    kept = list(chosen) or [heading for heading in headings if _of_energy(heading)] or headings
    if not chosen and Role.METER in roles.values():
        kept = kept[:1]
    roles.update({heading: Role.IGNORE for heading in headings if heading not in kept})


def _owned(mapping: Mapping) -> Mapping:
    columns = tuple(replace(c, meter=_ALL) if c.role is Role.VALUE else c for c in mapping.columns)
    return replace(mapping, columns=columns)


def _put_down_wrong(stage: Stage, sheet: Sheet, facts: Facts) -> None:
    facts.wrong = stage.count("SELECT count(DISTINCT row) FROM wrong")
    rows = stage.cursor.execute(
        f"SELECT row, col, coalesce(text, ''), code FROM wrong ORDER BY row, col LIMIT {_WRONG_SHOWN}"  # noqa: S608
    ).fetchall()
    facts.wrong_rows = [
        WrongRow(row, "" if col is None else sheet.headings[col], text, code) for row, col, text, code in rows
    ]


_STEPS: Final = """
    SELECT row, begun_at - lag(begun_at) OVER series AS before, lead(begun_at) OVER series - begun_at AS behind
    FROM cell WINDOW series AS (PARTITION BY named, col ORDER BY row)
"""
_BELATED: Final = (
    "before < INTERVAL 0 DAY AND before > -INTERVAL 1 DAY AND coalesce(behind > INTERVAL 1 DAY, true)"
)
_FEWEST_MIDNIGHTS: Final = 5


def _midnights_stand_last(stage: Stage) -> bool:
    """Whether midnights stand after the last step of their own date: then they are the end of that day."""
    belated, backward = stage.cursor.execute(
        f"SELECT count(*) FILTER ({_BELATED}), count(*) FILTER (before < INTERVAL 0 DAY) FROM ({_STEPS})"  # noqa: S608
    ).fetchall()[0]
    return int(belated) >= _FEWEST_MIDNIGHTS and belated > 0.9 * backward


def _move_midnights(stage: Stage, facts: Facts) -> None:
    """The midnight that ends a day is that of the next date, and every time names the end of its step."""
    stage.cursor.execute(f"""
        UPDATE cell SET begun_at = begun_at + INTERVAL 1 DAY WHERE row IN (SELECT row FROM ({_STEPS}) WHERE {_BELATED})
    """)  # noqa: S608  constants of this module
    facts.stamp, facts.stamp_found = Stamp.END, True


def _columns(stage: Stage, path: Path) -> Raw:
    rows = stage.cursor.execute("""
        SELECT dense_rank() OVER (ORDER BY named) - 1 AS number, epoch_us(begun_at) AS at,
               (value::DECIMAL(38,4) * 10000)::BIGINT AS value
        FROM cell ORDER BY named, begun_at, row
    """).fetchnumpy()
    if not len(rows["at"]):
        raise CleaningError(
            f"Nothing in {path.name} can be read as values with times.",
            hint="Say which columns they are: --time NAME --value NAME [--meter NAME].",
        )
    names = stage.texts("SELECT DISTINCT named FROM cell ORDER BY named")
    number, at, value = (np.asarray(rows[name], np.int64) for name in ("number", "at", "value"))
    return Raw(tuple(names), number, at, value)
