"""The overview: what needs me now."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.console.sign_in import home_of
from wattkeeper.web.console.words import chart_words
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.queries.command_words import decisions
from wattkeeper.web.queries.findings import data_tasks
from wattkeeper.web.queries.overview import Task, overview

router = APIRouter(include_in_schema=False, dependencies=[needs()])


@router.get("/", response_class=HTMLResponse)
def overview_page(request: Request) -> Response:
    """Figures, tasks, energy per day and links; who may not see them is led to where they begin."""
    principal = principal_of(request)
    if not principal.may(Right.METERS_VIEW):
        return RedirectResponse(home_of(principal), status_code=303)
    say = language_of(request)
    services = services_of(request)
    waiting = decisions(services, say, principal)
    view = overview(
        services,
        say,
        request.app.state.figures(services),
        accounts=principal.may(Right.CUSTOMERS_VIEW),
        decisions=[
            *(Task("warn", item.what, item.why, item.href, item.since) for item in waiting),
            *data_tasks(services, say, principal),
        ],
    )
    words = chart_words(say) | {"now": say.text("this month"), "before": say.text("last month")}
    return render(request, "overview.html", block="now", view=view, words=words)
