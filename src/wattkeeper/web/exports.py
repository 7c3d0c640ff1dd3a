"""Tables as files: every list of the console leaves it as CSV and as Excel, under its page's address with an ending.

A page says what its table is and where the rows come from; both routes, the audit and the file are made here:

    METERS: Final = Table("meters", N_("Meters"), (Column(N_("Address"), lambda line: line.address), ...))

    @exported(router, "/meters", needs(Right.METERS_VIEW))
    def meters_export(request: Request, wanted: Asked) -> Export:
        ...
        return Export(METERS, paged(lambda after: ...), say)
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final, Generic, Literal, ParamSpec, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.responses import Response

from wattkeeper.security.audit import record
from wattkeeper.web.columns import Column, with_currency
from wattkeeper.web.csv_file import MEDIA_TYPE as CSV_TYPE
from wattkeeper.web.csv_file import csv_chunks
from wattkeeper.web.language import Language
from wattkeeper.web.pages import services_of
from wattkeeper.web.services import Services
from wattkeeper.web.xlsx_file import MEDIA_TYPE as XLSX_TYPE
from wattkeeper.web.xlsx_file import xlsx_file

__all__ = ["PAGE", "Column", "Export", "Table", "exported", "paged"]

Row = TypeVar("Row")
P = ParamSpec("P")
Format = Literal["csv", "xlsx"]
FORMATS: Final[tuple[Format, ...]] = ("csv", "xlsx")
PAGE: Final = 500
"""Rows that a list is asked for at a time."""
CHUNK: Final = 1 << 16


@dataclass(frozen=True)
class Table(Generic[Row]):
    """What a table is called and which columns it has; `name` is for file names and the audit."""

    name: str
    title: str
    """A message of the catalogue: the name of the sheet."""
    columns: Sequence[Column[Row]]


@dataclass(frozen=True)
class Export(Generic[Row]):
    """A table with its rows; these are asked for while the file is written."""

    table: Table[Row]
    rows: Iterable[Row]
    say: Language
    """In whose zone times are told: `language_of(request, zone)`."""


def exported(router: APIRouter, path: str, *conditions: Any) -> Callable[[Callable[P, Export[Any]]], None]:
    """Register `path`.csv and `path`.xlsx for a function that returns the export and takes `request`.

    The function's other parameters are the page's own filters; `conditions` are the route's rights, where the router
    has none.
    """

    def register(function: Callable[P, Export[Any]]) -> None:
        for ending in FORMATS:
            router.add_api_route(
                f"{path}.{ending}",
                _answering(function, ending),
                methods=["GET"],
                dependencies=conditions,
                response_class=Response,
                response_model=None,  # the function returns the rows, the route their file
                include_in_schema=False,
            )

    return register


def _answering(function: Callable[P, Export[Any]], ending: Format) -> Callable[P, Response]:
    @functools.wraps(function)
    def answer(*args: P.args, **kwargs: P.kwargs) -> Response:
        request = kwargs["request"]
        assert isinstance(request, Request)
        return _response(request, function(*args, **kwargs), ending)

    return answer


def _response(request: Request, export: Export[Any], ending: Format) -> Response:
    """The file, once it is on record who took it."""
    services, say, table = services_of(request), export.say, export.table
    _note(services, request, table, ending)
    columns = with_currency(table.columns, _currencies(services))
    title = say.text(table.title)
    day = services.clock().astimezone(say.zone).date()
    headers = {"content-disposition": attachment(table.name, title, f"{day}.{ending}")}
    if ending == "csv":
        return StreamingResponse(csv_chunks(columns, export.rows, say), media_type=CSV_TYPE, headers=headers)
    file = xlsx_file(columns, export.rows, say, title=title)
    headers |= {
        "content-length": str(_size(file)),
        "content-encoding": "identity",
    }  # it is compressed already
    return StreamingResponse(_chunks(file), media_type=XLSX_TYPE, headers=headers)


def _note(services: Services, request: Request, table: Table[Any], ending: Format) -> None:
    with services.database.write() as session:
        record(
            session,
            "export",
            now=services.clock(),
            subject=("table", table.name),
            name=request.url.path,
            after={"format": ending, "filter": request.url.query},
        )


def _currencies(services: Services) -> set[str]:
    with services.database.read() as session:
        return {site.currency for site in services.registry(session).sites()}


def _size(file: IO[bytes]) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    return size


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk


def attachment(name: str, title: str, ending: str) -> str:
    """A content-disposition: a plain file name, and the title in the visitor's language for browsers (RFC 6266)."""
    pretty = re.sub(r'[\\/:*?"<>|\x00-\x1f]', " ", title)
    return f"attachment; filename=\"{name}-{ending}\"; filename*=UTF-8''{quote(f'{pretty} {ending}')}"


def paged(fetch: Callable[[str | None], tuple[Iterable[Row], str | None]]) -> Iterator[Row]:
    """The rows of a list that goes on by cursor; `fetch` takes the cursor and returns a page and the next one."""
    after = None
    while True:
        rows, after = fetch(after)
        yield from rows
        if after is None:
            return
