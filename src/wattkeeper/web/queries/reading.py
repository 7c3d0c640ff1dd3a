"""Asking a meter now."""

from collections.abc import Sequence

from wattkeeper.collection.values import LiveReading
from wattkeeper.web.problems import CollectionNotRunning
from wattkeeper.web.services import CollectorLike, Services


def ready_to_read(services: Services) -> CollectorLike:
    """The collector, or an error that says that there is none."""
    if services.collector is None:
        raise CollectionNotRunning(
            "Collection is not running in this process, so no meter can be asked.",
            hint="Start the server without `collect = false`, or read from the command line.",
        )
    return services.collector


async def read_now(
    services: Services, meter_id: int, quantities: Sequence[str] | None = None
) -> Sequence[LiveReading]:
    """Ask the meter ahead of the queue."""
    return await ready_to_read(services).read_now(meter_id, quantities or None)
