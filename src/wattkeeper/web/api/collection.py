"""How well meters are read, added up by whatever is asked."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from pydantic import Field

from wattkeeper.collection.statistics import By, success
from wattkeeper.collection.values import SuccessRate
from wattkeeper.registry.errors import NotFound
from wattkeeper.registry.repository import Registry
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api.schemas import InstantText, Shape
from wattkeeper.web.pages import language_of, services_of
from wattkeeper.web.problems import BadRequest, documented
from wattkeeper.web.queries.periods import asked_period

router = APIRouter(tags=["collection"], dependencies=[needs(Right.LINKS_VIEW)])
MOST: Final = 10_000


class StatisticItem(Shape):
    """Reads of one combination of what was told apart; a read is one request with its repetitions."""

    link: str | None = Field(
        description="Code of the link; null where `by` does not name it.", examples=["bus-1"]
    )
    protocol: str | None = Field(examples=["dlt645-2007"])
    meter: int | None = Field(description="Id of the meter.")
    hour: InstantText | None = Field(description="Beginning of the hour (UTC).")
    attempts: int = Field(description="Requests put on the wire, repetitions included.")
    reads: int = Field(description="Reads that ended, well or badly.")
    succeeded: int
    first_time: int = Field(description="Reads that succeeded at their first attempt.")
    retries: int = Field(description="Requests sent again.")
    strays: int = Field(
        description="Frames heard from another meter, or about something else than what was asked."
    )
    success: float | None = Field(description="Succeeded of all reads, 0 to 1; null where nothing was read.")
    mean_answer_ms: float | None = Field(
        description="Mean time from request to answer, repetitions included. [ms]"
    )
    failures: dict[str, int] = Field(
        description="Failed reads by reason: `no_reply`, `refused`, `unsupported`, `garbled`, `link_down`.",
        examples=[{"no_reply": 2}],
    )


@router.get(
    "/collection/statistics",
    responses=documented(400, 404, 422),
    summary="Success, latency and failures of reading",
)
def get_statistics(
    request: Request,
    *,
    by: Annotated[str, Query(max_length=40, description="What is told apart: `link`, `protocol`, `meter`, `hour`, several with commas; empty: one sum.")] = "link",
    link: Annotated[str, Query(max_length=64, description="Code of a link.")] = "",
    protocol: Annotated[str, Query(max_length=64, pattern=r"^[a-z0-9.-]*$")] = "",
    meter: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    period: Annotated[str | None, Query(max_length=40, description="`today`, `yesterday`, `last-7-days` ...; or `start` and `end`.")] = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[StatisticItem]:  # fmt: skip
    """Sums over the hours that the period touches, at most 10,000 of them; an outage of a link counts for no meter."""
    services, say = services_of(request), language_of(request)
    told_apart = _by(by)
    wanted = asked_period(
        period=period, start=start, end=end, zone=say.zone, now=services.clock(), default="today"
    )
    with services.database.read() as session:
        registry = services.registry(session)
        link_id = _link_id(registry, link) if link else None
        if meter is not None:
            registry.get_meter(meter)
        rates = success(
            session, wanted, by=told_apart, link_id=link_id, protocol=protocol or None, meter_id=meter,
            scope=services.scope, most=MOST + 1,
        )  # fmt: skip
        codes = {found.id: found.code for found in registry.links()} if By.LINK in told_apart else {}
    if len(rates) > MOST:
        raise BadRequest(
            f"That is more than {MOST} sums.", hint="Ask for a shorter period, or for one link or meter."
        )
    return [_item(rate, codes) for rate in rates]


def _by(text: str) -> list[By]:
    try:
        return [By(name) for name in text.split(",") if name]
    except ValueError:
        raise BadRequest(
            f"Success cannot be told apart by {text!r}.",
            hint=f"Use {', '.join(By)}, with commas between them.",
        ) from None


def _link_id(registry: Registry, code: str) -> int:
    found = registry.link_by_code(code)
    if found is None:
        raise NotFound("link", code)
    return found.id


def _item(rate: SuccessRate, codes: dict[int, str]) -> StatisticItem:
    return StatisticItem(
        link=codes.get(rate.link_id) if rate.link_id is not None else None,
        protocol=rate.protocol,
        meter=rate.meter_id,
        hour=rate.hour,
        attempts=rate.attempts,
        reads=rate.reads,
        succeeded=rate.succeeded,
        first_time=rate.first_time,
        retries=rate.retries,
        strays=rate.strays,
        success=rate.rate,
        mean_answer_ms=rate.answer_ms / rate.succeeded if rate.succeeded else None,
        failures=rate.failures,
    )
