"""The platform as a collector talks to it: one endpoint over HTTPS, and errors as sentences."""

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import httpx2

from wattkeeper.readings.errors import ReadingsError
from wattkeeper.readings.transmission.errors import BaseUnknown
from wattkeeper.readings.transmission.identities import MeterIdentity
from wattkeeper.readings.transmission.sending import Shipment

_TIMEOUT: Final = httpx2.Timeout(60.0, connect=10.0)
_CONFLICT: Final = 409
_REFUSED: Final = (401, 403)
_BASE_UNKNOWN: Final = "urn:wattkeeper:problem:base-unknown"


class PlatformAway(ReadingsError):
    """The platform cannot be reached, or cannot take anything at the moment."""


class PlatformRefuses(ReadingsError):
    """The platform will not take this until a person has done something about it."""


class Answer(NamedTuple):
    """What the platform says of a shipment."""

    acknowledged: int
    unknown: tuple[MeterIdentity, ...]


class Platform:
    """A connection that is kept open; the certificate is always checked.

    Args:
        url: where the platform is, such as ``https://meters.example.org``.
        token: one that may deliver readings.
        authority: a file of certificates (PEM) that are trusted beside, or instead of, the machine's own.

    """

    def __init__(self, url: str, *, token: str, authority: Path | None) -> None:
        self._url = url.rstrip("/")
        try:
            trusted = ssl.create_default_context(cafile=authority)
        except OSError as error:
            raise PlatformRefuses(
                f"The certificates in {authority} cannot be read: {error.strerror or error}.",
                hint="forward_authority names a PEM file.",
            ) from None
        self._client = httpx2.AsyncClient(
            verify=trusted, timeout=_TIMEOUT, headers={"authorization": f"Bearer {token}"}
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def deliver(self, shipment: Shipment, *, collector: str) -> Answer:
        """Send a shipment; when this returns, the platform has stored it.

        Raises:
            BaseUnknown: it must be sent self-contained.
            PlatformAway: try again later.
            PlatformRefuses: the token or the shipment is not taken.

        """
        answer = await self._post(
            "/api/v1/batches",
            wants="acknowledged",
            params={"collector": collector, "run": shipment.run.hex(), "last": str(shipment.last)},
            content=shipment.payload,
            headers={"content-type": "application/octet-stream"},
        )
        return Answer(answer["acknowledged"], _identities(answer["unknown"]))

    async def known(self, meters: Sequence[MeterIdentity]) -> tuple[MeterIdentity, ...]:
        """Those of some meters that are registered on the platform."""
        listed = [meter._asdict() for meter in meters]
        answer = await self._post("/api/v1/batches/meters", wants="known", json={"meters": listed})
        return _identities(answer["known"])

    async def _post(self, path: str, *, wants: str, **request: Any) -> Any:
        try:
            answer = await self._client.post(f"{self._url}{path}", **request)
        except httpx2.HTTPError as error:
            raise PlatformAway(
                f"The platform {self._url} cannot be reached: {str(error) or type(error).__name__}.",
                hint="Readings wait in the outbox and in the store.",
            ) from None
        said = _json(answer)
        if answer.is_success:
            if wants not in said:
                raise PlatformRefuses(
                    f"What answers at {self._url} is no Wattkeeper.", hint="Correct forward_url, its address."
                )
            return said
        if answer.status_code == _CONFLICT and said.get("type") == _BASE_UNKNOWN:
            raise BaseUnknown(str(said["detail"]))
        raise self._refusal(answer.status_code, str(said.get("detail", "no reason given")))

    def _refusal(self, status: int, why: str) -> ReadingsError:
        if status in _REFUSED:
            return PlatformRefuses(
                f"The platform {self._url} does not take readings from this collector: {why}",
                hint="Set forward_token to a token of a user there, with the right readings.deliver.",
            )
        if status in range(400, 500) and status not in (408, 429):
            return PlatformRefuses(
                f"The platform {self._url} refuses a batch ({status}): {why}",
                hint="It is kept. Look whether both ends run the same version.",
            )
        return PlatformAway(f"The platform {self._url} cannot take readings now ({status}): {why}")


def _json(answer: httpx2.Response) -> dict[str, Any]:
    """What was said; nothing where it was no JSON object."""
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _identities(listed: Sequence[Any]) -> tuple[MeterIdentity, ...]:
    return tuple(MeterIdentity(meter["protocol"], meter["link"], meter["address"]) for meter in listed)
