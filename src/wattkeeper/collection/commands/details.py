"""Why a command came to what it came to: a code with its facts, and the English sentence of the room it comes from.

Kept as one text, so that pages say it in the language of whoever looks, years later.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from wattkeeper.links.errors import LinkLost, LinkUnavailable, NoReply
from wattkeeper.protocols.dlt645.errors import MeterRefused

Code = Literal[
    "refused", "wants_authentication", "no_reply", "garbled", "link_unavailable", "link_lost", "unreadable"
]
CODES: tuple[Code, ...] = get_args(Code)


@dataclass(frozen=True, slots=True)
class Detail:
    """One reason."""

    said: str
    """The sentence in English."""
    code: Code | None = None
    """None: it was written down before reasons had codes."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """`refused`: `err`, the ERR byte, and its `edition`; `no_reply` and `garbled`: `attempts`, `seconds`, `octets`."""

    @property
    def kept(self) -> str:
        """As the ledger keeps it."""
        kept = {"code": self.code, "said": self.said, "facts": dict(self.facts)}
        return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def read(cls, kept: str | None) -> "Detail | None":
        """As the ledger kept it; what is no such text is a sentence of before.

        >>> Detail.read("The meter said no.")
        Detail(said='The meter said no.', code=None, facts={})
        """
        if kept is None:
            return None
        if not kept.startswith('{"code":'):
            return cls(kept)
        found = json.loads(kept)
        return cls(found["said"], found["code"], found["facts"])


def detail_of(error: Exception | None) -> Detail | None:
    """What a request raised, as a reason; None for one that did not fail."""
    match error:
        case None:
            return None
        case MeterRefused():
            return Detail(str(error), "refused", {"err": error.bits, "edition": error.edition})
        case NoReply():
            facts = {"attempts": error.attempts, "seconds": round(error.waited, 1), "octets": error.octets}
            return Detail(str(error), "garbled" if error.octets else "no_reply", facts)
        case LinkUnavailable():
            return Detail(str(error), "link_unavailable")
        case LinkLost():
            return Detail(str(error), "link_lost")
        case _:
            return Detail(str(error), "unreadable")
