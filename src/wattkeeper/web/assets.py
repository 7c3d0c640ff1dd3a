"""The bundle's files, from memory: compressed once at build time, cached by the browser until their content changes."""

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from wattkeeper.kernel.errors import WattkeeperError

DIST: Final = Path(__file__).parent / "static" / "dist"
YEAR_S: Final = 31_536_000


class NoBundle(WattkeeperError):
    """The console's bundle was not built."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the bundle."""

    content: bytes
    gzipped: bytes
    media_type: str
    digest: str


class Assets:
    """Serves `/static/<name>`; `url(name)` carries the content's digest, so a new version is a new address."""

    def __init__(self, folder: Path = DIST) -> None:
        if not (folder / "console.js").is_file():
            raise NoBundle(
                "The console's bundle is missing.",
                hint="Run `cd web && npm ci && npm run build`, then start again.",
            )
        self._files = {path.name: _load(path) for path in folder.iterdir() if path.suffix != ".gz"}

    def url(self, name: str) -> str:
        """The address of a file of the bundle."""
        return f"/static/{name}?v={self._files[name].digest}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request for a file."""
        await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        asset = self._files.get(scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/"))
        if asset is None:
            return Response("No such file.\n", status_code=404, media_type="text/plain")
        headers = Headers(scope=scope)
        # Chunks carry their digest in their name, the rest in their query: neither ever changes.
        reply = {
            "cache-control": f"public, max-age={YEAR_S}, immutable",
            "etag": f'"{asset.digest}"',
            "vary": "accept-encoding",
        }
        if headers.get("if-none-match") == reply["etag"]:
            return Response(status_code=304, headers=reply)
        if "gzip" in headers.get("accept-encoding", ""):
            return Response(
                asset.gzipped, media_type=asset.media_type, headers=reply | {"content-encoding": "gzip"}
            )
        return Response(asset.content, media_type=asset.media_type, headers=reply)


def _load(path: Path) -> Asset:
    content = path.read_bytes()
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if path.suffix == ".js":
        media_type = "text/javascript"  # some systems' tables say otherwise, and modules insist
    return Asset(
        content=content,
        gzipped=path.with_name(path.name + ".gz").read_bytes(),
        media_type=media_type,
        digest=hashlib.sha256(content).hexdigest()[:12],
    )
