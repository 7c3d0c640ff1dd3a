"""How well meters are read: success, latency, retries and reasons of failure, as pages and files tell it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from wattkeeper.collection.counts import Failure
from wattkeeper.collection.statistics import By, success
from wattkeeper.collection.values import SuccessRate
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.web.language import Language
from wattkeeper.web.queries.meters import PROTOCOLS
from wattkeeper.web.queries.states import N_
from wattkeeper.web.services import Services

PERIODS: Final = {
    "today": N_("Today"),
    "last-7-days": N_("7 days"),
    "last-30-days": N_("30 days"),
}
REASONS: Final[dict[Failure, tuple[str, str]]] = {
    Failure.NO_REPLY: (N_("No reply"), N_("Supply, wiring, address or baud rate; a carrier that is too far away.")),
    Failure.GARBLED: (N_("Garbled"), N_("Noise, termination, or two meters that answer at once.")),
    Failure.REFUSED: (N_("Refused"), N_("The meter is busy, or wants a password.")),
    Failure.UNSUPPORTED: (N_("Not supported"), N_("The meter does not have what was asked; it is not asked again soon.")),
    Failure.LINK_DOWN: (N_("Link down"), N_("No meter could be asked: the gateway, the serial adapter or the network.")),
}  # fmt: skip
"""Why reads fail, and where to look."""


@dataclass(frozen=True, slots=True)
class QualityLine:
    """One link, protocol or hour, with how its reads went."""

    name: str
    code: str
    rate: SuccessRate

    @property
    def answer_ms(self) -> int | None:
        """The mean time from request to answer."""
        return round(self.rate.answer_ms / self.rate.succeeded) if self.rate.succeeded else None

    def failed(self, failure: Failure) -> int:
        """Reads that failed for a reason."""
        return self.rate.failures.get(failure, 0)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why reads failed, how often, and where to look."""

    name: str
    where: str
    reads: int
    share: float


def of_links_and_protocols(
    services: Services, period: TimeRange, say: Language
) -> tuple[list[QualityLine], list[QualityLine]]:
    """Every link that was read, the worst first, and every protocol that meters were asked in, the most used first.

    Both from one sum over the period: that is what costs.
    """
    with services.database.read() as session:
        rates = success(session, period, by=(By.LINK, By.PROTOCOL), scope=services.scope)
        names = {link.id: (link.name, link.code) for link in services.registry(session).links()}
    of_link: defaultdict[int | None, list[SuccessRate]] = defaultdict(list)
    of_protocol: defaultdict[str | None, list[SuccessRate]] = defaultdict(list)
    for rate in rates:
        of_link[rate.link_id].append(rate)
        of_protocol[rate.protocol].append(rate)
    links = [QualityLine(*names[link], added(some)) for link, some in of_link.items() if link in names]
    protocols = [
        QualityLine(say.text(PROTOCOLS.get(protocol, protocol)), protocol, added(some))
        for protocol, some in of_protocol.items()
        if protocol is not None
    ]
    links.sort(key=lambda line: (line.rate.rate is None, line.rate.rate, -line.rate.reads, line.code))
    protocols.sort(key=lambda line: (-line.rate.reads, line.code))
    return links, protocols


def of_hours(
    services: Services, period: TimeRange, say: Language, *, link_id: int | None = None
) -> list[QualityLine]:
    """Every hour in which something was read, of one link or of all."""
    with services.database.read() as session:
        rates = success(session, period, by=(By.HOUR,), link_id=link_id, scope=services.scope)
    return [QualityLine(say.moment(rate.hour), _iso(rate.hour), rate) for rate in rates]


def added(rates: Sequence[SuccessRate]) -> SuccessRate:
    """What several come to."""
    return SuccessRate(
        link_id=None,
        meter_id=None,
        attempts=sum(rate.attempts for rate in rates),
        reads=sum(rate.reads for rate in rates),
        first_time=sum(rate.first_time for rate in rates),
        succeeded=sum(rate.succeeded for rate in rates),
        strays=sum(rate.strays for rate in rates),
        answer_ms=sum(rate.answer_ms for rate in rates),
        failures={failure.value: sum(rate.failures.get(failure, 0) for rate in rates) for failure in Failure},
    )


def reasons(rate: SuccessRate, say: Language) -> Sequence[Reason]:
    """Why reads failed, the most frequent first; what did not happen is left out."""
    found = [
        Reason(say.text(name), say.text(where), count, count / rate.failed)
        for failure, (name, where) in REASONS.items()
        if (count := rate.failures.get(failure, 0))
    ]
    return sorted(found, key=lambda reason: -reason.reads)


def _iso(hour: datetime | None) -> str:
    return hour.isoformat() if hour else ""
