"""The audit: who did what, and whether the record is whole."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime

from wattkeeper.security.errors import UnknownAct
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api.schemas import Page
from wattkeeper.web.api.security_schemas import ActItem, AuditAnswer
from wattkeeper.web.pages import services_of
from wattkeeper.web.problems import documented

router = APIRouter(tags=["audit"], dependencies=[needs(Right.AUDIT_VIEW)])
Since = Annotated[AwareDatetime | None, Query(description="Not before this instant.")]
Until = Annotated[AwareDatetime | None, Query(description="Before this instant.")]


@router.get("/audit", responses=documented(422), summary="List what was done")
def list_acts(
    request: Request,
    *,
    action: Annotated[
        str, Query(max_length=60, description="`user.change`, or `user` for all of its kind.")
    ] = "",
    actor: Annotated[str, Query(max_length=100, description="Part of a user name.")] = "",
    subject_kind: Annotated[str, Query(max_length=40, examples=["user"])] = "",
    subject_id: Annotated[str, Query(max_length=100, description="With `subject_kind`.")] = "",
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after: Annotated[int | None, Query(ge=1, le=2**53, description="`next` of the page before.")] = None,
) -> Page[ActItem]:
    """Acts, newest first."""
    found = services_of(request).security.audit(
        action=action,
        actor=actor,
        subject=(subject_kind, subject_id) if subject_kind else None,
        since=since,
        until=until,
        after=after,
        limit=limit,
    )
    following = None if found.after is None else str(found.after)
    return Page(items=[ActItem.model_validate(row) for row in found.rows], next=following)


@router.get("/audit/verification", responses=documented(422), summary="Verify the audit")
def verify(
    request: Request,
    expected: Annotated[
        str | None, Query(max_length=100, description="A head (`position:hash`) noted earlier.")
    ] = None,
) -> AuditAnswer:
    """Compute the whole hash chain again and say where it is broken."""
    report = services_of(request).security.verify_audit(expected=expected)
    return AuditAnswer(
        whole=not report.problems,
        sealed=report.sealed,
        unsealed=report.unsealed,
        head=report.head,
        problems=list(report.problems),
    )


@router.get("/audit/{act_id}", responses=documented(404, 422), summary="One act")
def get_act(request: Request, act_id: Annotated[int, Path(ge=1, le=2**53)]) -> ActItem:
    """One act with its place in the hash chain."""
    row = services_of(request).security.audit_event(act_id)
    if row is None:
        raise UnknownAct(f"There is no act {act_id} in the audit.")
    return ActItem.model_validate(row)
