"""Jobs: long work with its progress, what became of it, and billing all accounts for a month."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from wattkeeper.billing.bill_run import KIND as BILL_RUN
from wattkeeper.billing.values import BillRunView, RunException
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.kernel.jobs import JobNotFailed, JobState
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.api.runs import finished_month
from wattkeeper.web.console.words import Notice, pager
from wattkeeper.web.exports import Column, Export, Table, exported, paged
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import BadRequest, status_of
from wattkeeper.web.queries import jobs, money
from wattkeeper.web.queries.jobs import JobLine
from wattkeeper.web.queries.states import N_
from wattkeeper.web.sayings import reason_said

router = APIRouter(include_in_schema=False)
Id = Annotated[int, Path(ge=1, le=2**53)]
EXPORT: Final[Table[JobLine]] = Table(
    "jobs",
    N_("Jobs"),
    (
        Column(N_("Number"), lambda line: line.id, "number"),
        Column(N_("Job"), lambda line: line.title),
        Column(N_("State"), lambda line: line.state_text),
        Column(N_("Done"), lambda line: line.progress, "number"),
        Column(N_("Of"), lambda line: line.total, "number"),
        Column(N_("Started by"), lambda line: line.started_by),
        Column(N_("Started"), lambda line: line.enqueued_at, "moment"),
        Column(N_("Error"), lambda line: line.error),
    ),
)
LEFT_OUT: Final[Table[tuple[str, str, str]]] = Table(
    "accounts-not-billed",
    N_("Accounts that were not billed"),
    (
        Column(N_("Account"), lambda row: row[0]),
        Column(N_("Reason"), lambda row: row[1]),
        Column(N_("In detail"), lambda row: row[2]),
    ),
)


@router.get("/jobs", dependencies=[needs(Right.JOBS_VIEW)], response_class=HTMLResponse)
def jobs_page(
    request: Request,
    state: Annotated[str, Query(max_length=20)] = "",
    after: Annotated[int | None, Query(ge=1, le=2**53)] = None,
) -> HTMLResponse:
    """The list of jobs, newest first."""
    return _list(request, state, after=after)


@exported(router, "/jobs", needs(Right.JOBS_VIEW))
def jobs_export(request: Request, state: Annotated[str, Query(max_length=20)] = "") -> Export[JobLine]:
    """Every job of the filter."""
    services, say = services_of(request), language_of(request)
    chosen = JobState(state) if state in set(JobState) else None

    def page(after: str | None) -> tuple[list[JobLine], str | None]:
        found = jobs.find_jobs(services, state=chosen, after=int(after) if after else None)
        return [jobs.job_line(job, say) for job in found.jobs], str(found.after) if found.after else None

    return Export(EXPORT, paged(page), say)


@router.post("/jobs/bill-runs", dependencies=[needs(Right.BILLS_RUN)], response_class=HTMLResponse)
def start_bill_run(request: Request, month: Annotated[str, Form(max_length=7)] = "") -> Response:
    """Bill all accounts for a finished month, and show how that goes."""
    services = services_of(request)
    now = services.clock()
    try:
        job_id = services.billing.start_bill_run(finished_month(month, services.database, now=now), now=now)
    except BadRequest as error:
        return _list(request, "", error=error)
    return RedirectResponse(f"/jobs/{job_id}", status_code=303)


@router.get("/jobs/{job_id}", dependencies=[needs(Right.JOBS_VIEW)], response_class=HTMLResponse)
def job_page(request: Request, job_id: Id) -> HTMLResponse:
    """One job."""
    return _page(request, job_id)


@exported(router, "/jobs/{job_id}/not-billed", needs(Right.BILLS_VIEW))
def exceptions_export(request: Request, job_id: Id) -> Export[tuple[str, str, str]]:
    """The accounts that a bill run left out."""
    say = language_of(request)
    run = services_of(request).billing.bill_run(job_id)
    return Export(LEFT_OUT, [(e.account_code, _reason(e, say), e.message) for e in run.exceptions], say)


@router.post("/jobs/{job_id}/retry", dependencies=[needs(Right.BILLS_RUN)], response_class=HTMLResponse)
def retry_job(request: Request, job_id: Id) -> Response:
    """Let a failed job go on where it was. Bill runs are the jobs there are, so it takes the right to start one."""
    try:
        jobs.retry_job(services_of(request), job_id)
    except JobNotFailed as error:
        return _page(request, job_id, error=error)
    return RedirectResponse(f"/jobs/{job_id}", status_code=303)


def _list(
    request: Request, state: str, *, after: int | None = None, error: WattkeeperError | None = None
) -> HTMLResponse:
    services, say = services_of(request), language_of(request)
    chosen = JobState(state) if state in set(JobState) else None
    found = jobs.find_jobs(services, state=chosen, after=after)
    rows = [jobs.job_line(job, say) for job in found.jobs]
    return render(
        request,
        "jobs.html",
        block="results",
        http_status=status_of(error) if error else 200,
        notice=Notice.of(error, say) if error else None,
        page=pager(
            say, rows, after=str(found.after) if found.after else None,
            asked=str(after) if after else None, total=found.total,
        ),
        chosen=chosen or "",
        states=[(code.value, say.text(text)) for code, (_, text) in jobs.STATES.items()],
        months=_months(request, say),
    )  # fmt: skip


def _months(request: Request, say: Language) -> list[tuple[str, str]]:
    """The finished months that can be billed."""
    firsts = (
        month.start.astimezone(say.zone)
        for month in money.finished_months(services_of(request).clock(), say.zone)
    )
    return [(f"{first:%Y-%m}", say.month(first.date())) for first in firsts]


def _page(request: Request, job_id: int, *, error: WattkeeperError | None = None) -> HTMLResponse:
    services, say = services_of(request), language_of(request)
    job = jobs.get_job(services, job_id)
    run = services.billing.bill_run(job_id) if job.kind == BILL_RUN else None
    return render(
        request,
        "job.html",
        block="progress",
        http_status=status_of(error) if error else 200,
        notice=Notice.of(error, say) if error else None,
        job=jobs.job_line(job, say),
        attempt=job.attempt,
        run=run,
        left_out=_left_out(run, say) if run and principal_of(request).may(Right.BILLS_VIEW) else [],
    )


def _left_out(run: BillRunView, say: Language) -> list[dict[str, Any]]:
    return [
        {
            "id": item.account_id,
            "code": item.account_code,
            "reason": _reason(item, say),
            "message": item.message,
        }
        for item in run.exceptions
    ]


def _reason(item: RunException, say: Language) -> str:
    return reason_said(item.reason, say) or item.message
