"""Readings and intervals as files: out in every format, streamed."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from wattkeeper.readings.files.formats import ENDINGS, MEDIA_TYPES
from wattkeeper.readings.files.kinds import FileFormat, What
from wattkeeper.readings.files.outgoing import ExportAsked, outgoing
from wattkeeper.registry.chosen import Wanted
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api.series import wanted_of
from wattkeeper.web.pages import language_of, services_of, site_zone
from wattkeeper.web.problems import documented
from wattkeeper.web.queries import reading_files

router = APIRouter(prefix="/readings", tags=["readings as files"])
ROWS: Final = "x-wattkeeper-rows"
"""How many rows a file has, told before it begins."""
_FILES: Final = {200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}, "description": "The file."}}


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
    body = reading_files.export_chunks(rows, format, zone, language_of(request))
    headers = {
        "content-disposition": f'attachment; filename="{what.value}.{ENDINGS[format]}"',
        ROWS: str(rows.rows),
    }
    return StreamingResponse(body, media_type=MEDIA_TYPES[format], headers=headers)
