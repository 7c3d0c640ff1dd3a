"""The API's description (OpenAPI): every operation tells the problems it may answer with, in one shape."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from wattkeeper.web.access import COOKIE, SECURE_COOKIE
from wattkeeper.web.problems import MEDIA_TYPE, FieldProblem, Problem

SCHEMAS: Final = "#/components/schemas/{model}"
_FRAMEWORKS_OWN: Final = ("HTTPValidationError", "ValidationError")
"""What FastAPI says of a 422 by itself; ours is a problem like any other."""
_EVERYWHERE: Final = {
    "401": "Nobody is signed in, or the token is none of ours, expired or revoked.",
    "403": "Who asks lacks the right, or the write comes from a page of another site.",
    "421": "A host name that is not ours.",
}
_WRITES: Final = {
    "409": "The first request with this Idempotency-Key is at work, or the request contradicts what is there.",
    "413": "Too large for a request with an Idempotency-Key.",
    "422": "The request, or its Idempotency-Key, cannot be used.",
}
_KEY: Final = {
    "name": "idempotency-key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 8, "maxLength": 100, "pattern": "^[!-~]+$"},
    "description": "A repeat with the same key is answered as the first request was, and does nothing.",
}
SECURITY_SCHEMES: Final = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": f"A browser that signed in; over HTTPS the cookie is called `{SECURE_COOKIE}`. Writes must come from our own pages.",
    },
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token for a program, made on the profile page; it has no more rights than its owner.",
    },
}


def operation_id(route: APIRoute) -> str:
    """What programs call an operation: its subject and the name of its function."""
    return "_".join((*(str(tag).replace(" ", "_") for tag in route.tags[:1]), route.name))


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
            found["components"]["securitySchemes"] = SECURITY_SCHEMES
            found["security"] = [{name: []} for name in SECURITY_SCHEMES]
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
        responses.setdefault(status, {"description": meaning, "content": _problem()})
    if method != "get":
        _add_key(operation)


def _add_key(operation: dict[str, Any]) -> None:
    """Every write may be sent with a key; see `wattkeeper.web.idempotency`."""
    parameters = operation.setdefault("parameters", [])
    if all(parameter["name"].lower() != _KEY["name"] for parameter in parameters):
        parameters.append(_KEY)
    for status, meaning in _WRITES.items():
        operation["responses"].setdefault(status, {"description": meaning, "content": _problem()})


def _problem() -> dict[str, Any]:
    return {MEDIA_TYPE: {"schema": {"$ref": SCHEMAS.format(model="Problem")}}}
