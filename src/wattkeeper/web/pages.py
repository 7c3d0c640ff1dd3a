"""Pages: what every one of them has (language, zone, navigation), and how it becomes an answer."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from wattkeeper.security.rights import Right
from wattkeeper.web.access import principal_or_none, scope_of
from wattkeeper.web.assets import Assets
from wattkeeper.web.language import DEFAULT_ZONE, LOCALES, Code, Language, known, language, preferred
from wattkeeper.web.queries.alarms import badge
from wattkeeper.web.queries.findings import edits_badge, exceptions_badge
from wattkeeper.web.sayings import Said
from wattkeeper.web.services import Services

TEMPLATES: Final = Path(__file__).parent / "templates"
YEAR_S: Final = 31_536_000
NAVIGATION_COUNTS: Final = {"/alarms": badge, "/exceptions": exceptions_badge, "/edits": edits_badge}
THEMES: Final = frozenset({"light", "dark"})


class Pages:
    """The templates, one environment per language: gettext is bound at compile time and cannot leak between requests."""

    def __init__(self, assets: Assets) -> None:
        self._environments = {code: _environment(code, assets) for code in LOCALES}

    def template(self, code: Code, name: str) -> jinja2.Template:
        """A template in a language."""
        return self._environments[code].get_template(name)


def _environment(code: Code, assets: Assets) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(language(code).translations, newstyle=True)  # type: ignore[attr-defined]
    environment.globals["_"] = _messages(language(code))
    environment.globals["asset"] = assets.url
    environment.tests["allowed"] = lambda right, may: may(right)
    return environment


def _messages(say: Language) -> Callable[..., Markup]:
    """What `_` is in templates: as Jinja's own, and a third of its time, since each text is made safe only once."""
    known: dict[str, Markup] = {}

    def message(text: str, /, **values: Any) -> Markup:
        found = known.get(text)
        if found is None:
            found = known[text] = Markup(say.translations.ugettext(text))  # noqa: S704 (our own catalogue)
        return found % values

    return message


def services_of(request: Request) -> Services:
    """The services behind this request, which show no more than whoever asks may see."""
    services: Services = request.app.state.services
    scope = scope_of(principal_or_none(request))
    return services if scope.everything else replace(services, scope=scope)


def language_code(request: Request) -> Code:
    """The visitor's language: the address says, else their cookie, else their browser, else the setting."""
    for asked in (request.query_params.get("lang"), request.cookies.get("lang")):
        if code := known(asked):
            return code
    return preferred(request.headers.get("accept-language", ""), default=services_of(request).language)


def language_of(request: Request, zone: str | None = None) -> Language:
    """The visitor's language, telling times in the given zone, else in that of the first site."""
    return language(language_code(request)).at(ZoneInfo(zone) if zone else site_zone(request))


def site_zone(request: Request) -> ZoneInfo:
    """The zone of the first site."""
    zone: ZoneInfo = request.app.state.zone()
    return zone


def first_zone(services: Services) -> ZoneInfo:
    """The zone of the first site; China's while there is none."""
    with services.database.read() as session:
        sites = services.registry(session).sites()
    return ZoneInfo(sites[0].zone) if sites else DEFAULT_ZONE


def with_query(request: Request, **changes: Any) -> str:
    """The page's own address with some parameters changed; None removes one."""
    query = {key: value for key, value in request.query_params.items() if key != "lang"}
    query |= {key: str(value) for key, value in changes.items() if value is not None}
    for key in [key for key, value in changes.items() if value is None]:
        query.pop(key, None)
    return request.url.path + ("?" + urlencode(query) if query else "")


def export_address(request: Request, ending: str, path: str | None = None) -> str:
    """Where a table is fetched as a file: the page's, with its filter and sort, or that of an address of its own."""
    path, mark, query = (path or with_query(request, after=None)).partition("?")
    return f"{path}.{ending}{mark}{query}"


def wants_fragment(request: Request, target: str) -> bool:
    """Whether htmx asks for only the element of this id."""
    return (
        request.headers.get("hx-target", "").endswith(f"#{target}")
        and "hx-history-restore-request" not in request.headers
    )


def render(
    request: Request,
    template: str,
    *,
    block: str | None = None,
    zone: str | None = None,
    http_status: int = 200,
    **values: Any,
) -> HTMLResponse:
    """A page; or only one `block` of it, where htmx asks for the element of that name."""
    speech = language_of(request, zone)
    principal = principal_or_none(request)
    context = {
        "request": request,
        "principal": principal,
        "may": lambda right: principal is not None and principal.may(Right(right)),
        "say": speech,
        "zone": speech.zone.key,
        "theme": request.cookies.get("theme") if request.cookies.get("theme") in THEMES else "auto",
        "here": functools.partial(with_query, request),
        "exported": functools.partial(export_address, request),
        "version": services_of(request).version,
        "badges": {
            path: functools.partial(count, services_of(request)) for path, count in NAVIGATION_COUNTS.items()
        },
        "now": services_of(request).clock(),
        **values,
    }
    pages: Pages = request.app.state.pages
    found = pages.template(speech.code, template)
    if block is not None and wants_fragment(request, block):
        html = "".join(found.blocks[block](found.new_context(context)))
    else:
        html = found.render(context)
    response = HTMLResponse(
        html, status_code=http_status, headers={"vary": "HX-Target, Cookie, Accept-Language"}
    )
    if request.query_params.get("lang") in LOCALES:
        response.set_cookie("lang", speech.code, max_age=YEAR_S, samesite="lax", httponly=True)
    return response


def error_page(request: Request, *, status: int, told: Said) -> HTMLResponse:
    """An error as a page; a fragment where htmx asked for one, since it puts errors where the answer would go."""
    template = "error_fragment.html" if request.headers.get("hx-request") else "error.html"
    return render(request, template, http_status=status, code=status, told=told)
