"""All SQL about what was said of the columns of files."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from wattkeeper.readings.files.models import FileMapping


class FileMappings:
    """What files of the same make were said to mean, in the caller's transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of(self, fingerprint: str) -> Any | None:
        """The mapping last used for files with these headings, as `Mapping.as_json` gave it."""
        kept = self._session.get(FileMapping, fingerprint)
        return None if kept is None else kept.mapping

    def remember(self, fingerprint: str, mapping: Any, *, name: str, now: datetime, by: str) -> None:
        """Keep a mapping for the next file with these headings."""
        kept = self._session.get(FileMapping, fingerprint)
        if kept is None:
            kept = FileMapping(fingerprint=fingerprint)
            self._session.add(kept)
        kept.name, kept.mapping, kept.used_at, kept.used_by = name, mapping, now, by
