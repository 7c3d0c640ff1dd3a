"""What the API's answers about files of readings look like."""

from typing import Any

from pydantic import Field

from wattkeeper.web.api.schemas import InstantText, Shape


class ReadingFileGuess(Shape):
    """A file's columns, and what they seem to mean."""

    headings: list[str]
    sample: list[list[str]] = Field(description="The first rows.")
    mapping: dict[str, Any] | None = Field(
        description="What the columns mean; see docs/reference/readings-files.md. Null where the format says it itself."
    )
    remembered: bool = Field(description="Whether it is that of the last file with these headings.")


class ReadingFileError(Shape):
    """A cell that cannot be taken in."""

    row: int = Field(description="As a spreadsheet counts: the headings are row 1.")
    column: str
    value: str
    code: str
    message: str
    hint: str


class ReadingFileCause(Shape):
    """The same thing wrong in so many rows."""

    rows: int
    column: str
    value: str
    code: str
    message: str


class ReadingFilePreview(ReadingFileGuess):
    """What is in a file, and what of it is wrong."""

    rows: int
    readings: int = Field(description="Values that can be stored as readings.")
    intervals: int = Field(description="Values that can be stored as energies of metering points.")
    meters: int
    quantities: list[str]
    first: InstantText | None
    last: InstantText | None
    rounded: int = Field(description="Values that had more than four decimals.")
    repeated: int = Field(
        description="Values for a moment that has another value in the file; the later row counts."
    )
    wrong: int = Field(description="Wrong cells in all.")
    errors: list[ReadingFileError] = Field(description="The first thousand of them.")
    causes: list[ReadingFileCause] = Field(description="What is wrong most often.")


class ReadingFileImported(ReadingFilePreview):
    """What became of a file."""

    stored: int = Field(description="Values that are now the current ones.")
    already_known: int
    outranked: int = Field(description="Values kept beside one of higher rank, such as the meter's own.")
