"""States of meters and links: who is silent, which link is down, whose clock is off. Pure, in memory.

One alarm, not two hundred: while a link is down, or nobody behind it answers, its meters are not blamed one by one. A
meter is to blame once another one on its link was heard after it fell silent; a link is, once all its meters are silent
or several fell silent one after another with nobody heard in between.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from wattkeeper.collection.values import LinkStatus, LiveReading, MeterState, Presence
from wattkeeper.monitoring.decisions import Cleared, Decision, Evidence, Facts, OpenFindings, Raised
from wattkeeper.monitoring.limits import Code, Limits
from wattkeeper.monitoring.models import SubjectKind
from wattkeeper.monitoring.values import Key

SILENT_IN_A_ROW: Final = 3
"""So many meters that fall silent while nobody is heard make the link the cause."""
METER, LINK = SubjectKind.METER, SubjectKind.LINK


@dataclass(slots=True)
class Watch:
    """What is known of every meter and link right now."""

    limits: Limits
    meters: dict[int, MeterState] = field(default_factory=dict)
    links: dict[int, LinkStatus] = field(default_factory=dict)
    heard: dict[int, datetime] = field(default_factory=dict)
    """When a value last came in, by link."""
    silent: set[int] = field(default_factory=set)
    clock_off: set[int] = field(default_factory=set)

    def survey(self, states: Iterable[MeterState], statuses: Iterable[LinkStatus]) -> None:
        """The states of all meters and links, in place of what was known."""
        for known in (self.meters, self.links, self.silent, self.clock_off):
            known.clear()
        self.take_meters(states)
        self.take_links(statuses)

    def take_meters(self, states: Iterable[MeterState]) -> None:
        """Newer states of meters."""
        for state in states:
            self.meters[state.meter_id] = state
            _put(self.silent, state.meter_id, inside=state.presence is Presence.SILENT)
            _put(self.clock_off, state.meter_id, inside=self._clock_is_off(state))

    def take_links(self, statuses: Iterable[LinkStatus]) -> None:
        """Newer states of links."""
        self.links.update((status.link_id, status) for status in statuses)

    def hear(self, readings: Iterable[LiveReading], facts: Facts, now: datetime) -> None:
        """Values have come in."""
        for meter_id in {reading.meter_id for reading in readings}:
            if (meter := facts.meters.get(meter_id)) is not None:
                self.heard[meter.link_id] = now

    def decide(self, facts: Facts, open_: OpenFindings, now: datetime) -> Iterator[Decision]:
        """What changes now."""
        gone = {key for key in open_ if not facts.is_read(key)}
        for key in gone:
            yield Cleared(key, "not_read" if (key.kind, key.subject_id) in facts.idle else "removed")
        for key in open_.keys() - gone:
            if (reason := self._is_over(key, open_, now)) is not None:
                yield Cleared(key, *reason)
        yield from self._links(facts, open_, now)
        yield from self._silent(facts, open_)
        for meter_id in self.clock_off & facts.meters.keys():
            if (key := Key(Code.CLOCK_OFF, METER, meter_id)) not in open_:
                yield Raised(key, self._clock(self.meters[meter_id]))

    # -- over -------------------------------------------------------------------------------------------------------

    def _is_over(self, key: Key, open_: OpenFindings, now: datetime) -> tuple[str, Evidence] | None:
        match key.code:
            case Code.METER_SILENT:
                return self._answers(self.meters.get(key.subject_id), now)
            case Code.CLOCK_OFF:
                return self._is_set(self.meters.get(key.subject_id), open_[key].raised_at)
            case Code.LINK_DOWN:
                return self._is_up(self.links.get(key.subject_id), now)
            case Code.LINK_SILENT:
                return self._is_heard(key.subject_id, open_[key].raised_at)
        return None

    def _answers(self, state: MeterState | None, now: datetime) -> tuple[str, Evidence] | None:
        """Unknown presence, as after a start, says nothing."""
        if state is None or state.presence is not Presence.ANSWERING or not self._steady(state.since, now):
            return None
        return "answers", {"answered_at": _text(state.last_success_at)}

    def _is_up(self, status: LinkStatus | None, now: datetime) -> tuple[str, Evidence] | None:
        if status is None or not status.connected or not self._steady(status.since, now):
            return None
        return "connected", {"connected_at": _text(status.since)}

    def _is_heard(self, link_id: int, raised_at: datetime) -> tuple[str, Evidence] | None:
        if self._is_down(self.links.get(link_id)):
            return "link_down", {}
        heard = self.heard.get(link_id)
        return None if heard is None or heard <= raised_at else ("answers", {"answered_at": _text(heard)})

    def _is_set(self, state: MeterState | None, raised_at: datetime) -> tuple[str, Evidence] | None:
        if state is None or state.clock_read_at is None or state.clock_read_at < raised_at:
            return None
        return None if self._clock_is_off(state) else ("within", {"cleared_by": self._clock(state)})

    # -- begins -----------------------------------------------------------------------------------------------------

    def _links(self, facts: Facts, open_: OpenFindings, now: datetime) -> Iterator[Decision]:
        for link_id, status in self.links.items():
            key = Key(Code.LINK_DOWN, LINK, link_id)
            down = self._is_down(status) and self._steady(status.since, now)
            if down and link_id in facts.links and key not in open_:
                yield Raised(
                    key,
                    {
                        "error": status.error,
                        "url": status.url,
                        "since": _text(status.since),
                        "meters": len(facts.links[link_id]),
                    },
                )

    def _silent(self, facts: Facts, open_: OpenFindings) -> Iterator[Decision]:
        by_link: dict[int, list[MeterState]] = defaultdict(list)
        for meter_id in self.silent:
            if (meter := facts.meters.get(meter_id)) is not None:
                by_link[meter.link_id].append(self.meters[meter_id])
        for link_id, states in by_link.items():
            if self._is_down(self.links.get(link_id)):
                continue
            yield from self._silent_on(link_id, states, len(facts.links.get(link_id, ())), open_)

    def _silent_on(
        self, link_id: int, states: list[MeterState], meters: int, open_: OpenFindings
    ) -> Iterator[Decision]:
        heard = self.heard.get(link_id)
        since = [state for state in states if heard is None or state.since is None or state.since >= heard]
        link = Key(Code.LINK_SILENT, LINK, link_id)
        if link in open_:
            return
        if meters > 1 and len(since) >= min(SILENT_IN_A_ROW, meters):
            yield Raised(
                link,
                {
                    "silent": len(states),
                    "meters": meters,
                    "heard_at": _text(heard),
                    "error": states[-1].last_failure,
                },
            )
            return
        for state in states:
            key = Key(Code.METER_SILENT, METER, state.meter_id)
            if key not in open_ and (meters == 1 or state not in since):
                yield Raised(key, _silence(state))

    # -- what states say --------------------------------------------------------------------------------------------

    @staticmethod
    def _is_down(status: LinkStatus | None) -> bool:
        return status is not None and not status.connected and status.error is not None

    def _steady(self, since: datetime | None, now: datetime) -> bool:
        return since is None or now - since >= self.limits.steady

    def _clock_is_off(self, state: MeterState) -> bool:
        return state.clock_deviation is not None and abs(state.clock_deviation) > self.limits.clock_off

    def _clock(self, state: MeterState) -> Evidence:
        assert state.clock_deviation is not None
        return {
            "deviation_s": round(state.clock_deviation.total_seconds()),
            "limit_s": round(self.limits.clock_off.total_seconds()),
            "read_at": _text(state.clock_read_at),
        }


def _silence(state: MeterState) -> Evidence:
    return {
        "failures": state.failures_in_a_row,
        "since": _text(state.since),
        "answered_at": _text(state.last_success_at),
        "error": state.last_failure,
    }


def _put(members: set[int], key: int, *, inside: bool) -> None:
    if inside:
        members.add(key)
    else:
        members.discard(key)


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
