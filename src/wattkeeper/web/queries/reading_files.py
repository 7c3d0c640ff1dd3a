"""Readings and intervals as files, for the API and the command line alike."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa

from wattkeeper.kernel.database import Database
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.choosing import zone_of
from wattkeeper.readings.files.formats import file_of
from wattkeeper.readings.files.kinds import FileFormat, What
from wattkeeper.readings.files.outgoing import ExportAsked, Outgoing
from wattkeeper.registry.chosen import Wanted, choose
from wattkeeper.registry.scope import Scope
from wattkeeper.security.audit import record
from wattkeeper.web.columns import Column
from wattkeeper.web.language import Language
from wattkeeper.web.problems import BadRequest
from wattkeeper.web.queries.states import N_
from wattkeeper.web.xlsx_file import xlsx_file

_FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""No meter can mean an earlier moment: its stamps have two digits of the year."""
CHUNK: Final = 1 << 16

_READINGS: Final[tuple[Column[dict[str, Any]], ...]] = (
    Column(N_("Meter"), lambda row: row["meter"]),
    Column(N_("Measured quantity"), lambda row: row["quantity"]),
    Column(N_("Unit"), lambda row: row["unit"]),
    Column(N_("Time"), lambda row: row["read_at"], "moment"),
    Column(N_("Value"), lambda row: row["value"], "number", decimals=4),
    Column(N_("Status"), lambda row: row["status"]),
    Column(N_("Source"), lambda row: row["source"]),
    Column(N_("Recorded"), lambda row: row["recorded_at"], "moment"),
)
_INTERVALS: Final[tuple[Column[dict[str, Any]], ...]] = (
    Column(N_("Metering point"), lambda row: row["point"]),
    Column(N_("Measured quantity"), lambda row: row["quantity"]),
    Column(N_("Unit"), lambda row: row["unit"]),
    Column(N_("From"), lambda row: row["start_at"], "moment"),
    Column(N_("To"), lambda row: row["end_at"], "moment"),
    Column(N_("Energy"), lambda row: row["energy"], "number", decimals=4),
    Column(N_("Error"), lambda row: row["error"], "number", decimals=4),
    Column(N_("Status"), lambda row: row["status"]),
    Column(N_("Method"), lambda row: row["method"]),
    Column(N_("Recorded"), lambda row: row["recorded_at"], "moment"),
)
_TITLES: Final = {What.READINGS: N_("Readings"), What.INTERVALS: N_("Intervals")}


def export_zone(database: Database, scope: Scope, wanted: Wanted, default: ZoneInfo) -> ZoneInfo:
    """The zone whose civil times an export has: that of the site of what is named."""
    if wanted.nothing:
        return default
    with database.read() as session:
        return zone_of(choose(session, scope, wanted), None, default=default)


def export_period(
    start: datetime | None, end: datetime | None, *, zone: ZoneInfo, now: datetime
) -> TimeRange:
    """From a moment (else from the first reading on) up to, and without, another (else now); naive ones are civil."""
    first, last = _aware(start or _FIRST, zone), _aware(end or now, zone)
    if last <= first:
        raise BadRequest(
            f"The export would end {last:%Y-%m-%d %H:%M} UTC, not after its start.", hint="Give a later end."
        )
    return TimeRange(first, last)


def note_export(database: Database, asked: ExportAsked, file_format: FileFormat, *, now: datetime) -> None:
    """Put on record who takes what."""
    with database.write() as session:
        record(
            session,
            "export",
            now=now,
            subject=("table", asked.what.value),
            name=asked.what.value,
            after={"format": file_format.value, "period": str(asked.period), "named": _named(asked.wanted)},
        )


def export_chunks(
    rows: Outgoing, file_format: FileFormat, zone: ZoneInfo, say: Language, *, now: datetime
) -> Iterator[bytes]:
    """The file, piece by piece."""
    if file_format is not FileFormat.XLSX:
        return file_of(rows, file_format, zone, now=now)
    return _sheet(rows, say.at(zone))


def _sheet(rows: Outgoing, say: Language) -> Iterator[bytes]:
    columns = _READINGS if rows.what is What.READINGS else _INTERVALS
    lines = (row for batch in rows.batches for row in pa.RecordBatch.to_pylist(batch))
    with xlsx_file(columns, lines, say, title=say.text(_TITLES[rows.what])) as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _aware(instant: datetime, zone: ZoneInfo) -> datetime:
    try:
        return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        raise BadRequest("That moment lies outside of the calendar.") from None


def _named(wanted: Wanted) -> dict[str, object]:
    return {name: list(keys) for name, keys in wanted.named().items()}
