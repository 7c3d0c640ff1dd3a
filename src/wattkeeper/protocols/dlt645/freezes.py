"""Whole freezes (05xxFFnn): all items of one freeze in one reply, each closed by AA."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wattkeeper.protocols.dlt645.errors import BodyError, RequestError
from wattkeeper.protocols.dlt645.identifiers import lookup
from wattkeeper.protocols.dlt645.layouts import Layout, Value, layout_of

__all__ = ["decode_freeze", "encode_freeze", "is_whole_freeze"]

_SEPARATOR = b"\xaa"
_ITEMS = (*range(11), 0x10)  # DI1: time, energies, demands, variables


def is_whole_freeze(di: str) -> bool:
    """Whether `di` asks for all items of a freeze."""
    return di.startswith("05") and di[4:6] == "FF" and lookup(di) is not None


def _layouts(di: str) -> Iterator[Layout]:
    """The items that this kind of freeze may hold: an hourly one has a time and two energies."""
    for item in _ITEMS:
        found = layout_of(f"{di[:4]}{item:02X}{di[6:]}")
        if found is not None:
            yield found


def decode_freeze(di: str, body: bytes) -> tuple[Value, ...]:
    """The values of all items, under the items' own identifiers; an item the meter does not freeze is only AA."""
    values: list[Value] = []
    at = 0
    for layout in _layouts(di):
        if at == len(body):
            break
        size = next((size for size in (0, *layout.counts) if _ends(body, at + size)), None)
        if size is None:
            raise BodyError(di, f"item {layout.identifier} is not closed by AA", body=body)
        if size:
            values += layout.decode(body[at : at + size])
        at += size + 1
    if at < len(body):
        raise BodyError(di, f"{len(body) - at} bytes are left behind its last item", body=body)
    return tuple(values)


def _ends(body: bytes, at: int) -> bool:
    return body[at : at + 1] == _SEPARATOR or at == len(body)


def encode_freeze(di: str, values: Iterable[Value]) -> bytes:
    """The inverse of `decode_freeze`."""
    items: dict[str, list[Value]] = {}
    for value in values:
        items.setdefault(value.identifier, []).append(value)
    body = b""
    for layout in _layouts(di):
        found = items.pop(layout.identifier, [])
        if found:
            body += layout.encode([(value.value, value.occurred_at) for value in found])
        body += _SEPARATOR
    if items:
        raise RequestError(f"{di} holds no {', '.join(items)}.")
    return body
