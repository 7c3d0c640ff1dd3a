"""Asking a meter now."""

from collections.abc import Sequence

from fastapi.concurrency import run_in_threadpool

from wattkeeper.collection.values import LiveReading
from wattkeeper.security.audit import record
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
    """Ask a meter that whoever asks may see, ahead of the queue; written down before the first byte leaves."""
    collector = ready_to_read(services)
    await run_in_threadpool(_note, services, meter_id, quantities)
    return await collector.read_now(meter_id, quantities or None)


def _note(services: Services, meter_id: int, quantities: Sequence[str] | None) -> None:
    with services.database.write() as session:
        meter = services.registry(session).get_meter(meter_id)
        after = {"quantities": list(quantities)} if quantities else None
        record(
            session,
            "meter.read_now",
            now=services.clock(),
            subject=("meter", meter_id),
            name=meter.address,
            after=after,
        )
