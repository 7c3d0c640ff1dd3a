"""The API's description (OpenAPI): every operation tells the problems it may answer with, in one shape."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from fastapi import FastAPI

from wattkeeper.web.problems import MEDIA_TYPE, FieldProblem, Problem

SCHEMAS: Final = "#/components/schemas/{model}"
_FRAMEWORKS_OWN: Final = ("HTTPValidationError", "ValidationError")
"""What FastAPI says of a 422 by itself; ours is a problem like any other."""
_EVERYWHERE: Final = {"403": "A write from a page of another site.", "421": "A host name that is not ours."}


def described(application: FastAPI) -> Callable[[], dict[str, Any]]:
    """The description of `application`, made once, with our problems in it."""
    framework = application.openapi

    def openapi() -> dict[str, Any]:
        if application.openapi_schema is None:
            found = framework()
            schemas = found.setdefault("components", {}).setdefault("schemas", {})
            for name in _FRAMEWORKS_OWN:
                schemas.pop(name, None)
            for model in (Problem, FieldProblem):
                schema = model.model_json_schema(ref_template=SCHEMAS)
                schema.pop("$defs", None)
                schemas[model.__name__] = schema
            for method, operation in _operations(found):
                _add_problems(method, operation)
            application.openapi_schema = found
        return application.openapi_schema

    return openapi


def _operations(description: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for methods in description["paths"].values():
        yield from methods.items()


def _add_problems(method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    for status, response in responses.items():
        if status.startswith(("4", "5")):
            response["content"] = _problem()
    for status, meaning in _EVERYWHERE.items():
        if status == "421" or method != "get":
            responses.setdefault(status, {"description": meaning, "content": _problem()})


def _problem() -> dict[str, Any]:
    return {MEDIA_TYPE: {"schema": {"$ref": SCHEMAS.format(model="Problem")}}}
