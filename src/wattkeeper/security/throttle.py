"""Slows down who guesses passwords, by user name and by network address."""

import math
import time
from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from wattkeeper.security.errors import SignInThrottled

PER_PAIR: Final = RateLimitItemPerMinute(5, 5)
"""Failed sign-ins of one user name from one address: 5 in 5 minutes."""
PER_LOGIN: Final = RateLimitItemPerMinute(30, 15)
"""Failed sign-ins of one user name from anywhere; higher, since strangers could lock a user out with it."""
PER_ADDRESS: Final = RateLimitItemPerMinute(50, 5)
"""Failed sign-ins of any user name from one address: an office behind one address has many users."""


class SignInThrottle:
    """Counts failures in this process; a restart forgets them."""

    def __init__(
        self,
        *,
        per_pair: RateLimitItem = PER_PAIR,
        per_login: RateLimitItem = PER_LOGIN,
        per_address: RateLimitItem = PER_ADDRESS,
    ) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._per_pair, self._per_login, self._per_address = per_pair, per_login, per_address

    def attempt(self, login: str, address: str) -> None:
        """Refuse before the password is looked at when there were too many failures.

        The attempt itself counts against the pair at once, so that many at the same moment are no more than a few one
        after another; `succeeded` takes it back.
        """
        pair, *wider = self._counted(login, address)
        for item, keys in wider:
            self._refuse(item, keys, reached=not self._limiter.test(item, *keys))
        item, keys = pair
        self._refuse(item, keys, reached=not self._limiter.hit(item, *keys))

    def _refuse(self, item: RateLimitItem, keys: tuple[str, ...], *, reached: bool) -> None:
        if reached:
            reset = self._limiter.get_window_stats(item, *keys).reset_time
            wait = max(1, math.ceil(reset - time.time()))
            raise SignInThrottled(
                "There were too many failed sign-ins.",
                retry_after_s=wait,
                hint=f"Try again in {math.ceil(wait / 60)} min.",
            )

    def failed(self, login: str, address: str) -> None:
        """Count a failure, which `attempt` has counted for the pair."""
        for item, keys in self._counted(login, address)[1:]:
            self._limiter.hit(item, *keys)

    def succeeded(self, login: str, address: str) -> None:
        """Forget the failures of a user who got in; those of the address stay."""
        self._limiter.clear(self._per_pair, "pair", login, address)

    def _counted(self, login: str, address: str) -> tuple[tuple[RateLimitItem, tuple[str, ...]], ...]:
        return (
            (self._per_pair, ("pair", login, address)),
            (self._per_login, ("login", login)),
            (self._per_address, ("address", address)),
        )
