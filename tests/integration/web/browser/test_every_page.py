"""Every page in a real browser: no serious accessibility issue, nothing wider than a phone, no error in the console."""

import pytest

from wattkeeper.web.access import conditions, routes
from wattkeeper.web.application import create_application

PLACES = {
    "{point_id}": "1", "{meter_id}": "1", "{bill_id}": "1", "{account_id}": "1", "{code}": "north",
    "{day}": "2026-11-22", "{instant}": "2026-11-22T01:00:00Z", "{quantity}": "active_energy_import",
}  # fmt: skip
LOOKS = [
    pytest.param({"language": "zh", "theme": "light", "phone": False}, id="zh-light-desktop"),
    pytest.param({"language": "en", "theme": "dark", "phone": True}, id="en-dark-phone"),
]
SIDEWAYS = "document.scrollingElement.scrollWidth - document.documentElement.clientWidth"


def pages(app, town):
    """The address of every page of the console, with ids that exist."""
    known = PLACES | {"{exchange_id}": str(town.exchanges[1])}
    for route in routes(app):
        html = route.response_class is not None and "HTMLResponse" in str(route.response_class)
        if not html or "GET" not in route.methods or not conditions(route):
            continue
        path = route.path
        for name, value in known.items():
            path = path.replace(name, value)
        if "{" not in path and not path.startswith(("/portal", "/sign-in")):
            yield path


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_of_the_console_is_accessible_and_fits(visit, town, administrator, serious, look):
    page = visit(administrator, **look)
    troubles = {}
    seen = list(pages(create_application(town.services()), town))
    assert len(seen) > 12
    for path in seen:
        page.goto(path)
        page.wait_for_load_state("load")
        if not page.locator("html[lang]").count():
            continue  # a part of a page, fetched by one
        found = serious(page)
        if (beyond := page.evaluate(SIDEWAYS)) > 0:
            found.append(f"{beyond} px wider than the window")
        if found:
            troubles[path] = found
    assert not troubles, "\n".join(f"{path}: {found}" for path, found in troubles.items())
