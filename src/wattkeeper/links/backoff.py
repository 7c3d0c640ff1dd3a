"""When to try a broken link again: soon at first, then ever later up to a cap, and forgetting."""

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """The waits between attempts to open one link.

    Times are seconds of the event loop's clock. The first loss is mended at once (gateways drop idle connections). Each further failure doubles
    the wait up to ``cap``. A link that then held for ``cap`` seconds starts afresh.
    """

    first: float = 0.5
    cap: float = 30.0
    _failures: int = 0
    _opened_at: float | None = None
    _not_before: float = 0.0

    def opened(self, now: float) -> None:
        """The link opened."""
        self._opened_at = now

    def failed(self, now: float) -> float:
        """It would not open; returns the wait until the next attempt."""
        self._failures = max(self._failures, 1)
        return self._wait(now)

    def lost(self, now: float) -> float:
        """It was open and broke; returns the wait until the next attempt."""
        if self._opened_at is not None and now - self._opened_at >= self.cap:
            self._failures = 0
        self._opened_at = None
        return self._wait(now)

    def remaining(self, now: float) -> float:
        """How long the next attempt still has to wait."""
        return max(0.0, self._not_before - now)

    def _wait(self, now: float) -> float:
        doubled = self.first * 2.0 ** (min(self._failures, 32) - 1)
        wait = 0.0 if self._failures == 0 else min(self.cap, doubled)
        self._failures += 1
        self._not_before = now + wait
        return wait
