"""The formats that readings leave in."""

from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from wattkeeper.readings.files import tables
from wattkeeper.readings.files.kinds import FileFormat
from wattkeeper.readings.files.outgoing import Outgoing
from wattkeeper.readings.files.tables import TableFormat

XLSX_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA_TYPES: Final = {
    **{FileFormat(table.value): kind for table, kind in tables.MEDIA_TYPES.items()},
    FileFormat.XLSX: XLSX_TYPE,
}
ENDINGS: Final = {each: each.value for each in FileFormat}


def file_of(rows: Outgoing, file_format: FileFormat, zone: ZoneInfo) -> Iterator[bytes]:
    """The file in pieces; an Excel file, which has words of a language, is made by the web room."""
    return tables.written(rows.batches, rows.schema, TableFormat(file_format.value), zone)
