"""Global search, as a page and as the answer in the dialog that Ctrl-K opens."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.queries.search import LIMIT, RIGHTS, pieces, search

router = APIRouter(include_in_schema=False, dependencies=[needs(*RIGHTS)])
PAGE_LIMIT = 20


@router.get("/search", response_class=HTMLResponse)
def search_page(request: Request, q: Annotated[str, Query(max_length=100)] = "") -> HTMLResponse:
    """What a text finds; a few of each kind in the dialog, more on the page."""
    dialog = "hx-request" in request.headers
    say = language_of(request)
    found = search(services_of(request), principal_of(request), q, say, limit=LIMIT if dialog else PAGE_LIMIT)
    return render(
        request,
        "search.html",
        block="hits",
        q=q,
        groups=found,
        count=sum(len(group.hits) for group in found),
        dialog=dialog,
        parts=lambda text: _marked(text, q),
        all_of=lambda group: group.all_address.format(quote(q)) if group.all_address else None,
    )


def _marked(text: str, sought: str) -> Markup:
    """A text with what was looked for marked."""
    return Markup("").join(
        Markup("<mark>{}</mark>").format(part) if hit else part for part, hit in pieces(text, sought)
    )
