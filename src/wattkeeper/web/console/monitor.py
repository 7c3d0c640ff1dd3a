"""The bus monitor: frames as they pass on one link or on all, on a page of its own and as a card of other pages."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from wattkeeper.registry.errors import NotFound
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.console.recordings import recorder
from wattkeeper.web.console.words import monitor_words
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.queries import within
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.LINKS_VIEW)])


@router.get("/monitor", response_class=HTMLResponse)
def monitor_page(
    request: Request,
    *,
    link: Annotated[str, Query(max_length=64)] = "",
    address: Annotated[str, Query(max_length=64)] = "",
) -> HTMLResponse:
    """The frames of one link or of all whose frames may be seen; `address` is the filter it begins with."""
    services, say = services_of(request), language_of(request)
    with services.database.read() as session:
        links = [(found.code, found.name) for found in services.registry(session).links()]
    if link and link not in {code for code, _ in links}:
        raise NotFound("link", link)
    shown = monitor(services, say, link=link)
    return render(request, "monitor_page.html", links=links, address=address, **shown)


def monitor(services: Services, say: Language, *, link: str = "") -> dict[str, Any]:
    """What the card needs; without a link it shows the frames of all that may be seen."""
    watched = within.watchable_links(services)
    return {
        "hidden_frames": watched is not None and (link not in watched if link else True),
        "watched": sorted(watched or ()),
        "monitored": link,
        "monitor_words": monitor_words(say),
        "collecting": services.collector is not None,
        **recorder(services, say, link),
    }
