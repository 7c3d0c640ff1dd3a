"""News inside the process, for live pages: published from any thread, never waited for.

Nothing here is kept. A subscriber who is too slow loses the oldest messages and learns how many; what must
not be lost goes through the change feed.
"""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

DEFAULT_CAPACITY = 10_000


class Message(NamedTuple):
    """One published message."""

    topic: str
    body: Any


class Subscription:
    """The queue of one subscriber, bounded; wait for it on the event loop that subscribed."""

    def __init__(self, topics: frozenset[str], capacity: int) -> None:
        self.topics = topics
        self.dropped = 0
        """Messages lost since the subscription began because nobody fetched them in time."""
        self._waiting: deque[Message] = deque(maxlen=capacity)
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._filled = asyncio.Event()
        self._woken = False

    async def get(self) -> Message:
        """The oldest message, waiting for one."""
        while (message := self._pop()) is None:
            await self._filled.wait()
        return message

    async def batch(self) -> list[Message]:
        """All that is there, oldest first, waiting for at least one message."""
        first = await self.get()
        return [first, *self.drain()]

    def drain(self) -> list[Message]:
        """All that is there right now, oldest first; may be empty. From any thread, where nobody waits with `get`."""
        with self._lock:
            messages = list(self._waiting)
            self._waiting.clear()
            self._sleep()
        return messages

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Message:
        return await self.get()

    def _offer(self, message: Message) -> None:
        """Add a message from any thread, dropping the oldest when full."""
        with self._lock:
            if len(self._waiting) == self._waiting.maxlen:
                self.dropped += 1
            self._waiting.append(message)
            if self._woken:
                return
            self._woken = True  # one wake-up serves every message until the queue has been emptied
        try:
            self._loop.call_soon_threadsafe(self._filled.set)
        except RuntimeError:
            # The loop was closed without leaving the subscription; nobody will read this queue again.
            return

    def _pop(self) -> Message | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._sleep()
            return None

    def _sleep(self) -> None:
        self._filled.clear()
        self._woken = False


class Hub:
    """Topics and their subscribers. ``published`` counts the messages of each topic."""

    def __init__(self, *, capacity: int = DEFAULT_CAPACITY) -> None:
        if capacity < 1:
            raise ValueError("A subscriber's queue must hold at least one message.")
        self.published: Counter[str] = Counter()
        self._capacity = capacity
        self._lock = threading.Lock()
        self._subscriptions: dict[str, tuple[Subscription, ...]] = {}

    def publish(self, topic: str, message: Any) -> None:
        """Hand a message to the topic's subscribers; from any thread, never blocking."""
        with self._lock:
            self.published[topic] += 1
            subscriptions = self._subscriptions.get(topic, ())
        for subscription in subscriptions:
            subscription._offer(Message(topic, message))  # noqa: SLF001 - the hub's own half of the queue

    @asynccontextmanager
    async def subscribe(self, *topics: str) -> AsyncIterator[Subscription]:
        """Listen to topics for the length of the block."""
        subscription = Subscription(frozenset(topics), self._capacity)
        with self._lock:
            for topic in subscription.topics:
                self._subscriptions[topic] = (*self._subscriptions.get(topic, ()), subscription)
        try:
            yield subscription
        finally:
            self._leave(subscription)

    def subscribers(self, topic: str) -> int:
        """How many listen to a topic; publishers of costly messages ask first."""
        return len(self._subscriptions.get(topic, ()))

    def _leave(self, subscription: Subscription) -> None:
        with self._lock:
            for topic in subscription.topics:
                left = tuple(other for other in self._subscriptions[topic] if other is not subscription)
                if left:
                    self._subscriptions[topic] = left
                else:
                    del self._subscriptions[topic]
