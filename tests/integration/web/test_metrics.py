"""What a Prometheus that has a token is told, in its own format, and that nobody else is."""

import asyncio
import dataclasses
import re
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from tests.integration.web.conftest import NOW, Town, add_user, session_of

from wattkeeper.collection.counts import ANSWER_BOUNDS_MS, Failure, ReadStatistics, Totals
from wattkeeper.kernel.loop_delay import LoopDelay
from wattkeeper.readings.transmission.identities import MeterIdentity
from wattkeeper.readings.transmission.values import ForwardStatus
from wattkeeper.security.rights import Right, Role
from wattkeeper.web import metrics
from wattkeeper.web.application import create_application

DLT = "dlt645-2007"


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    """A town of which three reads are counted: on north, and on a link that is gone."""
    town = Town(tmp_path_factory.mktemp("counting"))
    statistics = ReadStatistics()
    north = {"link_id": town.links["north"], "meter_id": 1, "protocol": DLT}
    statistics.count(NOW, **north, attempts=1, took=timedelta(milliseconds=84))
    statistics.count(NOW, **north, attempts=2, took=timedelta(milliseconds=1084), strays=1)
    statistics.count(NOW, **north, attempts=3, failure=Failure.NO_REPLY)
    for gone in (901, 902):
        statistics.count(
            NOW, link_id=gone, meter_id=2, protocol="modbus-tcp", attempts=1, took=timedelta(seconds=40)
        )
    town.collector.counted = statistics.totals
    yield town
    town.close()


@pytest.fixture(scope="module")
def scrape(counting):
    """Prometheus with a token that may see metrics and nothing else."""
    add_user(counting, "watcher", Role.OPERATOR)
    owner = counting.security.sign_in.principal(session_of(counting, "watcher"), now=NOW)
    _, secret = counting.security.tokens.create(
        owner, name="prometheus", rights={Right.METRICS_VIEW}, expires_at=NOW + timedelta(days=9), now=NOW
    )
    with TestClient(create_application(counting.services())) as client:
        client.headers["authorization"] = f"Bearer {secret}"
        yield client


def samples(answer) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels, in the order of their names."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_reads_are_told_by_link_protocol_and_outcome(scrape):
    found = samples(scrape.get("/metrics"))
    assert {
        key[1:]: value for key, value in found.items() if key[0] == "wattkeeper_reads_total" and value
    } == {
        ("north", "succeeded", DLT): 2,
        ("north", "no_reply", DLT): 1,
        ("(others)", "succeeded", "modbus-tcp"): 2,
    }
    assert found["wattkeeper_reads_first_time_total", "north", DLT] == 1
    assert found["wattkeeper_requests_total", "north", DLT] == 6
    assert found["wattkeeper_strays_total", "north", DLT] == 1


def test_answer_times_are_a_histogram_that_adds_up(scrape):
    found = samples(scrape.get("/metrics"))
    classes = {
        key[1]: value
        for key, value in found.items()
        if (key[0], *key[2:]) == ("wattkeeper_answer_seconds_bucket", "north", DLT)
    }
    assert classes["0.05"] == 0
    assert classes["0.1"] == classes["1.0"] == 1
    assert classes["2.0"] == classes["+Inf"] == 2
    assert len(classes) == len(ANSWER_BOUNDS_MS) + 1
    assert found["wattkeeper_answer_seconds_sum", "north", DLT] == pytest.approx(1.168)
    assert found["wattkeeper_answer_seconds_bucket", "30.0", "(others)", "modbus-tcp"] == 0
    assert found["wattkeeper_answer_seconds_count", "(others)", "modbus-tcp"] == 2


def test_links_queues_meters_and_the_writer_are_told(scrape):
    found = samples(scrape.get("/metrics"))
    assert (found["wattkeeper_link_connected", "north"], found["wattkeeper_link_connected", "works"]) == (
        1,
        0,
    )
    assert found["wattkeeper_link_waiting", "north", "due"] == 2
    assert found["wattkeeper_link_waiting", "north", "commands"] == 0
    assert found["wattkeeper_meters", "silent"] == 1
    assert found["wattkeeper_meters", "answering"] == 23
    assert found["wattkeeper_readings_waiting",] == 17
    assert found["process_resident_memory_bytes",] > 1e6


def test_openmetrics_is_told_to_whoever_prefers_it(scrape):
    answer = scrape.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_without_collection_there_is_still_the_process(counting):
    application = create_application(counting.services(collecting=False))
    shown = {family.name for family in application.state.metrics.collect()}
    assert shown == {"wattkeeper", "wattkeeper_event_loop_delay_seconds", "wattkeeper_news"}


class Forwarding:
    """A collector that has trouble with its platform."""

    def status(self) -> ForwardStatus:
        return ForwardStatus(
            url="https://meters.example.org", collector="9f86d081884c7d65", batches=3, rows=1200, bytes=4800,
            oldest_at=NOW - timedelta(minutes=5), sent=90, sent_bytes=270, acknowledged_at=None, error="It is away.",
            unknown=(MeterIdentity(DLT, "north", "000000000101"),),
        )  # fmt: skip


def test_a_remote_collector_tells_how_it_gets_on(counting):
    services = dataclasses.replace(counting.services(collecting=False), forwarder=Forwarding())
    shown = create_application(services).state.metrics.collect()
    found = {sample.name: sample.value for family in shown for sample in family.samples}
    assert {name: value for name, value in found.items() if "outbox" in name or "forward" in name} == {
        "wattkeeper_outbox_batches": 3,
        "wattkeeper_outbox_rows": 1200,
        "wattkeeper_outbox_bytes": 4800,
        "wattkeeper_outbox_oldest_seconds": 300,
        "wattkeeper_forward_trouble": 1,
        "wattkeeper_forward_unknown_meters": 1,
        "wattkeeper_forwarded_rows_total": 90,
        "wattkeeper_forwarded_bytes_total": 270,
    }


def test_only_the_right_opens_it(counting, scrape):
    assert scrape.get("/api/v1/meters").status_code == 403
    stranger = TestClient(scrape.app, follow_redirects=False)
    assert stranger.get("/metrics").status_code == 303
    assert stranger.get("/metrics", headers={"authorization": "Bearer wk_wrong"}).status_code == 401


def test_links_beyond_the_bound_share_a_label(counting, monkeypatch):
    monkeypatch.setattr(metrics, "MOST_LINKS", 1)
    north, south = (counting.links[code] for code in ("north", "south"))
    totals = {(link, DLT): Totals(Counter(reads=reads)) for link, reads in ((north, 3), (south, 4), (999, 5))}
    found = metrics._labelled(counting.collector.link_states(), totals)
    assert {labels: total.counts["reads"] for labels, total in found.items()} == {
        ("north", DLT): 3,
        ("(others)", DLT): 9,
    }
    assert totals[south, DLT].counts["reads"] == 4


async def test_the_delay_of_the_loop_is_seen_by_whoever_blocks_it():
    measured = LoopDelay()
    watching = asyncio.create_task(measured.watch())
    await asyncio.sleep(0.12)
    import time

    time.sleep(0.3)  # noqa: ASYNC251 (what must not be done, done on purpose)
    await asyncio.sleep(0.06)
    watching.cancel()
    assert sum(measured.delays[:8]) >= 1
    assert sum(measured.delays[8:]) == 1
    assert 0.25 <= measured.total < 1.0


def test_every_metric_is_in_the_reference_and_no_other(counting):
    text = (Path(__file__).parents[3] / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    services = dataclasses.replace(counting.services(), forwarder=Forwarding())
    families = create_application(services).state.metrics.collect()
    ending = {"counter": "_total", "info": "_info"}
    told = {family.name + ending.get(family.type, "") for family in families}
    assert set(re.findall(r"^\| `(wattkeeper\w+)`", text, re.MULTILINE)) == told
