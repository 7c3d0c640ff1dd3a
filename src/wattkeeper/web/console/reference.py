"""The API's reference as a page, made from its own description."""

from collections import defaultdict
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse

from wattkeeper.web.pages import render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API."""

    method: str
    path: str
    summary: str
    parameters: str
    plain: bool
    """Whether a browser can simply open it."""


@router.get("/api", response_class=HTMLResponse)
def reference_page(request: Request) -> HTMLResponse:
    """Every operation by subject."""
    return render(request, "api.html", groups=_groups(request.app))


def _groups(application: FastAPI) -> list[tuple[str, list[Operation]]]:
    groups: dict[str, list[Operation]] = defaultdict(list)
    for path, methods in application.openapi()["paths"].items():
        for method, described in methods.items():
            names = [
                parameter["name"]
                for parameter in described.get("parameters", [])
                if parameter["in"] != "path"
            ]
            operation = Operation(
                method=method.upper(),
                path=path,
                summary=described["summary"],
                parameters=", ".join(names),
                plain=method == "get" and "{" not in path,
            )
            groups[described["tags"][0]].append(operation)
    return list(groups.items())
