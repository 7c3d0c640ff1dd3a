"""Tariffs: prices and the clock of their periods."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.exports import Column, Export, Table, exported
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.queries.states import N_
from wattkeeper.web.queries.tariffs import Price, TariffView, VersionView, tariff_view
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.TARIFFS_VIEW)])


@router.get("/tariffs", response_class=HTMLResponse)
def tariffs_page(request: Request) -> HTMLResponse:
    """Every tariff."""
    return render(request, "tariffs.html", tariffs=_tariffs(services_of(request), language_of(request)))


def _tariffs(services: Services, say: Language) -> list[TariffView]:
    return [tariff_view(tariff, say) for tariff in services.billing.tariffs()]


@dataclass(frozen=True, slots=True)
class DatedPrice:
    """A price with the tariff and the period it belongs to."""

    tariff: TariffView
    version: VersionView
    price: Price


PRICES: Final[Table[DatedPrice]] = Table(
    "tariffs",
    N_("Tariffs"),
    (
        Column(N_("Code"), lambda row: row.tariff.code),
        Column(N_("Tariff"), lambda row: row.tariff.name),
        Column(N_("In force from"), lambda row: row.version.valid_from, "date"),
        Column(N_("In force before"), lambda row: row.version.valid_to, "date"),
        Column(N_("Component"), lambda row: row.price.label),
        Column(N_("Applies to"), lambda row: row.price.applies),
        Column(N_("Price"), lambda row: row.price.price, "number", decimals=8),
        Column(N_("Currency"), lambda row: row.tariff.currency),
        Column(N_("Per"), lambda row: row.price.unit),
        Column(N_("Source"), lambda row: row.tariff.source),
    ),
)


@exported(router, "/tariffs")
def tariffs_export(request: Request) -> Export[DatedPrice]:
    """Every price of every tariff, with the period it is in force."""
    say = language_of(request)
    return Export(PRICES, _prices(_tariffs(services_of(request), say)), say)


def _prices(tariffs: list[TariffView]) -> Iterator[DatedPrice]:
    for tariff in tariffs:
        for version in tariff.versions:
            yield from (DatedPrice(tariff, version, price) for price in version.prices)
