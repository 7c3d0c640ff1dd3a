"""The overview's figures, and links with their health."""

from fastapi import APIRouter, Request

from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api import schemas
from wattkeeper.web.pages import language_of, services_of
from wattkeeper.web.queries.links import health_today, link_lines
from wattkeeper.web.queries.overview import overview

router = APIRouter()


@router.get(
    "/overview",
    dependencies=[needs(Right.METERS_VIEW)],
    tags=["overview"],
    summary="The figures of the overview",
)
def get_overview(request: Request) -> schemas.OverviewAnswer:
    """Energy, answering meters, success of reads and open bills."""
    found = overview(
        services_of(request), language_of(request), request.app.state.figures(services_of(request))
    )
    return schemas.OverviewAnswer(
        collecting=found.collecting,
        meters=found.meters,
        answering=found.answering,
        silent=found.silent_count,
        today_kwh=found.today_kwh,
        yesterday_kwh=found.yesterday_kwh,
        month_kwh=found.month_kwh,
        last_month_kwh=found.last_month_kwh,
        reads_today=found.reads,
        success_today=found.success,
        open_bills=found.open_bills,
    )


@router.get(
    "/links", dependencies=[needs(Right.LINKS_VIEW)], tags=["links"], summary="Links with state and success"
)
def get_links(request: Request) -> list[schemas.LinkItem]:
    """Every link, by code."""
    services, say = services_of(request), language_of(request)
    return [
        schemas.LinkItem.model_validate(line)
        for line in link_lines(services, say, health_today(services, say.zone))
    ]
