"""Recordings of what passes on links."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from wattkeeper.collection.recordings import LONGEST, NAME
from wattkeeper.links.recording import SUFFIX
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.api.schemas import InstantText, Shape
from wattkeeper.web.pages import services_of
from wattkeeper.web.problems import documented
from wattkeeper.web.queries import recordings

router = APIRouter(tags=["links"])
Name = Annotated[str, Path(pattern=NAME, description="As the list has it.")]
Code = Annotated[str, Path(max_length=64)]


class RecordingItem(Shape):
    """A recording: the bytes that passed on a link, with their times."""

    name: str = Field(examples=["bus-1-20261126T080000000000"])
    link: str = Field(description="Code of the link.")
    began_at: InstantText
    by: str = Field(description="Who asked for it.")
    size: int = Field(description="Size of the file. [bytes]")
    running: bool
    until: InstantText | None = Field(description="When it ends by itself, while it runs.")


class RecordingWanted(Shape):
    """How long to record."""

    seconds: int = Field(
        default=recordings.DEFAULT_S,
        ge=1,
        le=int(LONGEST.total_seconds()),
        description="Seconds after which it ends by itself.",
    )


@router.get(
    "/recordings",
    dependencies=[needs(Right.LINKS_VIEW)],
    responses=documented(422),
    summary="List recordings",
)
def list_recordings(
    request: Request, link: Annotated[str, Query(max_length=64, description="Code of a link.")] = ""
) -> list[RecordingItem]:
    """The recordings that are kept, the newest first, of links whose frames you may see."""
    found = recordings.listed(services_of(request), link=link or None)
    return [RecordingItem.model_validate(kept) for kept in found]


@router.post(
    "/links/{code}/recordings",
    dependencies=[needs(Right.METERS_READ)],
    status_code=201,
    responses=documented(404, 409, 422, 503),
    summary="Record a link",
)
async def post_recording(request: Request, code: Code, wanted: RecordingWanted) -> RecordingItem:
    """Record what passes from now on; nothing is sent for it. It ends after the time given, at 50 MB, or when told."""
    kept = await recordings.start(
        services_of(request), code, by=principal_of(request).login, seconds=wanted.seconds
    )
    return RecordingItem.model_validate(kept)


@router.get(
    "/recordings/{name}",
    dependencies=[needs(Right.LINKS_VIEW)],
    responses=documented(404, 422),
    summary="One recording",
)
def get_recording(request: Request, name: Name) -> RecordingItem:
    """What is known of a recording."""
    return RecordingItem.model_validate(recordings.found(services_of(request), name))


@router.get(
    "/recordings/{name}/file",
    dependencies=[needs(Right.LINKS_VIEW)],
    responses=documented(404, 422)
    | {200: {"content": {"application/x-ndjson": {}}, "description": "A JSON object a line."}},
    response_class=StreamingResponse,
    summary="A recording as a file",
)
def get_recording_file(request: Request, name: Name) -> StreamingResponse:
    """The file itself: `wattkeeper replay` shows it, and a test can have it answer."""
    services = services_of(request)
    kept = recordings.found(services, name)
    return StreamingResponse(
        services.recordings.content(kept.name),
        media_type="application/x-ndjson",
        headers={"content-disposition": f'attachment; filename="{kept.name}{SUFFIX}"'},
    )


@router.post(
    "/recordings/{name}/end",
    dependencies=[needs(Right.METERS_READ)],
    responses=documented(404, 422),
    summary="End a recording",
)
async def end_recording(request: Request, name: Name) -> RecordingItem:
    """End it now; one that has ended stays as it is."""
    return RecordingItem.model_validate(await recordings.end(services_of(request), name))


@router.delete(
    "/recordings/{name}",
    dependencies=[needs(Right.METERS_READ)],
    status_code=204,
    responses=documented(404, 422),
    summary="Delete a recording",
)
async def delete_recording(request: Request, name: Name) -> None:
    """Delete it for good, ending it first."""
    await recordings.delete(services_of(request), name)
