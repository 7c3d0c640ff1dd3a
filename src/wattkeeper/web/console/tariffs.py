"""Tariffs: prices and the clock of their periods."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.queries.tariffs import tariff_view

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.TARIFFS_VIEW)])


@router.get("/tariffs", response_class=HTMLResponse)
def tariffs_page(request: Request) -> HTMLResponse:
    """Every tariff."""
    say = language_of(request)
    tariffs = [tariff_view(tariff, say) for tariff in services_of(request).billing.tariffs()]
    return render(request, "tariffs.html", tariffs=tariffs)
