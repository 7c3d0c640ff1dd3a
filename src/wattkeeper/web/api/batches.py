"""Readings from remote collectors, and how this server gets on with sending its own."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from wattkeeper.readings.transmission.errors import BatchTooLarge, NothingForwarded
from wattkeeper.readings.transmission.identities import MeterIdentity
from wattkeeper.readings.transmission.receiving import BatchReceiver
from wattkeeper.readings.transmission.values import Delivery
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs, principal_of
from wattkeeper.web.api.schemas import InstantText, Shape
from wattkeeper.web.pages import services_of
from wattkeeper.web.problems import documented

router = APIRouter(tags=["remote collectors"])
LARGEST_BYTES: Final = 16 << 20
"""Of one request; a collector of ours sends less than 1 MB at once."""
_ASKED_AT_ONCE: Final = 10_000
_HEX: Final = r"^[0-9a-f]{16}$"
_BATCH: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "A batch as docs/reference/batch-format.md describes it.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class MeterName(Shape):
    """A meter as both ends know it."""

    protocol: str = Field(max_length=64, examples=["dlt645-2007"])
    link: str = Field(max_length=64, description="Code of the link it answers on.", examples=["bus-1"])
    address: str = Field(max_length=64, examples=["000000000017"])


class ReceiptItem(Shape):
    """What became of a batch."""

    acknowledged: int = Field(description="The run's batches up to this sequence are stored.")
    rows: int = Field(description="Rows of meters that are registered here.")
    accepted: int = Field(description="Those of them that said something new.")
    unknown: list[MeterName] = Field(
        description="Meters that are not registered here; their rows were not taken."
    )


class MeterNames(Shape):
    """Meters to ask about."""

    meters: list[MeterName] = Field(max_length=_ASKED_AT_ONCE)


class KnownMeters(Shape):
    """The meters among those asked about that are registered here."""

    known: list[MeterName]


class RemoteCollectorItem(Shape):
    """A remote collector that delivers here."""

    id: str = Field(examples=["9f86d081884c7d65"])
    name: str = Field(description="Name of the token it came with last.")
    first_at: InstantText
    last_at: InstantText
    readings: int = Field(description="Readings taken from it so far, repeats included.")
    unknown: list[MeterName] = Field(
        description="Meters it reads that are not registered here, 1,000 at most."
    )


class OutboxItem(Shape):
    """How this server gets on with sending what it reads."""

    url: str = Field(description="The platform.")
    collector: str | None = Field(description="The outbox's id; null before it was opened.")
    batches: int = Field(description="Batches that are not acknowledged.")
    rows: int = Field(description="Readings, and exchanges where frames travel, in them.")
    bytes: int
    oldest_at: InstantText | None = Field(description="When the oldest of them was recorded here.")
    sent: int = Field(description="Rows acknowledged since this process began.")
    sent_bytes: int
    acknowledged_at: InstantText | None
    error: str | None = Field(description="Why nothing can be sent, or put into the outbox, at the moment.")
    unknown: list[MeterName] = Field(description="Meters that the platform does not know.")


@router.post(
    "/batches",
    dependencies=[needs(Right.READINGS_DELIVER)],
    responses=documented(409, 413, 422, 503),
    openapi_extra=_BATCH,
    summary="Deliver a batch of readings",
)
async def post_batch(
    request: Request,
    *,
    collector: Annotated[str, Query(pattern=_HEX, description="Id of the collector's outbox.")],
    run: Annotated[
        str, Query(pattern=_HEX, description="Id of the outbox's run, in which the sequence counts.")
    ],
    last: Annotated[
        int, Query(ge=1, le=2**53, description="Sequence of the last batch of the outbox in it.")
    ],
) -> ReceiptItem:
    """Stored when this answers. A repeat is harmless; 409 `base-unknown` asks for the same self-contained."""
    payload = await _body(request)
    principal = principal_of(request)
    delivery = Delivery(collector=collector, name=principal.token_name or principal.login, run=run, last=last)
    receipt = await run_in_threadpool(
        _receiver(request).receive, payload, delivery, now=services_of(request).clock()
    )
    return ReceiptItem.model_validate(receipt)


@router.post(
    "/batches/meters",
    dependencies=[needs(Right.READINGS_DELIVER)],
    responses=documented(422),
    summary="Which meters are registered here",
)
def post_meters(request: Request, asked: MeterNames) -> KnownMeters:
    """What a collector asks about meters that were unknown when it delivered."""
    meters = {MeterIdentity(meter.protocol, meter.link, meter.address) for meter in asked.meters}
    return KnownMeters(known=[MeterName.model_validate(meter) for meter in _receiver(request).known(meters)])


@router.get(
    "/remote-collectors",
    dependencies=[needs(Right.REGISTRY_EDIT)],
    summary="Remote collectors",
)
def list_collectors(request: Request) -> list[RemoteCollectorItem]:
    """Who delivers readings here, the one heard last first, with the meters that are to be registered."""
    return [RemoteCollectorItem.model_validate(view) for view in _receiver(request).collectors()]


@router.get(
    "/outbox",
    dependencies=[needs(Right.REGISTRY_EDIT)],
    responses=documented(404),
    summary="What waits for the platform",
)
def get_outbox(request: Request) -> OutboxItem:
    """How this server, as a remote collector, gets on with sending; 404 where it sends nothing."""
    forwarder = services_of(request).forwarder
    if forwarder is None:
        raise NothingForwarded
    return OutboxItem.model_validate(forwarder.status())


def _receiver(request: Request) -> BatchReceiver:
    receiver: BatchReceiver = request.app.state.batches
    return receiver


async def _body(request: Request) -> bytes:
    """The request's body, given up as soon as it is too large."""
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > LARGEST_BYTES:
            raise BatchTooLarge(f"A batch has at most {LARGEST_BYTES:,} bytes.", hint="Send it in parts.")
    return bytes(parts)
