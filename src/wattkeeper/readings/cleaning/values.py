"""What goes into cleaning and what comes out."""

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import pyarrow as pa

from wattkeeper.readings.cleaning.kinds import Kind, Stamp
from wattkeeper.readings.errors import ReadingsError
from wattkeeper.readings.estimation.values import Integers


class CleaningError(ReadingsError):
    """A file cannot be cleaned as it is."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person says of a file; what is left out is found out."""

    zone: ZoneInfo
    kind: Kind | None = None
    stamp: Stamp | None = None
    step_minutes: int | None = None
    time: str | None = None
    meter: str | None = None
    values: tuple[str, ...] = ()
    replace_suspect: bool = False
    """Estimate anew what validation doubts, instead of only saying so."""


@dataclass(frozen=True, slots=True)
class WrongRow:
    """A row that could not be read, by its number in the file."""

    row: int
    column: str
    text: str
    code: str


@dataclass(slots=True)
class Facts:
    """What was seen and done, for the report."""

    name: str
    rows: int = 0
    wrong: int = 0
    wrong_rows: list[WrongRow] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    """Which columns were taken for what."""
    kind: Kind = Kind.ENERGIES
    kind_found: bool = False
    stamp: Stamp = Stamp.START
    stamp_found: bool = False
    step_minutes: int = 0
    step_found: bool = False
    repeated: int = 0
    """Times that stood there twice with the same value."""
    contradicted: int = 0
    """Times that stood there twice with different values; the later row counts."""
    off_grid: int = 0
    """Times beside the grid of steps: of power they count to the mean of their step, of energies they do not count."""
    methods: dict[str, int] = field(default_factory=dict)
    """Values by method; ``none`` are those that stay missing."""
    gaps: list[tuple[str, int, int]] = field(default_factory=list)
    """The longest gaps: meter, start [µs since 1970 UTC], slots."""
    gap_count: int = 0
    findings: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By rule: how many findings, of how many meters."""


@dataclass(frozen=True, slots=True)
class Raw:
    """The values of a file: columns in order of series and time."""

    names: tuple[str, ...]
    """The meters, in the order of their numbers."""
    number: Integers
    at: Integers
    """[µs since 1970 UTC]"""
    value: Integers
    """In ten-thousandths of the file's unit."""


CLEAN_SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("us", tz="UTC")),
        ("meter", pa.string()),
        ("value", pa.decimal128(18, 4)),
        ("status", pa.string()),
        ("method", pa.string()),
        ("error", pa.decimal128(18, 4)),
    ]
)
"""The result: ``time`` begins the step; ``status`` is measured, estimated, suspect or missing."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The cleaned values, what validation found, and what is to be told."""

    table: pa.Table
    findings: pa.Table
    """FINDING_SCHEMA; ``meter_id`` counts the meters of ``names``."""
    names: tuple[str, ...]
    facts: Facts
