"""Pages of a list by keyset: a page goes on behind the last row seen, so it costs the same at any depth.

A row that is added meanwhile neither repeats nor hides another.
"""

import base64
import json
from typing import Any

from sqlalchemy import BigInteger, Select, tuple_, type_coerce
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import ColumnElement

from wattkeeper.registry.errors import BadValue

_AnySelect = Select[*tuple[Any, ...]]
_LARGEST = 2**63 - 1


def page(
    wanted: _AnySelect,
    key: ColumnElement[Any],
    ident: InstrumentedAttribute[int],
    *,
    descending: bool,
    after: str | None,
) -> _AnySelect:
    """The rows by `key`, then by `ident`, behind the mark `after`; the key becomes the last column.

    The key is a text or, in the database, a whole number.
    """
    text = key.type.python_type is str
    key = key if text else type_coerce(key, BigInteger)  # as the database holds it, whatever it is to us
    wanted = wanted.add_columns(key)
    if after is not None:
        here, there = tuple_(key, ident), tuple_(*_position(after, text=text))
        wanted = wanted.where(here < there if descending else here > there)
    if descending:
        return wanted.order_by(key.desc(), ident.desc())
    return wanted.order_by(key, ident)


def mark(key: str | int, ident: int) -> str:
    """Where a page ends, for the next one; `key` is the last column of its last row."""
    exact = key if isinstance(key, str) else int(key)  # PostgreSQL's sums of whole numbers are decimals
    return base64.urlsafe_b64encode(json.dumps([exact, ident]).encode()).decode()


def _position(cursor: str, *, text: bool) -> tuple[str | int, int]:
    try:
        key, ident = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if type(key) is (str if text else int) and type(ident) is int and _storable(key) and _storable(ident):
            return key, ident
    except (ValueError, TypeError, RecursionError):
        pass
    raise BadValue(
        "after", "This is not the mark of a page of this list.", hint="Start again from the first page."
    )


def _storable(part: str | int) -> bool:
    """Whether a database takes it as a parameter."""
    if isinstance(part, int):
        return abs(part) <= _LARGEST
    part.encode()  # half a surrogate pair raises a ValueError
    return "\0" not in part
