"""What is costly to find out and the same for all who may see the same part of the network: kept for a minute."""

import threading
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from wattkeeper.registry.scope import Scope
from wattkeeper.web.services import Services

Asked = TypeVar("Asked", bound=Hashable)
Found = TypeVar("Found")
FRESH: Final = timedelta(seconds=60)


class KeptByScope(Generic[Asked, Found]):
    """What `find` finds out for a question, once a minute for each part of the network that somebody looks at."""

    def __init__(self, find: Callable[[Services, Asked], Found], clock: Callable[[], datetime]) -> None:
        self._find = find
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[Scope, Asked], tuple[datetime, Found]] = {}

    def __call__(self, services: Services, asked: Asked) -> Found:
        """The answer for what `services` may show."""
        with self._lock:
            now, key = self._clock(), (services.scope, asked)
            kept = self._kept.get(key)
            if kept is None or not timedelta(0) <= now - kept[0] < FRESH:
                self._kept = {other: found for other, found in self._kept.items() if now - found[0] < FRESH}
                kept = self._kept[key] = (now, self._find(services, asked))
            return kept[1]
