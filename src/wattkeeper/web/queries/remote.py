"""The way between remote collectors and the platform, for the page of links."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from wattkeeper.readings.transmission.identities import MeterIdentity
from wattkeeper.readings.transmission.receiving import BatchReceiver
from wattkeeper.web.language import Language
from wattkeeper.web.queries.states import N_
from wattkeeper.web.services import Services

NAMED: Final = 4
"""Unknown meters that are named on the page; the API and the command line have all."""
AND_MORE: Final = N_("and %(n)s more")
NOTHING_REMOTE: Final[Mapping[str, Any]] = {"outbox": None, "remotes": ()}
"""For who may not register meters, and so has nothing to do with it."""


def remote(services: Services, receiver: BatchReceiver, say: Language) -> dict[str, Any]:
    """What `remote.html` shows."""

    def named(meters: Sequence[MeterIdentity]) -> str:
        shown = [f"{meter.address} ({meter.link})" for meter in meters[:NAMED]]
        more = len(meters) - NAMED
        return say.listed([*shown, say.text(AND_MORE, n=say.number(more))] if more > 0 else shown)

    forwarder = services.forwarder
    return {
        "outbox": None if forwarder is None else forwarder.status(),
        "remotes": receiver.collectors(),
        "named": named,
    }
