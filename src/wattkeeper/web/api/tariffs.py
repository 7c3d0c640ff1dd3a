"""Tariffs, and which account is billed by which."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field

from wattkeeper.billing.tariff import Tariff
from wattkeeper.billing.values import AssignedTariff, Basis
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.api import schemas
from wattkeeper.web.api.billing import Id
from wattkeeper.web.api.runs import civil_month
from wattkeeper.web.pages import services_of, site_zone
from wattkeeper.web.problems import documented
from wattkeeper.web.queries.accounts import account_view
from wattkeeper.web.queries.money import month_of

router = APIRouter(tags=["tariffs"])
MONTH = r"^\d{4}-\d{2}$"


class TariffWanted(BaseModel):
    """A tariff from the beginning of a month on."""

    tariff: str = Field(max_length=64, examples=["cn-beijing-residential"])
    month: str = Field(pattern=MONTH, examples=["2026-10"], description="The first civil month it is for.")


class TariffOfAccountWanted(TariffWanted):
    """A tariff for one account, from the beginning of a month on."""

    basis: Basis = Field(default=Basis.INTERVALS, description="Where the billed energy comes from.")


class TariffAssigned(BaseModel):
    """How many accounts were given the tariff."""

    tariff: str
    accounts: int


class AssignmentItem(BaseModel):
    """A tariff of an account for a half-open period."""

    tariff: str
    basis: Basis
    start: schemas.InstantText
    end: schemas.InstantText | None


@router.get("/tariffs", dependencies=[needs(Right.TARIFFS_VIEW)], summary="Tariffs")
def list_tariffs(request: Request) -> list[schemas.TariffItem]:
    """Every tariff with its dated versions."""
    return [_tariff(tariff) for tariff in services_of(request).billing.tariffs()]


@router.get(
    "/tariffs/{code}",
    dependencies=[needs(Right.TARIFFS_VIEW)],
    responses=documented(404, 422),
    summary="One tariff",
)
def get_tariff(request: Request, code: Annotated[str, Path(max_length=64)]) -> schemas.TariffItem:
    """A tariff with its dated versions."""
    return _tariff(services_of(request).billing.tariff(code))


@router.get(
    "/accounts/{account_id}/tariffs",
    dependencies=[needs(Right.CUSTOMERS_VIEW)],
    responses=documented(404, 422),
    summary="Tariffs of an account",
)
def list_tariffs_of_account(request: Request, account_id: Id) -> list[AssignmentItem]:
    """By which tariffs an account is and was billed, in order of time."""
    account_view(services_of(request), account_id)
    return [_assignment(item) for item in services_of(request).billing.assigned_tariffs(account_id)]


@router.post(
    "/accounts/{account_id}/tariffs",
    dependencies=[needs(Right.TARIFFS_ASSIGN)],
    status_code=201,
    responses=documented(400, 404, 409, 422),
    summary="Give an account a tariff",
)
def assign_tariff_to_account(
    request: Request, account_id: Id, wanted: TariffOfAccountWanted
) -> AssignmentItem:
    """The tariff it had until then ends there; what is billed is not changed (409)."""
    services = services_of(request)
    account_view(services, account_id)
    start = month_of(wanted.month, site_zone(request)).start
    assigned = services.billing.assign_tariff(
        account_id, tariff_code=wanted.tariff, valid_from=start, now=services.clock(), basis=wanted.basis
    )
    return _assignment(assigned)


@router.post(
    "/tariff-assignments",
    dependencies=[needs(Right.TARIFFS_ASSIGN)],
    responses=documented(400, 404, 422),
    summary="Give a tariff to accounts without one",
)
def assign_tariff(request: Request, wanted: TariffWanted) -> TariffAssigned:
    """Accounts that have or had a tariff are left as they are."""
    services = services_of(request)
    month = civil_month(wanted.month, services.database)
    given = services.billing.assign_where_none(wanted.tariff, valid_from=month.start, now=services.clock())
    return TariffAssigned(tariff=wanted.tariff, accounts=given)


def _tariff(tariff: Tariff) -> schemas.TariffItem:
    return schemas.TariffItem(
        code=tariff.code,
        name_zh=tariff.name_zh,
        name_en=tariff.name_en,
        currency=tariff.currency,
        source=tariff.source,
        content_hash=tariff.content_hash,
        content=tariff.content,
    )


def _assignment(item: AssignedTariff) -> AssignmentItem:
    return AssignmentItem(
        tariff=item.tariff_code, basis=item.basis, start=item.period.start, end=item.period.end
    )
