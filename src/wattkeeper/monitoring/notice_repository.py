"""All SQL about recipients and notices, in the caller's transaction."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.orm import Session

from wattkeeper.monitoring.models import Finding, Notice, NoticeKind, NoticeRecipient, NoticeState
from wattkeeper.monitoring.repository import cursor, has_finding, position
from wattkeeper.monitoring.values import NoticePage, NoticeView, RecipientView
from wattkeeper.registry.models import Area, Installation, MeteringPoint, Site
from wattkeeper.registry.scope import Scope


class NoticeRepository:
    """Who is told, what they were told, and the proof."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # -- recipients -------------------------------------------------------------------------------------------------

    def recipients(self) -> list[RecipientView]:
        """Everybody, by address."""
        wanted = (
            select(NoticeRecipient, Site.name, Area.name)
            .outerjoin(Site, Site.id == NoticeRecipient.site_id)
            .outerjoin(Area, Area.id == NoticeRecipient.area_id)
            .order_by(NoticeRecipient.email, NoticeRecipient.id)
        )
        return [
            RecipientView(
                id=row.id,
                email=row.email,
                language=row.language,
                minimum_severity=row.minimum_severity,
                site_id=row.site_id,
                site=site,
                area_id=row.area_id,
                area=area,
                enabled=row.enabled,
            )
            for row, site, area in self._session.execute(wanted)
        ]

    def add_recipient(self, row: NoticeRecipient) -> NoticeRecipient:
        """Keep a new recipient."""
        self._session.add(row)
        self._session.flush()
        return row

    def recipient(self, recipient_id: int) -> NoticeRecipient | None:
        """One of them."""
        return self._session.get(NoticeRecipient, recipient_id)

    def same_recipient(self, email: str, site_id: int | None, area_id: int | None) -> bool:
        """Whether an address is told of the same part of the network already."""
        wanted = select(NoticeRecipient.id).where(
            NoticeRecipient.email == email,
            NoticeRecipient.site_id.is_not_distinct_from(site_id),
            NoticeRecipient.area_id.is_not_distinct_from(area_id),
        )
        return self._session.scalar(wanted) is not None

    def remove_recipient(self, row: NoticeRecipient) -> None:
        """Tell them no more; what they were told stays."""
        self._session.delete(row)

    def findings_within(self, finding_ids: Collection[int], recipient: RecipientView) -> set[int]:
        """Those of these findings that lie in a recipient's part of the network."""
        if recipient.site_id is None and recipient.area_id is None:
            return set(finding_ids)
        scope = Scope(_one(recipient.site_id), _one(recipient.area_id))
        wanted = select(Finding.id).where(Finding.id.in_(finding_ids), has_finding(scope))
        return set(self._session.scalars(wanted))

    def zones(self, meter_ids: Collection[int]) -> dict[int, str]:
        """The time zone of the site where each of these meters hangs."""
        rows = self._session.execute(
            select(Installation.meter_id, Site.zone)
            .join(MeteringPoint, MeteringPoint.id == Installation.point_id)
            .join(Site, Site.id == MeteringPoint.site_id)
            .where(Installation.meter_id.in_(meter_ids), Installation.valid_to.is_(None))
        )
        return {row[0]: row[1] for row in rows}

    # -- notices ----------------------------------------------------------------------------------------------------

    def told_of(self, finding_ids: Collection[int]) -> dict[int, list[Notice]]:
        """The notices that told of these findings when they were raised."""
        wanted = select(Notice).where(Notice.finding_id.in_(finding_ids), Notice.kind == NoticeKind.RAISED)
        told: dict[int, list[Notice]] = {}
        for notice in self._session.scalars(wanted.order_by(Notice.id)):
            assert notice.finding_id is not None
            told.setdefault(notice.finding_id, []).append(notice)
        return told

    def queue(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep notices to be sent."""
        if rows:
            self._session.execute(insert(Notice), rows)

    def due(self, now: datetime, *, limit: int) -> list[NoticeView]:
        """The notices to be tried now, oldest first."""
        wanted = select(Notice).where(Notice.state == NoticeState.QUEUED, Notice.next_attempt_at <= now)
        rows = self._session.scalars(wanted.order_by(Notice.next_attempt_at, Notice.id).limit(limit))
        return [_view(row) for row in rows]

    def settle(self, notice_id: int, **changes: Any) -> None:
        """Write down what became of an attempt, unless somebody else has settled the notice."""
        self._session.execute(
            update(Notice)
            .where(Notice.id == notice_id, Notice.state == NoticeState.QUEUED)
            .values(**changes)
            .execution_options(synchronize_session=False)
        )

    def of_finding(self, finding_id: int) -> list[NoticeView]:
        """The notices about a finding, oldest first."""
        wanted = select(Notice).where(Notice.finding_id == finding_id).order_by(Notice.id)
        return [_view(row) for row in self._session.scalars(wanted)]

    def page(self, *, state: str = "", search: str = "", limit: int, after: str | None) -> NoticePage:
        """A page of the log, newest first."""
        wanted = select(Notice)
        if state:
            wanted = wanted.where(Notice.state == NoticeState(state))
        if search.strip():
            columns = (Notice.recipient, Notice.subject)
            wanted = wanted.where(
                or_(*(column.icontains(search.strip(), autoescape=True) for column in columns))
            )
        if after is not None:
            wanted = wanted.where(Notice.id < position(after))
        rows = self._session.scalars(wanted.order_by(Notice.id.desc()).limit(limit + 1)).all()
        views = tuple(_view(row) for row in rows[:limit])
        return NoticePage(views, cursor(views[-1].id) if len(rows) > limit else None)


def _one(key: int | None) -> frozenset[int]:
    return frozenset() if key is None else frozenset({key})


def _view(row: Notice) -> NoticeView:
    return NoticeView(
        id=row.id,
        finding_id=row.finding_id,
        kind=row.kind,
        channel=row.channel,
        recipient=row.recipient,
        language=row.language,
        subject=row.subject,
        text=row.text,
        message_id=row.message_id,
        state=row.state,
        attempts=row.attempts,
        created_at=row.created_at,
        next_attempt_at=row.next_attempt_at,
        sent_at=row.sent_at,
        proof=row.proof,
        error=row.error,
    )
