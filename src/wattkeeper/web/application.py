"""The application: one FastAPI instance made from the services, nothing global."""

from fastapi import FastAPI

from wattkeeper.web.services import Services


def create_application(services: Services) -> FastAPI:
    """The console and the API over `services`; serve it with `wattkeeper.web.server.build_server`."""
    application = FastAPI(title="Wattkeeper", version=services.version, docs_url=None, redoc_url=None)
    application.state.services = services
    return application
