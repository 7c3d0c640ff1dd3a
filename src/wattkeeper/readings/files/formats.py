"""The formats that readings leave in."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from wattkeeper.readings.files import espi, iec61968, tables
from wattkeeper.readings.files.kinds import FileFormat
from wattkeeper.readings.files.outgoing import Outgoing
from wattkeeper.readings.files.tables import TableFormat

XLSX_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA_TYPES: Final = {
    **{FileFormat(table.value): kind for table, kind in tables.MEDIA_TYPES.items()},
    FileFormat.XLSX: XLSX_TYPE,
    FileFormat.ESPI: "application/atom+xml",
    FileFormat.IEC_XML: "application/xml",
    FileFormat.IEC_JSON: "application/json",
}
ENDINGS: Final = {each: each.value for each in FileFormat} | {
    FileFormat.ESPI: "xml",
    FileFormat.IEC_XML: "xml",
    FileFormat.IEC_JSON: "json",
}


def file_of(rows: Outgoing, file_format: FileFormat, zone: ZoneInfo, *, now: datetime) -> Iterator[bytes]:
    """The file in pieces; an Excel file, which has words of a language, is made by the web room."""
    match file_format:
        case FileFormat.ESPI:
            return espi.written(rows, zone, now=now)
        case FileFormat.IEC_XML:
            return iec61968.written_xml(rows)
        case FileFormat.IEC_JSON:
            return iec61968.written_json(rows)
        case _:
            return tables.written(rows.batches, rows.schema, TableFormat(file_format.value), zone)
