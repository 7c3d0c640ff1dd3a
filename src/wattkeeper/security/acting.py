"""Who acts: set once where a request or a command begins, read where something is written down in the audit."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum


class ActorKind(StrEnum):
    """In what shape somebody acts."""

    USER = "user"
    TOKEN = "token"  # noqa: S105 (a kind, no secret)
    LOCAL = "local"
    """The operating system's user who owns the data folder, on the command line."""
    SYSTEM = "system"
    """The server by itself."""
    ANONYMOUS = "anonymous"
    """Nobody who is signed in, as in a refused sign-in."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and from where; `user_id` is set for users and for tokens, whose owner acts through them."""

    kind: ActorKind
    name: str
    user_id: int | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who asks or decides: `user_id` where there is one, and the name that is written down."""

    name: str
    user_id: int | None

    def is_same_as(self, name: str, user_id: int | None) -> bool:
        """Whether this is the person written down so."""
        return (
            self.user_id == user_id if self.user_id is not None or user_id is not None else self.name == name
        )


SYSTEM = Actor(ActorKind.SYSTEM, "system")
_CURRENT: ContextVar[Actor] = ContextVar("actor", default=SYSTEM)


def current_actor() -> Actor:
    """Who acts here and now; the system where nobody has said."""
    return _CURRENT.get()


def current_person() -> Person:
    """Who acts here and now, to be told apart from a second one; a token acts for its owner."""
    actor = current_actor()
    return Person(name=actor.name, user_id=actor.user_id)


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Let `actor` be the one who acts for the length of the block; threads started from it inherit that."""
    token = _CURRENT.set(actor)
    try:
        yield
    finally:
        _CURRENT.reset(token)
