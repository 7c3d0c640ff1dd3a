"""Global search, for programs."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field

from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.api.schemas import Shape
from wattkeeper.web.pages import language_of, services_of
from wattkeeper.web.problems import documented
from wattkeeper.web.queries.search import LIMIT, RIGHTS, search

router = APIRouter(tags=["search"], dependencies=[needs(*RIGHTS)])


class Found(Shape):
    """One thing that a text names."""

    kind: str = Field(
        description="meter, account, customer, bill, alarm, area, link, tariff or user.", examples=["meter"]
    )
    id: str = Field(description="Its id; a link and a tariff have codes.", examples=["12"])
    title: str = Field(examples=["000000000161"])
    detail: str = Field(examples=["Building 2, room 301"])
    address: str = Field(description="Its page in the console.", examples=["/meters/12"])


@router.get("/search", responses=documented(422), summary="Find things by number or name")
def find(
    request: Request,
    q: Annotated[str, Query(min_length=1, max_length=100, description="Every word has to be found.")],
    limit: Annotated[int, Query(ge=1, le=50, description="The most of each kind.")] = LIMIT,
) -> list[Found]:
    """Meters, accounts, customers, bills, open alarms, areas, links, tariffs and users, as far as your rights go."""
    groups = search(
        services_of(request), principal_of(request), q, language_of(request), limit=limit, pages=False
    )
    return [
        Found(kind=group.kind, id=hit.id, title=hit.title, detail=hit.detail, address=hit.address)
        for group in groups
        for hit in group.hits
    ]
