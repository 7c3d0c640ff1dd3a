"""The trace of a value: an interval to its registers, a reading to its frame, an edit to who made it and why."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from tests.integration.web.conftest import SILENT, TRANSFORMED, Town, add_user, signed_in

from wattkeeper.readings.editing.values import INTERVAL_EDIT_SCHEMA
from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import exchange_meter
from wattkeeper.security.acting import Actor, ActorKind, acting
from wattkeeper.security.rights import Role
from wattkeeper.web.application import create_application

FACTORY, HOME = "000000000123", "000000000100"
ENERGY = "active_energy_import"
NINE = datetime(2026, 11, 22, 1, tzinfo=UTC)
"""09:00 in Shanghai."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A town of its own: here a gap is closed and a meter exchanged."""
    town = Town(tmp_path_factory.mktemp("traces"))
    yield town
    town.close()


@pytest.fixture(scope="module")
def chief(place):
    return signed_in(create_application(place.services()), add_user(place, "chief", Role.ADMINISTRATOR))


def words(page: str) -> str:
    """The text of a page in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("<main", 1)[1]))


def register(place, address, at):
    period = place.store.readings(meter_ids=[place.meters[address]], quantities=[ENERGY])
    return next(row["value"] for row in period.to_pylist() if row["read_at"] == at)


def read(place, address, at, value, source="meter"):
    row = {"meter_id": place.meters[address], "quantity": ENERGY, "read_at": at, "value": value, "status": 0, "source": source, "exchange_id": None}  # fmt: skip
    place.store.append_readings(pa.Table.from_pylist([row], READING_SCHEMA), place.now)
    place.intervals.derive_pending(place.now)


def test_a_measured_interval_is_the_difference_of_two_registers_times_the_ratio(place, chief):
    first, last = (register(place, FACTORY, at) for at in (NINE, NINE + timedelta(minutes=15)))
    page = chief.get(f"/points/{place.points[FACTORY]}/intervals/2026-11-22T01:00:00Z").text
    told = words(page)
    energy = (last - first) * TRANSFORMED
    assert f"{energy:.4f} kWh" in told
    assert f"( {last.normalize():,} − {first.normalize():,} ) × {TRANSFORMED} = {energy:.4f} kWh" in told
    assert f'href="/readings/{place.meters[FACTORY]}/{ENERGY}/2026-11-22T01:00:00Z"' in page
    assert "6 digits: the register starts again from zero at 1,000,000" in told


def test_an_estimate_names_the_two_readings_it_lies_between_and_what_they_counted(place, chief):
    known = place.store.latest([place.meters[SILENT]], [ENERGY]).to_pylist()[0]
    later = known["read_at"] + timedelta(hours=3)
    read(place, SILENT, later, known["value"] + Decimal("1.44"))
    between = (known["read_at"] + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    page = chief.get(f"/points/{place.points[SILENT]}/intervals/{between}").text
    assert "the register counted 1.4400 kWh" in words(page)
    for at in (known["read_at"], later):
        assert f"/readings/{place.meters[SILENT]}/{ENERGY}/{at.isoformat().replace('+00:00', 'Z')}" in page


def test_a_missing_interval_says_so_and_what_can_be_done(place, chief):
    page = words(chief.get(f"/points/{place.points[SILENT]}/intervals/2026-11-22T08:30:00Z").text)
    assert "missing" in page
    assert "the last reading before it is" in page
    assert "It never had a value." in page


def test_an_interval_in_which_the_meter_was_exchanged_has_two_parts_each_with_its_ratio(place, chief):
    address = "000000000101"
    at = datetime(2026, 11, 20, 6, 7, tzinfo=UTC)
    with place.database.write() as session:
        registry = Registry(session)
        new = registry.add_meter(address="000000000999", link_id=place.links["north"])
        place.meters["000000000999"] = new.id
        last = register(place, address, datetime(2026, 11, 20, 6, tzinfo=UTC)) + Decimal("0.02")
        exchange_meter(
            session, point_id=place.points[address], new_meter_id=new.id, at=at,
            last_register=last, first_register=Decimal(5), ct_ratio=Decimal(10),
        )  # fmt: skip
    read(place, "000000000999", at + timedelta(minutes=8), Decimal("5.01"))
    page = words(chief.get(f"/points/{place.points[address]}/intervals/2026-11-20T06:00:00Z").text)
    assert "Part 1" in page
    assert "ratio × 1" in page
    assert "Part 2" in page
    assert "ratio × 10" in page
    assert "( 5.01 − 5 ) × 10 = 0.1000 kWh" in page
    assert "the meter was exchanged inside" in page


def test_a_reading_leads_to_its_frame_octet_by_octet_and_from_one_to_the_next(place, chief):
    meter = place.meters[HOME]
    led = chief.get(f"/readings/{meter}/{ENERGY}/latest", follow_redirects=False)
    assert led.headers["location"] == f"/readings/{meter}/{ENERGY}/2026-11-22T09:36:45Z"
    page = chief.get(led.headers["location"]).text
    assert f"/exchanges/{place.exchanges[meter]}" in page
    assert "read and stamped by us" in page
    assert 'class="octets"' in page
    assert f"/readings/{meter}/{ENERGY}/2026-11-22T09:30:00Z" in page
    beside = chief.get(f"/readings/{meter}/{ENERGY}/2026-11-22T09:30:20Z", follow_redirects=False)
    assert beside.headers["location"] == f"/readings/{meter}/{ENERGY}/2026-11-22T09:30:00Z"
    for wrong in (f"/readings/{meter}/{ENERGY}/2026-11-22T09:31:00Z", f"/readings/{meter}/voltage_l3/latest"):
        assert chief.get(wrong).status_code == 404
    assert chief.get(f"/readings/{meter}/no_such/latest").status_code == 404
    assert chief.get(f"/readings/{meter}/{ENERGY}/2026-11-22T09:30:00").status_code == 400


def test_a_stamp_of_a_clock_that_was_off_counts_at_the_true_time_and_leads_to_the_reading_as_it_is_kept(
    place, chief
):
    address, at = "000000000105", datetime(2026, 11, 10, 2, tzinfo=UTC)
    fast = at + timedelta(minutes=7)
    row = {"meter_id": place.meters[address], "quantity": "clock", "read_at": at, "value": Decimal(int(fast.timestamp())), "status": 0, "source": "polled", "exchange_id": None}  # fmt: skip
    place.store.append_readings(pa.Table.from_pylist([row], READING_SCHEMA), place.now)
    place.intervals.derive_pending(place.now)
    page = chief.get(f"/points/{place.points[address]}/intervals/2026-11-10T03:00:00Z").text
    assert f"/readings/{place.meters[address]}/{ENERGY}/2026-11-10T03:00:00Z" in page
    assert "stamped 11:00:00 by a clock that was off" in words(page)
    assert "10 Nov 2026, 10:53:00" in words(page)


def test_an_edited_value_says_who_changed_it_when_and_why_and_what_it_was(place, chief):
    point = place.points[FACTORY]
    rows = [{"point_id": point, "quantity": ENERGY, "start_at": NINE, "energy": Decimal("12.5")}]
    wanted = pa.Table.from_pylist(rows, INTERVAL_EDIT_SCHEMA)
    with acting(Actor(ActorKind.USER, "li.na", user_id=901)):
        edit = place.editing.propose_intervals(wanted, "Clamp test of 22 November", now=place.now)
    with acting(Actor(ActorKind.USER, "wang.fang", user_id=902)):
        place.editing.approve(edit.id, now=place.now)
    page = chief.get(f"/points/{point}/intervals/2026-11-22T01:00:00Z").text
    told = words(page)
    assert "12.5000 kWh" in told
    assert "entered by a person" in told
    assert "li.na Clamp test of 22 November" in told
    assert f'href="/edits/{edit.id}"' in page
    assert "the difference of two readings" in told  # the version before


def test_no_trace_leads_out_of_the_area_somebody_may_see(place):
    with place.database.read() as session:
        homes = Registry(session).area_by_code(1, "A1").id
    limited = signed_in(
        create_application(place.services()),
        add_user(place, "tracer", Role.OPERATOR, areas=frozenset({homes})),
    )
    for path in (
        f"/points/{place.points[FACTORY]}/intervals/2026-11-22T01:00:00Z",
        f"/readings/{place.meters[FACTORY]}/{ENERGY}/2026-11-22T01:00:00Z",
        f"/readings/{place.meters[FACTORY]}/{ENERGY}/latest",
    ):
        assert limited.get(path).status_code == 404, path
    assert limited.get(f"/points/{place.points[HOME]}/intervals/2026-11-22T01:00:00Z").status_code == 200
