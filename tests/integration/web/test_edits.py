"""Edits on the console: proposed from a form, agreed or refused by another person, undone by two; exceptions follow."""

import csv
import io
import itertools
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from tests.integration.web.conftest import SILENT, ZONE, Town, add_user, finding, signed_in

from wattkeeper.kernel.severity import Severity
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.validation.models import FindingState
from wattkeeper.registry.repository import Registry
from wattkeeper.security.rights import Role
from wattkeeper.web.application import create_application

HOME = "000000000100"
ENERGY = "active_energy_import"
LAST = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def town_of_its_own(tmp_path_factory):
    town = Town(tmp_path_factory.mktemp("edits"))
    app = create_application(town.services())
    town.li, town.wang = (signed_in(app, add_user(town, name, Role.OPERATOR)) for name in ("li", "wang"))
    town.ana = signed_in(app, add_user(town, "ana", Role.ANALYST))
    with town.database.read() as session:
        homes = Registry(session).area_by_code(1, "A1").id
    town.limited = signed_in(app, add_user(town, "limited", Role.OPERATOR, areas=frozenset({homes})))
    town.hours = itertools.count()
    yield town
    town.close()


@pytest.fixture
def place(town_of_its_own):
    """The town, and an hour that no other test edits: it ends an hour before that of the test before."""
    town_of_its_own.at = LAST - timedelta(hours=next(town_of_its_own.hours))
    return town_of_its_own


def propose(place, values, *, address=HOME, reason="Photo of the display", who=None, about=""):
    """What the form sends for quarter hours from 09:00 on."""
    data = {
        "kind": "interval", "owner": place.points[address], "quantity": ENERGY, "reason": reason, "finding": about,
        "at": [(place.at + timedelta(minutes=15 * n)).isoformat() for n in range(len(values))], "value": values,
    }  # fmt: skip
    return (who or place.li).post("/edits", data=data)


def z(instant):
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


def number_of(answer):
    assert answer.status_code == 200, answer.text
    return int(re.search(r"/edits/(\d+)$", str(answer.url))[1])


def energy(place, address=HOME, at=None):
    rows = place.store.intervals(point_ids=[place.points[address]], quantity=ENERGY).to_pylist()
    return next((row["energy"], row["method"]) for row in rows if row["start_at"] == (at or place.at))


def test_a_form_begins_with_what_holds_and_says_what_each_rests_on(place):
    point = place.points[HOME]
    page = place.li.get(
        f"/edits/new?point={point}&quantity={ENERGY}&start={z(place.at)}&end={z(place.at + timedelta(hours=1))}"
    ).text
    found = re.findall(r'name="at" value="([^"]+)"><input[^>]*value="([^"]*)"', page)
    assert [at for at, _ in found] == [(place.at + timedelta(minutes=15 * n)).isoformat() for n in range(4)]
    assert Decimal(found[0][1]) == energy(place)[0]
    silent = place.li.get(
        f"/edits/new?point={place.points[SILENT]}&quantity={ENERGY}&start=2026-11-22T08:07:00Z&end=2026-11-22T08:20:00Z"
    ).text
    assert re.findall(r'name="at" value="([^"]+)"', silent) == [
        "2026-11-22T08:00:00+00:00", "2026-11-22T08:15:00+00:00"
    ]  # fmt: skip
    assert 'data-ground="missing"' in silent
    month = f"/edits/new?point={point}&start=2026-11-01T00:00:00Z&end=2026-11-22T00:00:00Z"
    assert place.li.get(month).status_code == 400
    assert "A value is edited from its trace" in place.li.get("/edits/new").text


def test_another_person_approves_and_the_value_counts_as_edited(place):
    before = energy(place)[0]
    edit = number_of(propose(place, ["12.5", str(energy(place, at=place.at + timedelta(minutes=15))[0]), ""]))
    assert place.editing.edit(edit).values == 1  # what was left as it is, and what is empty, is no part of it
    own = place.li.get(f"/edits/{edit}").text
    assert "You proposed this" in own
    assert "Approve" not in own
    assert place.li.post(f"/edits/{edit}/approve", data={}).status_code == 409
    assert energy(place) == (before, "measured")
    page = place.wang.get(f"/edits/{edit}").text
    assert "Photo of the display" in page
    assert "li proposes these values" in page
    place.wang.post(f"/edits/{edit}/approve", data={"note": "Seen it too"})
    assert energy(place) == (Decimal("12.5"), "edited")
    done = place.wang.get(f"/edits/{edit}").text
    assert "counts now" in done
    assert "Seen it too" in done
    assert "the difference of two readings" in done
    day = place.wang.get(f"/points/{place.points[HOME]}/days/2026-11-21").text
    assert 'data-ground="edited"' in day


def test_a_refusal_needs_a_reason_and_changes_nothing(place):
    edit = number_of(propose(place, ["7"]))
    assert place.wang.post(f"/edits/{edit}/refuse", data={"note": " "}).status_code == 422
    place.wang.post(f"/edits/{edit}/refuse", data={"note": "That photo is of the neighbour's meter"})
    assert energy(place)[1] == "measured"
    page = place.li.get(f"/edits/{edit}").text
    assert "turned down" in page
    assert "the neighbour&#39;s meter" in page
    assert place.wang.post(f"/edits/{edit}/approve", data={}).status_code == 409


def test_undoing_takes_two_as_well_and_brings_back_what_was_read(place):
    before = energy(place)
    edit = number_of(propose(place, ["9"]))
    place.wang.post(f"/edits/{edit}/approve", data={})
    page = place.wang.post(f"/edits/{edit}/undo", data={"note": "The wrong quarter hour"}).text
    assert "undoing waits for a second person" in page
    assert energy(place) == (Decimal(9), "edited")
    place.li.post(f"/edits/{edit}/approve", data={})
    assert energy(place) == before
    assert "undone" in place.li.get(f"/edits/{edit}").text


def test_what_cannot_be_is_told_beside_what_was_entered(place):
    before = place.editing.edits(limit=1)[:1]
    wrong = propose(place, ["twelve"])
    assert wrong.status_code == 400
    assert 'value="twelve"' in wrong.text
    assert propose(place, ["1.23456"]).status_code == 400
    unreasoned = propose(place, ["3"], reason=" ")
    assert unreasoned.status_code == 422
    assert 'value="3"' in unreasoned.text
    same = propose(place, [str(energy(place)[0])])
    assert same.status_code == 422
    assert place.editing.edits(limit=1)[:1] == before


def test_a_reading_is_edited_as_the_meter_shows_it(place):
    meter = place.meters[HOME]
    at = z(place.at)
    page = place.li.get(f"/edits/new?meter={meter}&quantity={ENERGY}&at={at}").text
    assert "What the meter showed" in page
    value = Decimal(re.search(r'name="value"[^>]*value="([^"]+)"', page)[1]) + Decimal("0.05")
    data = {"kind": "reading", "owner": meter, "quantity": ENERGY, "at": place.at.isoformat(), "value": f"{value:f}", "reason": "Display"}  # fmt: skip
    edit = number_of(place.li.post("/edits", data=data))
    place.wang.post(f"/edits/{edit}/approve", data={})
    trace = place.wang.get(f"/readings/{meter}/{ENERGY}/{at}").text
    assert "entered by a person" in trace
    assert f'href="/edits/{edit}"' in trace


def test_an_exception_is_answered_by_its_edit_and_opens_again_when_that_comes_to_nothing(place):
    about = finding(
        place, "missing", Severity.WARNING, HOME, quantity=ENERGY, evidence={"missing": 4, "expected": 96}
    )
    form = place.li.get(f"/exceptions/{about}").text
    address = re.search(r'href="(/edits/new\?point[^"]+)"', form)[1].replace("&amp;", "&")
    assert place.li.get(address).status_code == 200
    exceptions = place.services().exceptions
    edit = number_of(propose(place, ["8"], about=about))
    found = exceptions.finding(about)
    assert (found.state, found.edit_id, found.decided_by) == (FindingState.EDITED, edit, "li")
    assert f'href="/edits/{edit}"' in place.li.get(f"/exceptions/{about}").text
    place.wang.post(f"/edits/{edit}/refuse", data={"note": "No"})
    assert exceptions.finding(about).state is FindingState.OPEN
    second = number_of(propose(place, ["8.5"], about=about))
    place.li.post(f"/edits/{second}/withdraw", data={})
    assert exceptions.finding(about).state is FindingState.OPEN
    third = number_of(propose(place, ["8.25"], about=about))
    place.wang.post(f"/api/v1/edits/{third}/refuse", json={"reason": "No, by the API"})
    assert exceptions.finding(about).state is FindingState.OPEN
    fourth = number_of(propose(place, ["8.75"], about=about))
    place.wang.post(f"/edits/{fourth}/approve", data={})
    place.li.post(f"/edits/{fourth}/undo", data={"note": "Another quarter hour"})
    assert exceptions.finding(about).state is FindingState.EDITED
    place.wang.post(f"/edits/{fourth}/approve", data={})
    assert exceptions.finding(about).state is FindingState.OPEN


def test_an_estimate_in_place_of_a_doubted_day_adds_up_to_what_the_registers_around_it_counted(place):
    day = TimeRange.day(date(2026, 11, 19), ZONE)
    rows = [
        row["energy"]
        for row in place.store.intervals(
            point_ids=[place.points[HOME]], quantity=ENERGY, period=day
        ).to_pylist()
    ]
    about = finding(
        place, "stuck", Severity.WARNING, HOME, quantity=ENERGY, evidence={"hours": 24}, day=day.start
    )
    page = place.li.get(f"/exceptions/{about}/estimate").text
    values = re.findall(r'name="value"[^>]*value="([^"]*)"', page)
    assert len(values) == 96
    assert sum(map(Decimal, values)) == sum(rows)
    assert values != [f"{row.normalize():f}" for row in rows]
    data = {
        "kind": "interval", "owner": place.points[HOME], "quantity": ENERGY, "reason": "The display stood still", "finding": about,
        "at": re.findall(r'name="at" value="([^"]+)"', page), "value": values, "estimating": "1",
    }  # fmt: skip
    edit = number_of(place.li.post("/edits", data=data))
    found = place.services().exceptions.finding(about)
    assert (found.state, found.edit_id) == (FindingState.ESTIMATED, edit)
    place.wang.post(f"/edits/{edit}/approve", data={})
    after = place.store.intervals(point_ids=[place.points[HOME]], quantity=ENERGY, period=day).to_pylist()
    assert sum(row["energy"] for row in after) == sum(rows)
    assert {row["method"] for row in after} <= {"edited", "measured"}


def test_where_no_register_stands_behind_a_gap_the_points_own_days_or_its_peers_are_proposed(place):
    day = TimeRange.day(date(2026, 11, 22), ZONE)
    about = finding(place, "missing", Severity.WARNING, SILENT, quantity=ENERGY, evidence={}, day=day.start)
    page = place.li.get(f"/exceptions/{about}/estimate").text
    known = place.store.intervals(point_ids=[place.points[SILENT]], quantity=ENERGY, period=day)
    values = [text for text in re.findall(r'name="value"[^>]*value="([^"]*)"', page) if text]
    assert len(values) > 0
    assert min(map(Decimal, values)) >= 0
    assert not set(known["method"].to_pylist()) & {"history", "peers"}  # proposed, not stored


def test_what_is_no_energy_is_not_estimated(place):
    day = TimeRange.day(date(2026, 11, 22), ZONE)
    voltage = finding(
        place, "voltage_high", Severity.WARNING, HOME, quantity="voltage_l1", evidence={}, day=day.start
    )
    assert place.li.get(f"/exceptions/{voltage}/estimate").status_code == 400


def test_lists_and_files_show_what_waits_and_who_may_not_see_it_does_not(place):
    edit = number_of(propose(place, ["5"], address="000000000119", reason="Check meter"))
    page = place.wang.get("/edits").text
    assert "便民超市" in page
    assert "Check meter" in page
    assert '<span class="count" data-state="warn">1</span>' in page
    assert "Edits of readings that wait for a second person: 1" in place.wang.get("/").text
    rows = list(csv.reader(io.StringIO(place.wang.get("/edits.csv").content.decode("utf-8-sig"))))
    assert rows[1][1:4] == ["便民超市", "intervals", "1"]
    values = list(
        csv.reader(io.StringIO(place.wang.get(f"/edits/{edit}/values.csv").content.decode("utf-8-sig")))
    )
    assert values[1][6] == "5.0000"
    assert "便民超市" not in place.limited.get("/edits").text
    for path in (f"/edits/{edit}", f"/edits/{edit}/values.csv"):
        assert place.limited.get(path).status_code == 404, path
    for act in ("approve", "refuse", "withdraw", "undo"):
        assert place.limited.post(f"/edits/{edit}/{act}", data={"note": "x"}).status_code == 404, act
        assert place.ana.post(f"/edits/{edit}/{act}", data={"note": "x"}).status_code == 403, act
    assert place.ana.get("/edits/new?meter=1&at=2026-11-22T01:00:00Z").status_code == 403
    assert propose(place, ["4"], who=place.ana).status_code == 403
