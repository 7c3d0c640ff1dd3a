"""Jobs: long work and its progress."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from wattkeeper.kernel.jobs import JobState
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api.schemas import Page
from wattkeeper.web.api.security_schemas import JobItem
from wattkeeper.web.pages import services_of
from wattkeeper.web.problems import documented
from wattkeeper.web.queries import jobs

router = APIRouter(tags=["jobs"])
Id = Annotated[int, Path(ge=1, le=2**53)]


@router.get("/jobs", dependencies=[needs(Right.JOBS_VIEW)], responses=documented(422), summary="List jobs")
def list_jobs(
    request: Request,
    *,
    state: JobState | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after: Annotated[int | None, Query(ge=1, le=2**53, description="`next` of the page before.")] = None,
) -> Page[JobItem]:
    """Jobs, newest first."""
    found = jobs.find_jobs(services_of(request), state=state, after=after, limit=limit)
    following = None if found.after is None else str(found.after)
    return Page(items=[JobItem.model_validate(job) for job in found.jobs], next=following, total=found.total)


@router.get(
    "/jobs/{job_id}",
    dependencies=[needs(Right.JOBS_VIEW)],
    responses=documented(404, 422),
    summary="One job",
)
def get_job(request: Request, job_id: Id) -> JobItem:
    """How far a job is; `/bill-runs/{id}` tells more of a bill run."""
    return JobItem.model_validate(jobs.get_job(services_of(request), job_id))


@router.post(
    "/jobs/{job_id}/retry",
    dependencies=[needs(Right.BILLS_RUN)],
    responses=documented(404, 409, 422),
    summary="Let a failed job go on",
)
def retry_job(request: Request, job_id: Id) -> JobItem:
    """Put a failed job back in the queue, to go on where it was."""
    services = services_of(request)
    jobs.retry_job(services, job_id)
    return JobItem.model_validate(jobs.get_job(services, job_id))
