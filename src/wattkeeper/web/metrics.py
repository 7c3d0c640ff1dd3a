"""Metrics for Prometheus: what the process counts in memory, asked for with a token that may see it.

Nothing is looked up in a store: a scrape costs milliseconds on the largest fleet. Labels are bounded: a link's code and
a protocol's name, and where there are very many links, the busiest have a label of their own.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from starlette.responses import Response

from wattkeeper.collection.counts import ANSWER_BOUNDS_MS, Failure, Totals
from wattkeeper.collection.values import LinkStatus
from wattkeeper.kernel.loop_delay import BOUNDS, LoopDelay
from wattkeeper.readings.transmission.values import ForwardStatus
from wattkeeper.security.rights import Right
from wattkeeper.web.access import needs
from wattkeeper.web.services import CollectorLike, Services

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.METRICS_VIEW)])
MOST_LINKS: Final = 1_000
"""Links with a label of their own."""
OTHERS: Final = "(others)"
"""The label of the rest; no link has such a code."""
_OF_READS: Final = ("link", "protocol")


class Metrics:
    """Everything that is told, made at each scrape from what is counted anyway."""

    def __init__(self, services: Services, loop_delay: LoopDelay) -> None:
        self._services = services
        self._loop_delay = loop_delay
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: the names are in `collect`."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every metric of ours."""
        services = self._services
        yield InfoMetricFamily("wattkeeper", "The version that runs.", value={"version": services.version})
        yield _loop_delays(self._loop_delay)
        published = CounterMetricFamily(
            "wattkeeper_news", "Messages published inside the process, by topic.", labels=["topic"]
        )
        for topic, count in sorted(services.hub.published.copy().items()):
            published.add_metric([topic], count)
        yield published
        if services.collector is not None:
            yield from _collection(services.collector)
        if services.forwarder is not None:
            yield from _forwarding(services.forwarder.status(), services.clock())


def _loop_delays(measured: LoopDelay) -> Metric:
    delays = HistogramMetricFamily(
        "wattkeeper_event_loop_delay_seconds", "How late the event loop woke a sleeper, 20 times a second."
    )
    delays.add_metric([], _classes(BOUNDS, measured.delays), measured.total)
    return delays


def _collection(collector: CollectorLike) -> Iterator[Metric]:
    links = collector.link_states()
    yield from _links(links)
    yield from _reads(links, collector.totals())
    meters = GaugeMetricFamily(
        "wattkeeper_meters", "Meters that are read, by whether they answer.", labels=["presence"]
    )
    for presence, count in sorted(Counter(map(str, collector.presences().values())).items()):
        meters.add_metric([presence], count)
    yield meters
    yield GaugeMetricFamily(
        "wattkeeper_readings_waiting",
        "Readings in memory that are not committed yet.",
        value=collector.readings_waiting,
    )


def _forwarding(status: ForwardStatus, now: datetime) -> Iterator[Metric]:
    waited = 0.0 if status.oldest_at is None else max(0.0, (now - status.oldest_at).total_seconds())
    for name, meaning, value in (
        ("outbox_batches", "Batches that the platform has not acknowledged.", status.batches),
        ("outbox_rows", "Readings, and exchanges where frames travel, in them.", status.rows),
        ("outbox_bytes", "What they take on the disk.", status.bytes),
        ("outbox_oldest_seconds", "How long the oldest of them has waited.", waited),
        (
            "forward_trouble",
            "Whether nothing can be sent at the moment: 1 or 0.",
            int(status.error is not None),
        ),
        ("forward_unknown_meters", "Meters that the platform does not know.", len(status.unknown)),
    ):
        yield GaugeMetricFamily(f"wattkeeper_{name}", meaning, value=value)
    yield CounterMetricFamily("wattkeeper_forwarded_rows", "Rows acknowledged.", value=status.sent)
    yield CounterMetricFamily(
        "wattkeeper_forwarded_bytes", "What they took on the way.", value=status.sent_bytes
    )


def _links(links: Sequence[LinkStatus]) -> Iterator[Metric]:
    connected = GaugeMetricFamily(
        "wattkeeper_link_connected", "Whether a link is open: 1 or 0.", labels=["link"]
    )
    waiting = GaugeMetricFamily(
        "wattkeeper_link_waiting",
        "What waits for a link: commands, live reads, meters whose due read is not done, meters with gaps to fill.",
        labels=["link", "queue"],
    )
    for link in links[:MOST_LINKS]:
        connected.add_metric([link.code], int(link.connected))
    queues: dict[str, Counter[str]] = {}
    for place, link in enumerate(links):
        counts = queues.setdefault(link.code if place < MOST_LINKS else OTHERS, Counter())
        counts["commands"] += link.waiting_commands
        counts["live"] += link.waiting_live
        counts["due"] += link.waiting_due
        counts["backfill"] += link.backfilling
    for code, counts in queues.items():
        for queue, count in counts.items():
            waiting.add_metric([code, queue], count)
    yield connected
    yield waiting


def _reads(links: Sequence[LinkStatus], totals: Mapping[tuple[int, str], Totals]) -> Iterator[Metric]:
    reads = CounterMetricFamily(
        "wattkeeper_reads", "Reads that ended, by how.", labels=[*_OF_READS, "outcome"]
    )
    first = CounterMetricFamily(
        "wattkeeper_reads_first_time", "Reads that succeeded at their first attempt.", labels=_OF_READS
    )
    requests = CounterMetricFamily(
        "wattkeeper_requests", "Requests put on the wire, repetitions included.", labels=_OF_READS
    )
    strays = CounterMetricFamily(
        "wattkeeper_strays",
        "Frames heard from another meter, or about something else than what was asked.",
        labels=_OF_READS,
    )
    answers = HistogramMetricFamily(
        "wattkeeper_answer_seconds",
        "From request to answer of the reads that succeeded, repetitions included.",
        labels=_OF_READS,
    )
    for labels, total in _labelled(links, totals).items():
        reads.add_metric([*labels, "succeeded"], total.counts["succeeded"])
        for failure in Failure:
            reads.add_metric([*labels, failure.value], total.counts[failure.value])
        first.add_metric(labels, total.counts["first_time"])
        requests.add_metric(labels, total.counts["attempts"])
        strays.add_metric(labels, total.counts["strays"])
        bounds = [bound / 1000 for bound in ANSWER_BOUNDS_MS]
        answers.add_metric(labels, _classes(bounds, total.answers), total.counts["answer_ms"] / 1000)
    yield from (reads, first, requests, strays, answers)


def _labelled(
    links: Sequence[LinkStatus], totals: Mapping[tuple[int, str], Totals]
) -> dict[tuple[str, str], Totals]:
    """By the link's code and the protocol; links that are gone, or beyond the bound, are added up."""
    codes = {link.link_id: link.code for link in links[:MOST_LINKS]}
    found: dict[tuple[str, str], Totals] = {}
    for (link_id, protocol), total in list(totals.items()):  # it grows on the event loop meanwhile
        if link_id in codes:
            found[codes[link_id], protocol] = total
            continue
        others = found.setdefault((OTHERS, protocol), Totals())
        others.counts.update(total.counts)
        others.answers = [ours + more for ours, more in zip(others.answers, total.answers, strict=True)]
    return found


def _classes(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Prometheus counts in each class what is in the ones below as well."""
    found: list[tuple[str, float]] = []
    below = 0
    for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
        below += count
        found.append((bound, below))
    return found


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """What is counted, in the text format that the asker prefers: Prometheus' own or OpenMetrics."""
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    shown: Metrics = request.app.state.metrics
    return Response(encode(shown.registry), media_type=media_type)
