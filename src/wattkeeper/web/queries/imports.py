"""Uploaded files between their preview and the decision to write them."""

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from wattkeeper.registry import importing
from wattkeeper.registry.importing import ExistingRows, ImportPreview
from wattkeeper.web.problems import BadRequest
from wattkeeper.web.services import Services

LARGEST_BYTES: Final = 20_000_000
KEPT: Final = 8
"""Files kept at once; an older preview has to be made again."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file somebody is looking at."""

    name: str
    content: bytes
    existing: ExistingRows


class Uploads:
    """The files that were previewed last, by a token only their page knows."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Upload] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, upload: Upload) -> str:
        """Keep a file; the token to take it back with."""
        token = secrets.token_urlsafe(16)
        with self._lock:
            self._kept[token] = upload
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return token

    def look(self, token: str) -> Upload:
        """The file of a token, which stays."""
        with self._lock:
            upload = self._kept.get(token)
        return _there(upload)

    def take(self, token: str) -> Upload:
        """The file of a token, given out once."""
        with self._lock:
            upload = self._kept.pop(token, None)
        return _there(upload)


def _there(upload: Upload | None) -> Upload:
    if upload is None:
        raise BadRequest(
            "That preview is no longer here.", hint="Choose the file again; nothing was written."
        )
    return upload


def checked(name: str | None, content: bytes, existing: ExistingRows) -> Upload:
    """A file small enough to look at."""
    if len(content) > LARGEST_BYTES:
        raise BadRequest(
            f"The file has more than {LARGEST_BYTES // 1_000_000} MB.", hint="Split it into several files."
        )
    return Upload(name or "upload", content, existing)


def preview(services: Services, upload: Upload) -> ImportPreview:
    """What importing the file would do."""
    with services.database.read() as session:
        return importing.preview(
            session, upload.content, upload.name, existing=upload.existing, side_of=services.side_of
        )


def apply(services: Services, upload: Upload) -> ImportPreview:
    """Import the whole file, or raise and write nothing."""
    with services.database.write() as session:
        return importing.apply(
            session,
            upload.content,
            upload.name,
            existing=upload.existing,
            side_of=services.side_of,
            now=services.clock(),
        )
