"""Recordings of links for whoever may see the frames of these: started, listed, ended, deleted, and audited."""

from datetime import timedelta

from fastapi.concurrency import run_in_threadpool

from wattkeeper.collection.recordings import KeptRecording, UnknownRecording
from wattkeeper.registry.errors import NotFound
from wattkeeper.registry.models import Link
from wattkeeper.security.audit import record
from wattkeeper.web.problems import CollectionNotRunning
from wattkeeper.web.queries import within
from wattkeeper.web.services import Services

DEFAULT_S = 600


def listed(services: Services, *, link: str | None = None) -> list[KeptRecording]:
    """The recordings of links whose frames may be seen, the newest first; of one link where it is named."""
    watched = within.watchable_links(services)
    return [
        kept
        for kept in services.recordings.all()
        if (watched is None or kept.link in watched) and link in {None, kept.link}
    ]


def found(services: Services, name: str) -> KeptRecording:
    """One recording; UnknownRecording where its frames may not be seen."""
    kept = services.recordings.get(name)
    watched = within.watchable_links(services)
    if watched is not None and kept.link not in watched:
        raise UnknownRecording(f"There is no recording {name}.")
    return kept


async def start(services: Services, code: str, *, by: str, seconds: int) -> KeptRecording:
    """Record a link from now on.

    Raises:
        NotFound: there is no such link, or its frames may not be seen.
        CollectionNotRunning: nothing passes in this process.
        AlreadyRecording, TooManyRecordings: see `RecordingDesk.start`.

    """
    link = await run_in_threadpool(_watchable, services, code)
    if services.collector is None:
        raise CollectionNotRunning("No frame passes: collection is not running in this process.")
    kept = await services.recordings.start(code, by=by, lasts=timedelta(seconds=seconds))
    await run_in_threadpool(_note, services, "start", kept, link.id)
    return kept


async def end(services: Services, name: str) -> KeptRecording:
    """End a recording now."""
    kept = await run_in_threadpool(found, services, name)
    if not kept.running:
        return kept
    ended = await services.recordings.end(name)
    await run_in_threadpool(_note, services, "end", ended)
    return ended


async def delete(services: Services, name: str) -> None:
    """Delete a recording."""
    kept = await run_in_threadpool(found, services, name)
    await services.recordings.delete(name)
    await run_in_threadpool(_note, services, "delete", kept)


def _watchable(services: Services, code: str) -> Link:
    with services.database.read() as session:
        link = services.registry(session).link_by_code(code)
    watched = within.watchable_links(services)
    if link is None or (watched is not None and code not in watched):
        raise NotFound("link", code)
    return link


def _note(services: Services, what: str, kept: KeptRecording, link_id: int | None = None) -> None:
    with services.database.write() as session:
        if link_id is None:
            link = services.registry(session).link_by_code(kept.link)
            link_id = link.id if link else None
        record(
            session, f"recording.{what}", now=services.clock(), subject=("link", link_id or 0), name=kept.link, after={"recording": kept.name, "size": kept.size},
        )  # fmt: skip
