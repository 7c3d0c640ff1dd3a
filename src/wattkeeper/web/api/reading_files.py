"""Readings and intervals as files: out in every format, streamed; in with a look before."""

import contextlib
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, File, Form, Query, Request, UploadFile
from fastapi.responses import StreamingResponse
from starlette.responses import JSONResponse, Response

from wattkeeper.readings.files.formats import ENDINGS, MEDIA_TYPES
from wattkeeper.readings.files.importing import Broken, Imported, Preview, Progress
from wattkeeper.readings.files.incoming import PROBLEMS
from wattkeeper.readings.files.kinds import FileFormat, What
from wattkeeper.readings.files.outgoing import ExportAsked, outgoing
from wattkeeper.registry.chosen import Wanted
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api import reading_file_schemas as shapes
from wattkeeper.web.api.series import wanted_of
from wattkeeper.web.pages import language_of, services_of, site_zone
from wattkeeper.web.problems import documented
from wattkeeper.web.queries import reading_files, reading_imports

router = APIRouter(prefix="/readings", tags=["readings as files"])
ROWS: Final = "x-wattkeeper-rows"
"""How many rows a file has, told before it begins."""
_FILES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}, "description": "The file."}
}


@router.get(
    "/export",
    dependencies=[needs(Right.METERS_VIEW)],
    response_class=StreamingResponse,
    responses=documented(400, 404, 422) | _FILES,
    summary="Readings or intervals as a file",
)
def get_export(
    request: Request,
    *,
    wanted: Annotated[Wanted, Depends(wanted_of)],
    what: What = What.READINGS,
    quantity: Annotated[list[str], Query(max_length=200, description="Left out: all.")] = [],  # noqa: B006
    start: Annotated[
        datetime | None, Query(description="Without an offset it is civil time of the site.")
    ] = None,
    end: Annotated[datetime | None, Query(description="Not included. Left out: now.")] = None,
    as_known_at: datetime | None = None,
    format: FileFormat = FileFormat.CSV,  # noqa: A002 (its name in the address)
) -> StreamingResponse:
    """All that is stored of what is named, or of all that you may see; written while it is sent, however much it is."""
    services = services_of(request)
    zone = reading_files.export_zone(services.database, services.scope, wanted, site_zone(request))
    period = reading_files.export_period(start, end, zone=zone, now=services.clock())
    if as_known_at is not None and as_known_at.tzinfo is None:
        as_known_at = as_known_at.replace(tzinfo=zone)
    asked = ExportAsked(what, wanted, period, tuple(quantity), as_known_at)
    with services.database.read() as session:
        rows = outgoing(session, services.scope, services.store, asked)
    reading_files.note_export(services.database, asked, format, now=services.clock())
    body = reading_files.export_chunks(rows, format, zone, language_of(request), now=services.clock())
    headers = {
        "content-disposition": f'attachment; filename="{what.value}.{ENDINGS[format]}"',
        ROWS: str(rows.rows),
    }
    return StreamingResponse(body, media_type=MEDIA_TYPES[format], headers=headers)


Mapped = Annotated[
    str | None,
    Form(
        max_length=2_000_000,
        description="What the columns mean, as JSON; left out: as remembered or guessed.",
    ),
]
Zone = Annotated[str | None, Form(max_length=64, description="Of civil times; left out: the first site's.")]


@router.post(
    "/import/guess",
    dependencies=[needs(Right.READINGS_IMPORT)],
    responses=documented(400, 422),
    summary="What a file's columns seem to mean",
)
def post_guess(
    request: Request, file: Annotated[UploadFile, File()], zone: Zone = None
) -> shapes.ReadingFileGuess:
    """The mapping that was used for the last file with these headings, else a guess; change it and give it back."""
    with reading_imports.uploaded(file.filename, file.file) as upload:
        found = reading_imports.guessed(services_of(request), upload, zone=zone or site_zone(request).key)
    return shapes.ReadingFileGuess.model_validate(guess_answer(found))


@router.post(
    "/import/preview",
    dependencies=[needs(Right.READINGS_IMPORT)],
    responses=documented(400, 404, 422),
    summary="What importing a file of readings would do",
)
def post_preview(
    request: Request, file: Annotated[UploadFile, File()], mapping: Mapped = None, zone: Zone = None
) -> shapes.ReadingFilePreview:
    """Everything that is in it, and every cell that is wrong; nothing is written."""
    with reading_imports.uploaded(file.filename, file.file, mapping) as upload:
        found = reading_imports.look_at(services_of(request), upload, zone=zone or site_zone(request).key)
    return shapes.ReadingFilePreview.model_validate(preview_answer(found))


@router.post(
    "/import",
    dependencies=[needs(Right.READINGS_IMPORT)],
    responses=documented(400, 404, 422) | {200: {"model": shapes.ReadingFileImported}},
    response_class=Response,
    response_model=None,
    summary="Import a file of readings",
)
def post_import(
    request: Request,
    *,
    file: Annotated[UploadFile, File()],
    mapping: Mapped = None,
    zone: Zone = None,
    wrong: Annotated[
        Broken, Form(description="What becomes of a file that has wrong cells.")
    ] = Broken.REFUSE,
    progress: Annotated[
        bool,
        Form(description="Answer in lines of JSON (NDJSON) while it goes on; the last one is the outcome."),
    ] = False,
) -> Response:
    """Store what is right; a repeat is dropped as such, and nothing imported replaces what a meter said itself."""
    services, counted_in = services_of(request), zone or site_zone(request).key
    kept = contextlib.ExitStack()
    upload = kept.enter_context(reading_imports.uploaded(file.filename, file.file, mapping))

    def work(told: Progress | None) -> dict[str, Any]:
        with kept:
            return imported_answer(
                reading_imports.take_in(services, upload, zone=counted_in, broken=wrong, progress=told)
            )

    if progress:
        return StreamingResponse(reading_imports.told_on_the_way(work), media_type="application/x-ndjson")
    return JSONResponse(shapes.ReadingFileImported.model_validate(work(None)).model_dump(mode="json"))


def guess_answer(found: Preview) -> dict[str, Any]:
    """What a file's columns seem to mean, as the API and the command line show it."""
    return {
        "headings": list(found.headings),
        "sample": [list(row) for row in found.sample],
        "mapping": None if found.mapping is None else found.mapping.as_json(),
        "remembered": found.remembered,
    }


def preview_answer(found: Preview) -> dict[str, Any]:
    """A preview as the API and the command line show it."""
    looked = found.looked
    return guess_answer(found) | {
        "rows": found.rows,
        "readings": looked.readings,
        "intervals": looked.intervals,
        "meters": looked.meters,
        "quantities": list(looked.quantities),
        "first": looked.first,
        "last": looked.last,
        "rounded": looked.rounded,
        "repeated": looked.repeated,
        "wrong": looked.wrong,
        "errors": [
            {
                "row": e.row,
                "column": e.column,
                "value": e.text,
                "code": e.code,
                "message": PROBLEMS[e.code][0],
                "hint": PROBLEMS[e.code][1],
            }
            for e in looked.errors
        ],
        "causes": [
            {
                "rows": c.rows,
                "column": c.column,
                "value": c.text,
                "code": c.code,
                "message": PROBLEMS[c.code][0],
            }
            for c in looked.causes
        ],
    }


def imported_answer(done: Imported) -> dict[str, Any]:
    """An import as the API and the command line show it."""
    return preview_answer(done.preview) | {
        "stored": done.stored.accepted,
        "already_known": done.stored.repeated,
        "outranked": done.stored.outranked,
    }
