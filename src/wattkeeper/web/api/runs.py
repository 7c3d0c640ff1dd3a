"""Bill runs: all accounts for a month, as a job."""

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from wattkeeper.billing.values import BillRunLine, BillRunView
from wattkeeper.kernel.database import Database
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.repository import Registry
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api.schemas import BillWanted, Page
from wattkeeper.web.pages import services_of
from wattkeeper.web.problems import BadRequest, documented
from wattkeeper.web.queries.money import month_of

router = APIRouter()


class RunExceptionItem(BaseModel):
    """An account that a run did not bill, and why."""

    account_id: int
    account_code: str
    reason: str
    message: str


class BillRunAnswer(BaseModel):
    """How far a bill run is. `state` is queued, running, finished or failed."""

    id: int
    state: str
    progress: int
    total: int
    billed: int
    estimated: int
    exceptions: list[RunExceptionItem]
    error: str | None = Field(description="Why a failed run failed.")


class BillRunItem(BaseModel):
    """One bill run of the list. `state` is queued, running, finished or failed."""

    id: int
    period_start: datetime
    period_end: datetime | None
    state: str
    progress: int
    total: int
    billed: int
    estimated: int
    excepted: int = Field(description="How many accounts it did not bill.")
    error: str | None = Field(description="Why a failed run failed.")


@router.post(
    "/bill-runs",
    dependencies=[needs(Right.BILLS_RUN)],
    tags=["bills"],
    status_code=202,
    responses=documented(400, 422),
    summary="Bill all accounts for a month",
)
def start_bill_run(request: Request, wanted: BillWanted) -> BillRunAnswer:
    """Start a run over all accounts; while one for this month is under way, the answer is that one."""
    services = services_of(request)
    now = services.clock()
    period = finished_month(wanted.month, services.database, now=now)
    return bill_run_answer(services.billing.bill_run(services.billing.start_bill_run(period, now=now)))


@router.get(
    "/bill-runs",
    dependencies=[needs(Right.BILLS_RUN)],
    tags=["bills"],
    responses=documented(422),
    summary="List bill runs",
)
def list_bill_runs(
    request: Request,
    *,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after: Annotated[int | None, Query(ge=1, le=2**53, description="`next` of the page before.")] = None,
) -> Page[BillRunItem]:
    """Bill runs, newest first; one run's own address names the accounts that it did not bill."""
    page = services_of(request).billing.bill_runs(after=after, limit=limit)
    following = None if page.next_after is None else str(page.next_after)
    return Page(items=[_item(row) for row in page.rows], next=following)


@router.get(
    "/bill-runs/{run_id}",
    dependencies=[needs(Right.BILLS_RUN)],
    tags=["bills"],
    responses=documented(404, 422),
    summary="How far a bill run is",
)
def get_bill_run(request: Request, run_id: Annotated[int, Path(ge=1, le=2**53)]) -> BillRunAnswer:
    """Progress, and the accounts that could not be billed."""
    return bill_run_answer(services_of(request).billing.bill_run(run_id))


def finished_month(text: str, database: Database, *, now: datetime) -> TimeRange:
    """The month `text` in the first site's zone; BadRequest when it is none or has not ended at `now`."""
    period = civil_month(text, database)
    if period.end is None or period.end > now:
        raise BadRequest(f"{text} has not ended yet.", hint="Bill a month that is over.")
    return period


def civil_month(text: str, database: Database) -> TimeRange:
    """The month `text` in the first site's zone; BadRequest when it is none."""
    with database.read() as session:
        sites = Registry(session).sites()
    if not sites:
        raise BadRequest("There is no site yet, so no month can be billed.", hint="Import meters first.")
    return month_of(text, ZoneInfo(sites[0].zone))


def _item(row: BillRunLine) -> BillRunItem:
    return BillRunItem(
        id=row.job_id,
        period_start=row.period.start,
        period_end=row.period.end,
        state=row.state,
        progress=row.progress,
        total=row.total,
        billed=row.billed,
        estimated=row.estimated,
        excepted=row.excepted,
        error=row.error,
    )


def bill_run_answer(run: BillRunView) -> BillRunAnswer:
    """A run as the API and the command line show it."""
    return BillRunAnswer(
        id=run.job_id,
        state=run.state,
        progress=run.progress,
        total=run.total,
        billed=run.billed,
        estimated=run.estimated,
        exceptions=[
            RunExceptionItem(
                account_id=e.account_id, account_code=e.account_code, reason=e.reason, message=e.message
            )
            for e in run.exceptions
        ],
        error=run.error,
    )
