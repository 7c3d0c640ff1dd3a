"""Frames explained: those of a kept exchange, and any that a person pastes."""

import binascii
import re
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse

from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.language import Language
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import BadRequest
from wattkeeper.web.queries.frames import kept_exchange, shown, split

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.METERS_VIEW)])
EXAMPLE: Final = "FEFEFEFE6861010000000068910833333433593333338A16"
FRAMES_SHOWN: Final = 20


@router.get("/exchanges/{exchange_id}", response_class=HTMLResponse)
def exchange_page(
    request: Request, exchange_id: Annotated[int, Path(ge=1, lt=2**63)], at: datetime | None = None
) -> HTMLResponse:
    """A request and its reply, byte by byte; `at` is the instant of the load record somebody came for."""
    services, say = services_of(request), language_of(request)
    kept = kept_exchange(services, exchange_id)
    with services.database.read() as session:
        name = services.registry(session).get_meter(kept.meter_id).address if kept.meter_id else None
    reply = kept.reply_frames(say, recorded_at=load_record_stamp(at, say))
    return render(
        request,
        "exchange.html",
        sought=say.moment(at) if at and any(frame.sought for frame in reply) else None,
        meter_id=kept.meter_id,
        meter_name=name,
        began_at=kept.began_at,
        outcome=say.text("answered") if kept.outcome == "ok" else kept.outcome,
        milliseconds=kept.milliseconds,
        request_frames=kept.request_frames(say),
        reply_frames=reply,
    )


def load_record_stamp(at: datetime | None, say: Language) -> str | None:
    """An instant as the meter's clock stamps its load records: YYMMDDhhmm in civil time."""
    if at is None:
        return None
    return f"{(at if at.tzinfo else at.replace(tzinfo=say.zone)).astimezone(say.zone):%y%m%d%H%M}"


@router.get("/frames", response_class=HTMLResponse)
def frames_page(request: Request, hex: Annotated[str, Query(max_length=4000)] = "") -> HTMLResponse:  # noqa: A002 (the address says hex)
    """Any frame explained; nothing is sent."""
    say = language_of(request)
    raw = _octets(hex)
    frames = [shown(part, say) for _, part in zip(range(FRAMES_SHOWN), split(raw), strict=False)]
    return render(request, "frames.html", block="results", hex=hex, frames=frames, example=EXAMPLE)


def _octets(text: str) -> bytes:
    """The octets of a text in hexadecimal, however it is separated."""
    bare = re.sub(r"0x|[^0-9A-Za-z]", "", text, flags=re.IGNORECASE)
    try:
        return binascii.unhexlify(bare)
    except (binascii.Error, ValueError):
        raise BadRequest(
            "That is not a row of octets in hexadecimal.",
            hint="Write two digits 0-9, A-F for each, as 68 61 01 …",
        ) from None
