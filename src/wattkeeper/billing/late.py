"""Late and corrected readings reach what was billed: a bill is never changed, but it is on record that its ground was.

The change feed says which intervals came out otherwise. Of the standing bills of their points, those were touched whose
period has an interval recorded after the bill was issued: what was known by then, the bill rests on already.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
from sqlalchemy import Select, case, select
from sqlalchemy.orm import Session

from wattkeeper.billing.lists import standing_bill
from wattkeeper.billing.models import Bill, BillTouched
from wattkeeper.kernel.database import Database, in_parts
from wattkeeper.kernel.feed import ChangeFeed, Event
from wattkeeper.readings.schemas import KNOWN_AT_SCHEMA
from wattkeeper.readings.service import TOPIC
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.models import AccountPoint

_CONSUMER: Final = "billing"
_EVENTS_AT_ONCE: Final = 1000


class LateReadings:
    """Follows the change feed; every step may be repeated."""

    def __init__(self, database: Database, store: ReadingsStore) -> None:
        self._database = database
        self._store = store
        self._feed = ChangeFeed()

    def hear(self, now: datetime) -> int:
        """Note which bills were touched by what changed since the last time; returns how many."""
        touched = 0
        while True:
            with self._database.read() as session:
                events = self._feed.read(session, _CONSUMER, [TOPIC], _EVENTS_AT_ONCE)
                head = self._feed.head(session)
                candidates = _standing_bills(session, events)
            found = self._store.changed_after(candidates).to_pylist() if candidates.num_rows else []
            reached = events[-1].sequence if events else head
            with self._database.write() as session:
                touched += len(found)
                _note(session, found, now)
                if reached > self._feed.cursor(session, _CONSUMER):
                    self._feed.advance(session, _CONSUMER, reached)
            if len(events) < _EVENTS_AT_ONCE:
                return touched


def _standing_bills(session: Session, events: Sequence[Event]) -> pa.Table:
    """The standing bills of what changed (KNOWN_AT_SCHEMA), each with its part of the changed period."""
    changes: defaultdict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    for event in events:
        start, end = (datetime.fromisoformat(event.payload[name]) for name in ("start", "end"))
        changes[event.payload["point_id"]].append((start, end))
    rows = []
    for points in in_parts(sorted(changes)):
        spans = [span for point in points for span in changes[point]]
        billed = _billed(points, min(start for start, _ in spans), max(end for _, end in spans))
        for bill_id, point_id, first, last, issued_at in session.execute(billed):
            for start, end in changes[point_id]:
                if max(first, start) < min(last, end):
                    rows.append((bill_id, point_id, max(first, start), min(last, end), issued_at))
    columns = zip(*rows, strict=True) if rows else ((),) * len(KNOWN_AT_SCHEMA)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, KNOWN_AT_SCHEMA, strict=True)]
    return pa.table(arrays, schema=KNOWN_AT_SCHEMA)


def _billed(point_ids: Sequence[int], start: datetime, end: datetime) -> Select[Any]:
    """The standing bills of some points that reach into a period: id, point, the part it paid for, and when it was made."""
    begun = case(
        (AccountPoint.valid_from > Bill.period_start, AccountPoint.valid_from), else_=Bill.period_start
    )
    ended = case((AccountPoint.valid_to < Bill.period_end, AccountPoint.valid_to), else_=Bill.period_end)
    return (
        select(Bill.id, AccountPoint.point_id, begun, ended, Bill.issued_at)
        .join(AccountPoint, AccountPoint.account_id == Bill.account_id)
        .where(
            AccountPoint.point_id.in_(point_ids),
            Bill.period_start < end,
            Bill.period_end > start,
            *standing_bill(),
        )
    )


def _note(session: Session, found: list[dict[str, Any]], now: datetime) -> None:
    for row in found:
        known = session.get(BillTouched, row["id"])
        if known is None:
            session.add(
                BillTouched(bill_id=row["id"], start_at=row["start_at"], end_at=row["end_at"], heard_at=now)
            )
        else:
            known.start_at = min(known.start_at, row["start_at"])
            known.end_at = max(known.end_at, row["end_at"])
            known.heard_at = now
    session.flush()
