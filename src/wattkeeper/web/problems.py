"""Errors as answers: problem+json (RFC 9457) for programs, a page with the same sentence for people."""

import http
from collections.abc import Mapping
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.security.errors import NotSignedIn, PasswordChangeRequired, SignInThrottled
from wattkeeper.web.sayings import said, status_said

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"


class FieldProblem(BaseModel):
    """One part of a request that cannot be used."""

    where: str = Field(description="Where it stands, such as `query.limit`.")
    message: str


class Problem(BaseModel):
    """A problem as RFC 9457 describes it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "urn:wattkeeper:problem:not-found",
                "title": "Not Found",
                "status": 404,
                "detail": "There is no meter 4711.",
                "hint": None,
            }
        }
    )

    type: str = Field(description="What kind of problem; stable.")
    title: str
    status: int
    detail: str = Field(description="What happened, in a sentence.")
    hint: str | None = Field(default=None, description="What to do next, where there is something to do.")
    errors: list[FieldProblem] = Field(default_factory=list, description="The parts of the request at fault.")


class BadRequest(WattkeeperError):
    """The request asks for something that cannot be answered."""


class CollectionNotRunning(WattkeeperError):
    """Meters cannot be asked: this process does not collect."""


# By class name, so that a room's error has its status here and the room need not know HTTP.
STATUS_BY_ERROR: Final[Mapping[str, int]] = {
    "NotSignedIn": 401,
    "SignInRefused": 401,
    "SignInThrottled": 429,
    "Forbidden": 403,
    "UnknownUser": 404,
    "UnknownToken": 404,
    "UnknownSession": 404,
    "UnknownRecording": 404,
    "AlreadyRecording": 409,
    "TooManyRecordings": 409,
    "UnknownJob": 404,
    "UnknownBillRun": 404,
    "UnknownAct": 404,
    "JobNotFailed": 409,
    "LastPlan": 409,
    "UnknownCommand": 404,
    "FindingNotFound": 404,
    "AlreadyDecided": 409,
    "NotOptedIn": 409,
    "KeepsPower": 409,
    "SecondPersonNeeded": 409,
    "TooLate": 409,
    "StandingOrderRefuses": 409,
    "NoArchive": 409,
    "NothingArchived": 404,
    "StoreInMaintenance": 503,
    "ArchiveDamaged": 409,
    "UnknownEdit": 404,
    "SecondReaderNeeded": 409,
    "EditDecided": 409,
    "PasswordRefused": 422,
    "UserRefused": 409,
    "NotFound": 404,
    "UnknownFinding": 404,
    "UnknownRule": 404,
    "ParameterExists": 409,
    "UnknownRecipient": 404,
    "BadCursor": 400,
    "AlreadyAcknowledged": 409,
    "RecipientExists": 409,
    "MailNotSetUp": 503,
    "UnknownBill": 404,
    "UnknownMeter": 404,
    "UnknownTariff": 404,
    "UnknownQuantity": 404,
    "BadRequest": 400,
    "BadTimeRange": 400,
    "AlreadyExists": 409,
    "PeriodTaken": 409,
    "InstalledElsewhere": 409,
    "BillingRefused": 409,
    "BillNotCancellable": 409,
    "PaymentRefused": 409,
    "CollectionNotRunning": 503,
    "ReadFailed": 502,
    "CollectorStopped": 503,
    "NoReply": 502,
    "LinkLost": 502,
    "LinkUnavailable": 502,
    "StoreBusy": 503,
    "StoreFull": 503,
    "StoreUnavailable": 503,
    "DatabaseBusy": 503,
    "DatabaseUnavailable": 503,
    "BaseUnknown": 409,
    "BatchTooLarge": 413,
    "NothingForwarded": 404,
}
DEFAULT_STATUS: Final = 422


def status_of(error: WattkeeperError) -> int:
    """The HTTP status of one of our errors: its own class decides, else the nearest base."""
    return next(
        (STATUS_BY_ERROR[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in STATUS_BY_ERROR),
        DEFAULT_STATUS,
    )


def slug_of(error: WattkeeperError) -> str:
    """The stable last part of a problem's type: `UnknownBill` is `unknown-bill`."""
    name = type(error).__name__.removesuffix("Error")
    return "".join(
        f"-{letter.lower()}" if letter.isupper() and at else letter.lower() for at, letter in enumerate(name)
    )


def problem_response(
    status: int, slug: str, detail: str, *, hint: str | None = None, errors: list[FieldProblem] | None = None
) -> Response:
    """An answer that tells a program what went wrong."""
    problem = Problem(
        type=f"urn:wattkeeper:problem:{slug}",
        title=http.HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        hint=hint,
        errors=errors or [],
    )
    return JSONResponse(problem.model_dump(), status_code=status, media_type=MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation that may answer with these problems; `api.description` adds their shape."""
    return {status: {"description": http.HTTPStatus(status).phrase} for status in statuses}


def _for_people(request: Request) -> bool:
    return not request.url.path.startswith("/api/") and "json" not in request.headers.get("accept", "")


def _answer(
    request: Request,
    status: int,
    slug: str,
    detail: str,
    *,
    error: WattkeeperError | None = None,
    **more: Any,
) -> Response:
    if not _for_people(request):
        return problem_response(status, slug, detail, **more)
    from wattkeeper.web.pages import error_page, language_of  # noqa: PLC0415 (pages report problems, problems make pages)

    say = language_of(request)
    told = said(error, say) if error else status_said(status, request.url.path, detail, say)
    return error_page(request, status=status, told=told)


async def _own(request: Request, error: Exception) -> Response:
    assert isinstance(error, WattkeeperError)
    answer = _answer(request, status_of(error), slug_of(error), error.message, hint=error.hint, error=error)
    if isinstance(error, SignInThrottled):
        answer.headers["retry-after"] = str(error.retry_after_s)
    return answer


async def _not_signed_in(request: Request, error: Exception) -> Response:
    """A person is led to the sign-in page, from a page's fragment too; a program is told."""
    from wattkeeper.web.access import sign_in_url  # noqa: PLC0415 (access reports problems)

    if not _for_people(request) or "text/event-stream" in request.headers.get("accept", ""):
        answer = await _own(request, error)
        answer.headers["www-authenticate"] = "Bearer"
        return answer
    if request.headers.get("hx-request"):
        return Response(status_code=401, headers={"hx-redirect": "/sign-in"})
    return RedirectResponse(sign_in_url(request), status_code=303)


async def _password_first(request: Request, error: Exception) -> Response:
    if not _for_people(request):
        return await _own(request, error)
    return RedirectResponse("/password", status_code=303)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = http.HTTPStatus(error.status_code)
    slug = known.phrase.lower().replace(" ", "-")
    detail = (
        error.detail
        if error.detail != known.phrase
        else f"{known.phrase}: {request.method} {request.url.path}."
    )
    return _answer(request, error.status_code, slug, detail)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        FieldProblem(where=".".join(map(str, item["loc"])), message=item["msg"]) for item in error.errors()
    ]
    detail = "; ".join(f"{item.where}: {item.message}" for item in errors)
    return _answer(
        request, 422, "invalid-request", f"The request cannot be understood: {detail}.", errors=errors
    )


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
    return _answer(request, 500, "internal-error", "Something went wrong here; the server's log says what.")


def install(application: FastAPI) -> None:
    """Answer every error of `application` in this shape."""
    application.add_exception_handler(WattkeeperError, _own)
    application.add_exception_handler(NotSignedIn, _not_signed_in)
    application.add_exception_handler(PasswordChangeRequired, _password_first)
    application.add_exception_handler(HTTPException, _http)
    application.add_exception_handler(RequestValidationError, _invalid)
    application.add_exception_handler(Exception, _unexpected)
