"""The application: one FastAPI instance made from the services, nothing global."""

import functools

from fastapi import APIRouter, FastAPI
from starlette.middleware.gzip import GZipMiddleware

from wattkeeper.kernel.loop_delay import LoopDelay
from wattkeeper.readings.transmission.receiving import BatchReceiver
from wattkeeper.web import live, metrics, problems
from wattkeeper.web.access import Identity, require_declared
from wattkeeper.web.api import administration as api_administration
from wattkeeper.web.api import alarms as api_alarms
from wattkeeper.web.api import archives as api_archives
from wattkeeper.web.api import areas as api_areas
from wattkeeper.web.api import batches as api_batches
from wattkeeper.web.api import collection as api_collection
from wattkeeper.web.api import commands as api_commands
from wattkeeper.web.api import curves as api_curves
from wattkeeper.web.api import editing as api_editing
from wattkeeper.web.api import imports as api_imports
from wattkeeper.web.api import meters as api_meters
from wattkeeper.web.api import money as api_money
from wattkeeper.web.api import overview as api_overview
from wattkeeper.web.api import plans as api_plans
from wattkeeper.web.api import portal as api_portal
from wattkeeper.web.api import reading_edits as api_reading_edits
from wattkeeper.web.api import reading_files as api_reading_files
from wattkeeper.web.api import recordings as api_recordings
from wattkeeper.web.api import search as api_search
from wattkeeper.web.api import series as api_series
from wattkeeper.web.api import standing_orders as api_standing_orders
from wattkeeper.web.api import validation as api_validation
from wattkeeper.web.api.description import described, operation_id
from wattkeeper.web.assets import Assets
from wattkeeper.web.console import (
    administration,
    alarms,
    areas,
    billing,
    billing_files,
    clocks,
    collection,
    command_form,
    commands,
    control_card,
    customer_files,
    edit_forms,
    edits,
    exceptions,
    exchanges,
    imports,
    links,
    meter,
    meter_cards,
    meter_files,
    meters,
    monitor,
    notices,
    overview,
    plans,
    point_day,
    quality,
    reading_imports,
    recordings,
    reference,
    registry_forms,
    search,
    sign_in,
    standing_orders,
    system_files,
    tariffs,
    traces,
)
from wattkeeper.web.guard import Guard
from wattkeeper.web.idempotency import Idempotency
from wattkeeper.web.pages import Pages, first_zone
from wattkeeper.web.portal import PORTAL
from wattkeeper.web.queries.areas import energies
from wattkeeper.web.queries.imports import Uploads
from wattkeeper.web.queries.kept import KeptByScope
from wattkeeper.web.queries.overview import RememberedByScope, figures
from wattkeeper.web.queries.quality import quality_of
from wattkeeper.web.queries.reading_imports import ReadingUploads
from wattkeeper.web.services import Services

DESCRIPTION = """
Meters, readings, load curves, tariffs and bills. Decimals are strings, instants are UTC (ISO 8601), lists go on by
cursor (`next` is the `after` of the following page), and every error is a problem+json document (RFC 9457).
"""
TAGS = [
    {"name": "overview", "description": "The figures of the installation."},
    {"name": "meters", "description": "Meters, their values, readings and the frames these came in."},
    {"name": "load curves", "description": "Energy and mean power over time."},
    {"name": "series", "description": "Any meters, points and areas over any period at any resolution."},
    {"name": "readings as files", "description": "Readings and intervals out of, and into, the store."},
    {"name": "validation", "description": "What the rules doubt about readings, and what people decided."},
    {
        "name": "edits",
        "description": "Readings and intervals changed by two people, and every version they had.",
    },
    {"name": "archive", "description": "Old months in plain Parquet, and back."},
    {"name": "commands", "description": "What meters are told, who agreed, and what became of it."},
    {"name": "areas", "description": "Where meters hang: the tree of areas, with what each used."},
    {"name": "links", "description": "The ways to meters, and their health."},
    {
        "name": "collection",
        "description": "Which plans read meters, and how well: success, latency, failures.",
    },
    {"name": "remote collectors", "description": "Readings that collectors elsewhere deliver."},
    {"name": "alarms", "description": "What is wrong with meters and links, and who has seen to it."},
    {"name": "notices", "description": "Who is told of alarms, and the proof that they were."},
    {"name": "bills", "description": "Bills, and their documents."},
    {"name": "tariffs", "description": "Prices as dated data."},
    {"name": "customers", "description": "Who pays, and how to reach them."},
    {"name": "accounts", "description": "Contracts: what they pay for and what they owe."},
    {"name": "payments", "description": "Money received at a counter."},
    {"name": "search", "description": "Things by number or name."},
    {"name": "import", "description": "Master data from Excel or CSV."},
    {"name": "portal", "description": "What a customer sees of their own accounts."},
    *api_administration.TAGS,
]
COMPRESS_FROM_BYTES = 1000


def create_application(services: Services) -> FastAPI:
    """The console and the API over `services`; serve it with `wattkeeper.web.server.build_server`."""
    application = FastAPI(
        title="Wattkeeper",
        version=services.version,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        openapi_url=None,  # `console.reference` has it, for those who are signed in
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=operation_id,
    )
    assets = Assets()
    application.state.services = services
    application.state.assets = assets
    application.state.pages = Pages(assets)
    application.state.batches = BatchReceiver(services.database, services.store)
    application.state.live = live.LiveStreams()
    application.state.loop_delay = LoopDelay()
    application.state.metrics = metrics.Metrics(services, application.state.loop_delay)
    application.state.area_energies = KeptByScope(lambda scoped, _: energies(scoped), services.clock)
    application.state.quality = KeptByScope(quality_of, services.clock)
    application.state.uploads = Uploads()
    application.state.reading_uploads = ReadingUploads()
    application.state.zone = functools.partial(first_zone, services)
    application.state.figures = RememberedByScope(
        lambda scoped: figures(scoped, first_zone(scoped)), services.clock
    )
    problems.install(application)
    application.mount("/static", assets)
    application.include_router(_api(), prefix="/api/v1")
    for module in (
        sign_in,
        system_files,
        overview,
        alarms,
        notices,
        registry_forms,
        areas,
        quality,
        point_day,
        traces,
        exceptions,
        edit_forms,  # before `edits`: its address is no edit called new
        edits,
        meters,
        meter,
        meter_cards,
        standing_orders,  # before `commands`: its address is no batch called standing
        command_form,
        commands,
        control_card,
        exchanges,
        links,
        monitor,
        recordings,
        collection,
        plans,
        clocks,
        billing,
        billing_files,
        meter_files,
        customer_files,
        tariffs,
        imports,
        reading_imports,
        reference,
        search,
    ):
        application.include_router(module.router)
    for part in PORTAL:
        application.include_router(part.router)
    for pages in administration.ROUTERS:
        application.include_router(pages)
    application.include_router(live.router)
    application.include_router(metrics.router)
    application.openapi = described(application)  # type: ignore[method-assign]
    require_declared(application)
    # The last added stands first: the guard sees every request, and its headers are on every answer.
    application.add_middleware(Idempotency, services=services)
    application.add_middleware(GZipMiddleware, minimum_size=COMPRESS_FROM_BYTES, compresslevel=5)
    application.add_middleware(Identity, services=services)
    application.add_middleware(Guard, trusted_hosts=services.trusted_hosts)
    return application


def _api() -> APIRouter:
    router = APIRouter()
    for module in (
        api_overview,
        api_batches,
        api_recordings,
        api_alarms,
        api_collection,
        api_plans,
        api_commands,
        api_standing_orders,
        api_meters,
        api_curves,
        api_series,
        api_reading_files,
        api_reading_edits,
        api_archives,
        api_validation,
        api_areas,
        api_editing,
        api_money,
        api_imports,
        api_portal,
        api_search,
    ):
        router.include_router(module.router)
    for part in api_administration.ROUTERS:
        router.include_router(part)
    return router
