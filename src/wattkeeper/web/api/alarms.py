"""Alarms, and the notices that tell of them."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from wattkeeper.kernel.severity import Severity
from wattkeeper.monitoring import words
from wattkeeper.monitoring.models import NoticeLanguage
from wattkeeper.monitoring.values import (
    FindingFilter,
    FindingView,
    NoticeView,
    RecipientView,
    RecipientWanted,
)
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api.schemas import InstantText, Page, Shape
from wattkeeper.web.pages import language_of, services_of
from wattkeeper.web.problems import documented

router = APIRouter()
Id = Annotated[int, Path(ge=1, le=2**53)]
After = Annotated[str | None, Query(max_length=200, description="`next` of the page before.")]


class AlarmItem(Shape):
    """An alarm. `evidence` is what it rests on: values, limits, and the exchanges they were read in."""

    id: int
    code: str = Field(examples=["voltage_high"])
    severity: Severity
    state: str = Field(description="open, acknowledged or cleared.")
    subject_kind: str = Field(description="meter or link.")
    subject_id: int
    subject_name: str = Field(description="Address of the meter, code of the link.")
    place: str
    text: str = Field(description="What it says, in the language of `accept-language`.")
    raised_at: InstantText
    updated_at: InstantText
    cleared_at: InstantText | None
    clear_reason: str | None
    occurrences: int
    evidence: dict[str, Any]
    acknowledged_at: InstantText | None
    acknowledged_by: str | None
    acknowledged_note: str | None


class AcknowledgeWanted(BaseModel):
    """Somebody has seen to an alarm."""

    note: str = Field(default="", max_length=2000, description="What was found or done.")


class NoticeItem(Shape):
    """A notice. `proof` is the mail server's own answer when it took the message over."""

    id: int
    finding_id: int | None = Field(description="The alarm it tells of; null for a test.")
    kind: str = Field(description="raised, cleared or test.")
    channel: str
    recipient: str
    language: NoticeLanguage
    subject: str
    text: str
    message_id: str
    state: str = Field(description="queued, sent, failed or given_up.")
    attempts: int
    created_at: InstantText
    next_attempt_at: InstantText | None
    sent_at: InstantText | None
    proof: str | None = Field(examples=["250 2.0.0 Ok: queued as 4BxQ2y"])
    error: str | None


class RecipientItem(Shape):
    """Who is told: of a site or an area, or of everything where both are null."""

    id: int
    email: str
    language: NoticeLanguage
    minimum_severity: Severity
    site_id: int | None
    site: str | None
    area_id: int | None
    area: str | None
    enabled: bool


class RecipientBody(BaseModel):
    """Who is to be told of what."""

    email: str = Field(max_length=254, examples=["duty@example.org"])
    language: NoticeLanguage = NoticeLanguage.ZH
    minimum_severity: Severity = Severity.WARNING
    site_id: int | None = Field(default=None, ge=1, le=2**53)
    area_id: int | None = Field(default=None, ge=1, le=2**53)


@router.get(
    "/alarms",
    dependencies=[needs(Right.ALARMS_VIEW)],
    tags=["alarms"],
    responses=documented(400, 422),
    summary="List alarms",
)
def list_alarms(
    request: Request,
    *,
    state: Annotated[str, Query(pattern="^(active|open|acknowledged|cleared|all)$")] = "active",
    severity: Severity | None = None,
    code: Annotated[str, Query(max_length=40)] = "",
    search: Annotated[str, Query(max_length=100, description="Part of a meter, point or link.")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after: After = None,
) -> Page[AlarmItem]:
    """Alarms, newest first; without `state`, those that are not over."""
    services = services_of(request)
    wanted = FindingFilter(state=state, severity=severity or "", code=code, search=search)
    found = services.monitoring.findings(wanted, scope=services.scope, limit=limit, after=after)
    return Page(items=[_alarm(request, row) for row in found.rows], next=found.after, total=found.total)


@router.get(
    "/alarms/{alarm_id}",
    dependencies=[needs(Right.ALARMS_VIEW)],
    tags=["alarms"],
    responses=documented(404),
    summary="One alarm",
)
def get_alarm(request: Request, alarm_id: Id) -> AlarmItem:
    """An alarm with its evidence."""
    services = services_of(request)
    return _alarm(request, services.monitoring.finding(alarm_id, scope=services.scope))


@router.post(
    "/alarms/{alarm_id}/acknowledge",
    dependencies=[needs(Right.ALARMS_HANDLE)],
    tags=["alarms"],
    responses=documented(404, 409, 422),
    summary="Acknowledge an alarm",
)
def acknowledge(request: Request, alarm_id: Id, wanted: AcknowledgeWanted) -> AlarmItem:
    """Say that somebody has seen to it; who and when is kept, and the alarm stays until it is over."""
    services = services_of(request)
    after = services.monitoring.acknowledge(alarm_id, wanted.note, services.clock(), scope=services.scope)
    return _alarm(request, after)


@router.get(
    "/notices",
    dependencies=[needs(Right.NOTICES_MANAGE)],
    tags=["notices"],
    responses=documented(400, 422),
    summary="List notices with their proof",
)
def list_notices(
    request: Request,
    *,
    state: Annotated[str, Query(pattern="^(queued|sent|failed|given_up|)$")] = "",
    search: Annotated[str, Query(max_length=100, description="Part of recipient or subject.")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after: After = None,
) -> Page[NoticeItem]:
    """Everything that was sent or waits to be, newest first."""
    notices = services_of(request).monitoring.notices
    found = notices.notices(state=state, search=search, limit=limit, after=after)
    return Page(items=[_notice(row) for row in found.rows], next=found.after)


@router.get(
    "/notice-recipients", dependencies=[needs(Right.NOTICES_MANAGE)], tags=["notices"], summary="Who is told"
)
def list_recipients(request: Request) -> list[RecipientItem]:
    """Everybody who is told of alarms, by address."""
    return [_recipient(row) for row in services_of(request).monitoring.notices.recipients()]


@router.post(
    "/notice-recipients",
    dependencies=[needs(Right.NOTICES_MANAGE)],
    tags=["notices"],
    status_code=201,
    responses=documented(404, 409, 422),
    summary="Tell somebody from now on",
)
def add_recipient(request: Request, wanted: RecipientBody) -> RecipientItem:
    """Add a recipient of everything, or of a site or an area, from a severity on."""
    services = services_of(request)
    described = RecipientWanted(**wanted.model_dump())
    return _recipient(services.monitoring.notices.add_recipient(described, services.clock()))


@router.delete(
    "/notice-recipients/{recipient_id}",
    dependencies=[needs(Right.NOTICES_MANAGE)],
    tags=["notices"],
    status_code=204,
    responses=documented(404),
    summary="Tell somebody no more",
)
def remove_recipient(request: Request, recipient_id: Id) -> Response:
    """Remove a recipient; what they were told stays in the log."""
    services = services_of(request)
    services.monitoring.notices.remove_recipient(recipient_id, services.clock())
    return Response(status_code=204)


@router.post(
    "/notice-recipients/{recipient_id}/test",
    dependencies=[needs(Right.NOTICES_MANAGE)],
    tags=["notices"],
    status_code=202,
    responses=documented(404, 503),
    summary="Send somebody a test",
)
def test_recipient(request: Request, recipient_id: Id) -> RecipientItem:
    """Queue a message that only tries the way; the log of notices says what became of it."""
    services = services_of(request)
    notices = services.monitoring.notices
    notices.try_out(recipient_id, services.clock())
    return _recipient(next(row for row in notices.recipients() if row.id == recipient_id))


def _alarm(request: Request, finding: FindingView) -> AlarmItem:
    text = words.sentence_of(finding, language_of(request).code)
    own = {name: getattr(finding, name) for name in AlarmItem.model_fields if name != "text"}
    return AlarmItem(text=text, **own)


def _notice(notice: NoticeView) -> NoticeItem:
    return NoticeItem.model_validate(notice)


def _recipient(recipient: RecipientView) -> RecipientItem:
    return RecipientItem.model_validate(recipient)
