"""The archive of old months of readings: what it has, writing a month, bringing one back."""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from wattkeeper.readings.archive import ArchivedFile
from wattkeeper.readings.retention import month_of
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api.schemas import InstantText, Shape
from wattkeeper.web.pages import services_of
from wattkeeper.web.problems import documented

router = APIRouter(tags=["archive"], dependencies=[needs(Right.ARCHIVE_MANAGE)])
ClassName = Literal[
    "registers", "instantaneous", "intervals", "superseded_readings", "superseded_intervals", "exchanges"
]
Month = Annotated[str, Field(pattern=r"^(1999-12|20\d\d-(0[1-9]|1[0-2])|2100-01)$", examples=["2026-03"])]


class MonthWanted(BaseModel):
    """A month (UTC) of a class of data."""

    data: ClassName
    month: Month


class ArchivedItem(Shape):
    """One file of the archive."""

    data: ClassName
    month: Month
    path: str = Field(description="Below the archive's folder.")
    rows: int
    bytes: int
    sha256: str
    written_at: InstantText
    intact: bool | None = Field(description="Whether it has its checksum; null where that was not asked.")


class RestoredItem(Shape):
    """A month that is in the store again."""

    data: ClassName
    month: Month
    rows: int = Field(description="How many came back.")


@router.get("/archive", responses=documented(409, 422), summary="List what the archive has")
def list_archive(
    request: Request,
    *,
    check: Annotated[bool, Query(description="Read every file and compare it with its checksum.")] = False,
) -> list[ArchivedItem]:
    """The files of the archive by class and month."""
    return [_item(file, intact=intact) for file, intact in services_of(request).keeper.files(check=check)]


@router.get("/archive/months", responses=documented(409, 422), summary="List the months the store has")
def list_months(request: Request, *, data: ClassName) -> list[Month]:
    """The months of a class of data that are over and in the store, oldest first."""
    services = services_of(request)
    return [_text(month) for month in services.keeper.months(data, services.clock())]


@router.post(
    "/archive",
    status_code=201,
    responses=documented(409, 422, 503),
    summary="Write a month to the archive",
)
def create_archive(request: Request, wanted: MonthWanted) -> ArchivedItem:
    """Write what the store has of a month, unless a file says just that; it stays in the store."""
    services = services_of(request)
    return _item(services.keeper.create(wanted.data, month_of(wanted.month), services.clock()), intact=True)


@router.post(
    "/archive/restore",
    responses=documented(404, 409, 422, 503),
    summary="Bring a month back from the archive",
)
def restore_archive(request: Request, wanted: MonthWanted) -> RestoredItem:
    """Bring a month back into the store; retention leaves it alone for thirty days."""
    services = services_of(request)
    rows = services.keeper.restore(wanted.data, month_of(wanted.month), services.clock())
    return RestoredItem(data=wanted.data, month=wanted.month, rows=rows)


def _item(file: ArchivedFile, *, intact: bool | None) -> ArchivedItem:
    return ArchivedItem.model_validate(
        {
            "data": file.kept,
            "month": _text(file.month),
            "path": file.path,
            "rows": file.rows,
            "bytes": file.bytes,
            "sha256": file.sha256,
            "written_at": file.written_at,
            "intact": intact,
        }
    )


def _text(month: date) -> str:
    return f"{month:%Y-%m}"
