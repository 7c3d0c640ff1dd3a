"""DL/T 645 of either edition: meters of which nobody knows which they speak until they have answered a question in it."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from wattkeeper.collection.drivers.base import Commander, Driver, Measured, Past, Request
from wattkeeper.protocols.dlt645.detection import EditionProbe, edition_probes
from wattkeeper.protocols.dlt645.errors import Dlt645Error

PROTOCOL_OF_EITHER = "dlt645"


class ProbeRequest:
    """One question in the words of one edition; a refusal answers it as well."""

    key = "edition"
    quantities: tuple[str, ...] = ()
    parts: Sequence[Request] = ()

    def __init__(self, exchange: EditionProbe) -> None:
        self.exchange = exchange

    @property
    def speaks(self) -> str | None:
        """The protocol that the meter speaks, once it has answered."""
        edition = self.exchange.edition
        return None if edition is None else f"{PROTOCOL_OF_EITHER}-{edition}"

    def measured(self, at: datetime) -> list[Measured]:  # noqa: ARG002 - what it says is not the point
        """Nothing: the meter is read by the driver that this finds."""
        return []


class Dlt645EitherEdition:
    """Finds the driver of a meter of either edition by asking it, and stands in for it until then."""

    protocol: str = PROTOCOL_OF_EITHER
    errors: type[Exception] = Dlt645Error
    pasts: Sequence[Past] = ()

    def __init__(self, *drivers: Driver) -> None:
        """`drivers`: one for each edition."""
        self._drivers = {driver.protocol: driver for driver in drivers}

    @property
    def commander(self) -> Commander | None:
        """How meters of the edition that takes commands take them; the others say so when they are told something."""
        return next((driver.commander for driver in self._drivers.values() if driver.commander), None)

    def for_model(self, model: str) -> "Dlt645EitherEdition":  # noqa: ARG002 - the edition is asked of each meter
        """The same for all."""
        return self

    def probes(self, address: str) -> list[ProbeRequest]:
        """The questions to ask one after the other, until one is answered."""
        return [ProbeRequest(probe) for probe in edition_probes(address)]

    def speaking(self, protocol: str | None) -> Driver | None:
        """The driver of meters that speak this edition; None: there is none."""
        return self._drivers.get(protocol or "")

    def supports(self, quantity: str) -> bool:
        """Whether either edition has an identifier for this quantity."""
        return any(driver.supports(quantity) for driver in self._drivers.values())

    def brings(self, key: str) -> tuple[str, ...]:  # noqa: ARG002 - it reads nothing
        """None: a question for the edition brings no quantity."""
        return ()

    def plan(
        self, address: str, quantities: Iterable[str], *, zone: ZoneInfo, refused: Collection[str] = ()
    ) -> list[Request]:
        """None: before the edition is known there is nothing to read."""
        del address, quantities, zone, refused
        return []

    def is_refusal(self, error: Exception) -> bool:  # noqa: ARG002 - a refusal is an answer
        """Whether the meter said no: never, as that tells its edition too."""
        return False

    def is_unsupported(self, error: Exception) -> bool:  # noqa: ARG002
        """Never."""
        return False
