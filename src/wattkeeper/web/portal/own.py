"""What every page of the portal has: the customer's own accounts, the one chosen, and the portal's frame."""

from typing import Annotated, Any, Final

from fastapi import Path, Query, Request
from fastapi.responses import HTMLResponse

from wattkeeper.web.access import principal_of
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.queries.portal import OwnAccount, OwnAccounts
from wattkeeper.web.queries.portal_usage import UNPRICED
from wattkeeper.web.queries.states import N_

Id = Annotated[int, Path(ge=1, le=2**53)]
Chosen = Annotated[int | None, Query(ge=1, le=2**53, description="Id of one of your accounts.")]

UNKNOWN_COST: Final = N_("The cost cannot be told yet.")
WHY_NO_COST: Final = {
    "no_tariff": N_("No tariff is assigned to this account yet, so there is no price. Ask your supplier."),
    "no_points": N_("No metering point belongs to this account, so there is nothing to price."),
    "missing_intervals": N_(
        "Some readings are missing. They are fetched from the meter again by themselves; then the cost is here."
    ),
    "flagged_intervals": N_("A reading is being checked by your supplier; then the cost is here."),
    "estimated_intervals": N_(
        "Much of this period is estimated. When the readings are in, the cost is here."
    ),
    UNPRICED: N_(
        "In your tariff the price depends on the tier and on the time of day together, and a bill shares each tier "
        "among the times of the whole month. So a single day has no price of its own; the month and the bill have."
    ),
}


def own_of(request: Request) -> OwnAccounts:
    """What the customer who asks may see."""
    return OwnAccounts.of(services_of(request), principal_of(request).customer_id)


def chosen(own: OwnAccounts, account_id: int | None) -> OwnAccount | None:
    """The account an address names, or the first one; None for a customer without any."""
    if account_id is not None:
        return own.account(account_id)
    return next(iter(own.accounts), None)


def speech(request: Request, account: OwnAccount | None) -> Language:
    """The visitor's language, telling times where the account is."""
    return language_of(request, account.zone.key if account else None)


def page(
    request: Request, template: str, own: OwnAccounts, account: OwnAccount | None, *, tab: str, **values: Any
) -> HTMLResponse:
    """A page of the portal; without an account it says so."""
    return render(
        request,
        template if account else "portal_empty.html",
        zone=account.zone.key if account else None,
        own=own.accounts,
        account=account,
        tab=tab,
        **values,
    )


def why_no_cost(reason: str | None, say: Language) -> str:
    """Why something has no price, in a customer's words."""
    return say.text(WHY_NO_COST.get(reason or "", UNKNOWN_COST))
