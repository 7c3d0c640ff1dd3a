"""Recording a link from its page, and the recordings that are kept."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.collection.recordings import NAME, KeptRecording
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.console.words import Notice
from wattkeeper.web.exports import Column, Export, Table, exported
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of, wants_fragment
from wattkeeper.web.queries import recordings
from wattkeeper.web.queries.states import N_
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False)
Name = Annotated[str, Path(pattern=NAME)]
Code = Annotated[str, Path(max_length=64)]
LENGTHS: Final = {60: N_("1 min"), 600: N_("10 min"), 3_600: N_("1 h"), 28_800: N_("8 h"), 86_400: N_("24 h")}
"""How long a recording may be asked for. [s]"""
RECORDINGS: Final[Table[KeptRecording]] = Table(
    "recordings",
    N_("Recordings"),
    (
        Column(N_("Recording"), lambda kept: kept.name),
        Column(N_("Link"), lambda kept: kept.link),
        Column(N_("Began"), lambda kept: kept.began_at, "moment"),
        Column(N_("Asked for by"), lambda kept: kept.by),
        Column(N_("Size"), lambda kept: kept.size, "number", unit="B"),
    ),
)


@router.get("/recordings", dependencies=[needs(Right.LINKS_VIEW)], response_class=HTMLResponse)
def recordings_page(request: Request) -> HTMLResponse:
    """Every recording that is kept, and the form that starts one."""
    return _page(request)


@exported(router, "/recordings", needs(Right.LINKS_VIEW))
def recordings_export(request: Request) -> Export[KeptRecording]:
    """The list of recordings, not what is in them."""
    return Export(RECORDINGS, recordings.listed(services_of(request)), language_of(request))


@router.post("/links/{code}/record", dependencies=[needs(Right.METERS_READ)])
async def record_link(
    request: Request, code: Code, seconds: Annotated[int, Form(ge=1, le=86_400)] = recordings.DEFAULT_S
) -> Response:
    """Record a link from now on."""
    notice = None
    try:
        await recordings.start(services_of(request), code, by=principal_of(request).login, seconds=seconds)
    except WattkeeperError as error:
        if type(error).__name__ not in {"AlreadyRecording", "TooManyRecordings", "CollectionNotRunning"}:
            raise
        notice = Notice.of(error, await run_in_threadpool(language_of, request))
    return await run_in_threadpool(_recorded, request, code, notice)


@router.post("/recordings/{name}/end", dependencies=[needs(Right.METERS_READ)])
async def end_recording(request: Request, name: Name) -> Response:
    """End a recording now."""
    kept = await recordings.end(services_of(request), name)
    return await run_in_threadpool(_recorded, request, kept.link, None)


@router.post("/recordings/{name}/delete", dependencies=[needs(Right.METERS_READ)])
async def delete_recording(request: Request, name: Name) -> Response:
    """Delete a recording."""
    await recordings.delete(services_of(request), name)
    return RedirectResponse("/recordings", status_code=303)


def _page(request: Request, notice: Notice | None = None, *, status: int = 200) -> HTMLResponse:
    services = services_of(request)
    with services.database.read() as session:
        names = {link.code: link.name for link in services.registry(session).links()}
    return render(
        request,
        "recordings.html",
        block="results",
        http_status=status,
        recordings=recordings.listed(services),
        names=names,
        notice=notice,
    )


def _recorded(request: Request, code: str, notice: Notice | None) -> Response:
    """After a start or an end: the recorder of a bus monitor where that asked, else the list."""
    status = 409 if notice else 200
    if wants_fragment(request, "recorder"):
        shown = recorder(services_of(request), language_of(request), code, notice=notice)
        return render(request, "recorder.html", http_status=status, monitored=code, collecting=True, **shown)
    return (
        _page(request, notice, status=status) if notice else RedirectResponse("/recordings", status_code=303)
    )


def recorder(services: Services, say: Language, code: str, *, notice: Notice | None = None) -> dict[str, Any]:
    """What starts and ends a recording of a link; of none where no link is named."""
    running = [kept for kept in recordings.listed(services, link=code) if kept.running] if code else []
    return {
        "recording": running[0] if running else None,
        "lengths": [(seconds, say.text(name)) for seconds, name in LENGTHS.items()],
        "recorder_notice": notice,
    }
