"""The command line's way to the server that owns a data folder: its API over its Unix socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wattkeeper.cli.options import settings_of
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.kernel.ownership import Owner, find_owner

if TYPE_CHECKING:
    import httpx2

    from wattkeeper.settings import Settings

TIMEOUT_SECONDS = 300.0
"""Long enough for an import of 50,000 rows."""


class ServerRefused(WattkeeperError):
    """The running server answered with a problem."""


class ServerSilent(WattkeeperError):
    """A process owns the data folder but does not answer."""


class NoServer(WattkeeperError):
    """The command asks a running server, and none runs."""


def needed_server(data_dir: Path | None, *, without: str, hint: str) -> Owner:
    """The server that owns the data folder. Raises NoServer with the sentence ``without``, which may name {folder}."""
    settings = settings_of(data_dir=data_dir)
    owner = running_server(settings)
    if owner is None:
        raise NoServer(without.format(folder=settings.data_dir), hint=hint)
    return owner


def running_server(settings: "Settings") -> Owner | None:
    """The server that owns the data folder now, or None: then the command may open the stores itself.

    Raises:
        ServerSilent: the folder is owned by a process that has announced no socket.

    """
    owner = find_owner(settings.data_dir)
    if owner is not None and owner.socket is None:
        raise ServerSilent(
            f"Process {owner.pid or 'unknown'} owns the data folder {settings.data_dir} but does not answer yet.",
            hint="It may be starting or stopping: try again in a few seconds.",
        )
    return owner


def ask(owner: Owner, method: str, path: str, **request: Any) -> "httpx2.Response":
    """Send one request to the server at `/api/v1{path}`.

    Raises:
        ServerRefused: it answered with a problem; the sentence is the server's.
        ServerSilent: it could not be reached.

    """
    with _answering(owner), _client(owner) as client:
        answer = client.request(method, f"/api/v1{path}", **request)
    _require_sound(answer)
    return answer


@contextmanager
def streamed(owner: Owner, path: str, *, method: str = "GET", **request: Any) -> "Iterator[httpx2.Response]":
    """The same for an answer that is taken piece by piece while the server writes it."""
    with (
        _answering(owner),
        _client(owner) as client,
        client.stream(method, f"/api/v1{path}", **request) as answer,
    ):
        if answer.is_error:
            answer.read()
        _require_sound(answer)
        yield answer


def _client(owner: Owner) -> "httpx2.Client":
    import httpx2

    scheme = "https" if owner.tls else "http"
    # The socket is the folder owner's alone (0600), so there is nobody whose name a certificate would have to prove.
    transport = httpx2.HTTPTransport(uds=str(owner.socket), verify=not owner.tls)
    return httpx2.Client(transport=transport, base_url=f"{scheme}://localhost", timeout=TIMEOUT_SECONDS)


@contextmanager
def _answering(owner: Owner) -> Iterator[None]:
    import httpx2

    try:
        yield
    except httpx2.TransportError as error:
        raise ServerSilent(
            f"The server (process {owner.pid}) did not answer: {error}.", hint="Look at its log, or stop it."
        ) from None


def _require_sound(answer: "httpx2.Response") -> None:
    if answer.is_error:
        message, hint = _problem(answer)
        raise ServerRefused(message, hint=hint)


def _problem(answer: "httpx2.Response") -> tuple[str, str | None]:
    try:
        problem = answer.json()
    except ValueError:
        return f"The server answered {answer.status_code} {answer.reason_phrase}.", None
    return problem.get("detail") or problem.get("title") or str(answer.status_code), problem.get("hint")
