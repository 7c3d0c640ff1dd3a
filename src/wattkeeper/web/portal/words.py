"""What the ledger's codes are called on a customer's pages and in their files."""

from typing import Final

from wattkeeper.web.queries.states import N_

UNITS: Final = {"kWh": "kWh", "month": N_("months"), "months": N_("months")}
MOVEMENTS: Final = {"bill": N_("Bill"), "cancellation": N_("Cancellation"), "payment": N_("Payment")}
