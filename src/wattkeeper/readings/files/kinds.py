"""What can be moved in and out of files, and in which formats: names only, for whoever must not wait for libraries."""

from enum import StrEnum


class What(StrEnum):
    """What a file has."""

    READINGS = "readings"
    INTERVALS = "intervals"


class FileFormat(StrEnum):
    """A format of a file of readings or intervals."""

    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"
    XLSX = "xlsx"
    ESPI = "espi"
    """Green Button XML."""
    IEC_XML = "iec61968-xml"
    IEC_JSON = "iec61968-json"
