"""Reading plans: what may be said in one, which meters it covers, and that the collector follows every change of one."""

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from tests.integration.collection.conftest import NOON, terms

from wattkeeper.collection.errors import LastPlan
from wattkeeper.collection.plan_repository import PlanRepository
from wattkeeper.collection.plans import change_plan, create_plan, delete_plan
from wattkeeper.collection.schedule import Rhythm, Window
from wattkeeper.collection.values import CollectorOptions, PlannedMeters
from wattkeeper.kernel.database import Database
from wattkeeper.registry.errors import AlreadyExists, BadValue, NotFound
from wattkeeper.registry.models import AreaKind
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.scope import Scope
from wattkeeper.registry.service import install_meter
from wattkeeper.security.models import AuditEvent

FIRST, SECOND = "000000000001", "000000000002"
VOLTAGE = terms(code="voltage", quantities=["voltage_l1"], every_seconds=60)
QUARTERS = [datetime(2026, 3, 10, 4, minute, tzinfo=UTC) for minute in (0, 15, 30, 45)]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def grid(request, tmp_path):
    """Meters 1 to 4: 1 and 2 on link 1, 3 (1997) and 4 (Modbus) on link 2.

    1 hangs in box 2, which is below area 1, 2 in area 1 itself, 3 in area 3, all of site 1; 4 in site 2.
    """
    sqlite = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    database = Database(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_database"))
    database.create_schema()
    with database.write() as session:
        registry = Registry(session)
        sites = [registry.add_site(code=code, name=code, zone="Asia/Shanghai").id for code in "ST"]
        north = registry.add_area(site_id=sites[0], code="N", name="N", kind=AreaKind.AREA).id
        box = registry.add_area(site_id=sites[0], code="NB", name="NB", kind=AreaKind.BOX, parent_id=north).id
        south = registry.add_area(site_id=sites[0], code="Z", name="Z", kind=AreaKind.AREA).id
        links = [registry.add_link(code=code, name=code, url="tcp://127.0.0.1:1").id for code in "AB"]
        places = (
            (links[0], "dlt645-2007", "000000000001", "DDS1", sites[0], box),
            (links[0], "dlt645-2007", "000000000002", "DTZ1", sites[0], north),
            (links[1], "dlt645-1997", "000000000003", "DDS1", sites[0], south),
            (links[1], "modbus-rtu", "4", "eastron-sdm630", sites[1], None),
        )
        for link, protocol, address, model, site, area in places:
            meter = registry.add_meter(link_id=link, protocol=protocol, address=address, model=model)
            point = registry.add_point(site_id=site, code=f"P{address}", name=address, area_id=area)
            install_meter(session, meter_id=meter.id, point_id=point.id, at=NOON)
    yield database
    database.dispose()


@pytest.mark.parametrize(
    ("meters", "covered"),
    [
        pytest.param(PlannedMeters(), {1, 2, 3, 4}, id="all"),
        pytest.param(PlannedMeters(listed=frozenset({2, 4})), {2, 4}, id="listed"),
        pytest.param(PlannedMeters(site_id=1), {1, 2, 3}, id="a site"),
        pytest.param(PlannedMeters(area_id=1), {1, 2}, id="an area and what is below it"),
        pytest.param(PlannedMeters(area_id=2), {1}, id="a box"),
        pytest.param(PlannedMeters(link_id=2), {3, 4}, id="a link"),
        pytest.param(PlannedMeters(protocol="modbus-rtu"), {4}, id="a protocol"),
        pytest.param(PlannedMeters(model="DDS1"), {1, 3}, id="a model"),
        pytest.param(PlannedMeters(area_id=1, model="DDS1"), {1}, id="a model in an area"),
        pytest.param(PlannedMeters(site_id=2, link_id=1), set(), id="none"),
    ],
)
def test_a_plan_covers_the_meters_that_fit_all_it_says(grid, meters, covered):
    with grid.write() as session:
        kept = create_plan(session, replace(VOLTAGE, meters=meters), now=NOON)
    with grid.read() as session:
        plans = PlanRepository(session)
        [plan] = plans.to_read()
        assert {meter_id for meter_id in range(1, 5) if plan.covers(meter_id)} == covered
        assert {meter_id for meter_id in range(1, 5) if plans.covering(meter_id) == [kept]} == covered
        assert plans.covered_counts([kept]) == {kept.plan_id: len(covered)}
        assert plans.covered_counts([kept], scope=Scope(areas=frozenset({1}))) == {
            kept.plan_id: len(covered & {1, 2})
        }


def test_a_meter_that_moves_to_another_area_is_covered_there(grid):
    with grid.write() as session:
        create_plan(session, replace(VOLTAGE, meters=PlannedMeters(area_id=1)), now=NOON)
        Registry(session).get_point(3).area_id = 2
    with grid.read() as session:
        [plan] = PlanRepository(session).to_read()
    assert plan.meter_ids == frozenset({1, 2, 3})


@pytest.mark.parametrize(
    ("said", "field"),
    [
        pytest.param({"code": " "}, "code", id="no code"),
        pytest.param({"name": "two\nlines"}, "name", id="no name"),
        pytest.param({"quantities": ()}, "quantities", id="nothing to read"),
        pytest.param({"quantities": ("volltage",)}, "quantities", id="unknown quantity"),
        pytest.param({"rhythm": Rhythm(every=timedelta())}, "every", id="no period"),
        pytest.param({"rhythm": Rhythm(every=timedelta(days=1, seconds=1))}, "every", id="more than a day"),
        pytest.param(
            {"rhythm": Rhythm(every=timedelta(minutes=1), jitter=timedelta(minutes=1))}, "jitter", id="jitter"
        ),
        pytest.param(
            {"rhythm": Rhythm(every=timedelta(minutes=1), offset=-timedelta(seconds=1))}, "offset", id="offset"
        ),
        pytest.param({"rhythm": Rhythm(every=timedelta(1), window=Window(60, 60))}, "window", id="window"),
        pytest.param({"meters": PlannedMeters(listed=frozenset())}, "meters", id="an empty list"),
        pytest.param({"meters": PlannedMeters(listed=frozenset({1, 77}))}, "meters", id="unknown meter"),
        pytest.param(
            {"meters": PlannedMeters(listed=frozenset({1}), link_id=1)}, "meters", id="a list and a link"
        ),
        pytest.param({"meters": PlannedMeters(protocol="m-bus")}, "protocol", id="unknown protocol"),
        pytest.param({"meters": PlannedMeters(site_id=2, area_id=1)}, "area_id", id="area of another site"),
    ],
)  # fmt: skip
def test_what_a_plan_cannot_say_is_refused_and_nothing_is_kept(grid, said, field):
    with pytest.raises(BadValue) as refused, grid.write() as session:
        create_plan(session, replace(VOLTAGE, **said), now=NOON)
    assert refused.value.field == field
    with grid.read() as session:
        assert (PlanRepository(session).all(), list(session.scalars(select(AuditEvent)))) == ([], [])


@pytest.mark.parametrize("where", [{"site_id": 9}, {"area_id": 9}, {"link_id": 9}], ids=str)
def test_a_plan_of_a_place_that_is_not_there_is_refused(grid, where):
    with pytest.raises(NotFound), grid.write() as session:
        create_plan(session, replace(VOLTAGE, meters=PlannedMeters(**where)), now=NOON)


def test_two_plans_have_two_codes(grid):
    with grid.write() as session:
        create_plan(session, VOLTAGE, now=NOON)
        other = create_plan(session, replace(VOLTAGE, code="other"), now=NOON)
    with pytest.raises(AlreadyExists), grid.write() as session:
        create_plan(session, VOLTAGE, now=NOON)
    with pytest.raises(AlreadyExists), grid.write() as session:
        change_plan(session, other.plan_id, VOLTAGE, now=NOON)


def test_a_plan_is_read_back_as_it_was_kept(grid):
    rhythm = Rhythm(
        every=timedelta(hours=1), offset=timedelta(seconds=5), jitter=timedelta(seconds=9), window=Window(1320, 360)
    )  # fmt: skip
    said = replace(
        VOLTAGE, rhythm=rhythm, profile=True, enabled=False, meters=PlannedMeters(listed=frozenset({2, 3}))
    )
    with grid.write() as session:
        kept = create_plan(session, said, now=NOON)
    with grid.read() as session:
        assert PlanRepository(session).get(kept.plan_id).terms == said
        assert PlanRepository(session).to_read() == ()  # it is disabled


def test_a_change_is_on_record_with_what_was_and_what_is(grid):
    with grid.write() as session:
        kept = create_plan(session, VOLTAGE, now=NOON)
        slower = replace(VOLTAGE, rhythm=Rhythm(every=timedelta(minutes=5)), meters=PlannedMeters(area_id=1))
        change_plan(session, kept.plan_id, slower, now=NOON)
        change_plan(session, kept.plan_id, slower, now=NOON)  # nothing new
        create_plan(session, replace(VOLTAGE, code="other"), now=NOON)
        delete_plan(session, kept.plan_id, now=NOON)
    with grid.read() as session:
        acts = [
            (act.action, act.subject_id, act.before, act.after)
            for act in session.scalars(select(AuditEvent).order_by(AuditEvent.id))
        ]
        assert [terms.terms.code for terms in PlanRepository(session).all()] == ["other"]
    assert [act[:2] for act in acts] == [
        ("plan.create", "1"),
        ("plan.change", "1"),
        ("plan.create", "2"),
        ("plan.delete", "1"),
    ]
    assert acts[1][2:] == ({"every_s": 60, "area_id": None}, {"every_s": 300, "area_id": 1})
    assert acts[3][2]["quantities"] == ["voltage_l1"]


def test_the_only_plan_is_not_deleted_since_the_usual_ones_would_come_back(grid):
    with grid.write() as session:
        kept = create_plan(session, VOLTAGE, now=NOON)
    with pytest.raises(LastPlan), grid.write() as session:
        delete_plan(session, kept.plan_id, now=NOON)
    with grid.read() as session:
        assert PlanRepository(session).all() == [kept]


def test_default_plans_are_made_once(grid):
    with grid.write() as session:
        plans = PlanRepository(session)
        assert plans.ensure_defaults(CollectorOptions())
        assert not plans.ensure_defaults(CollectorOptions())
        assert [plan.code for plan in plans.to_read()] == ["live", "registers"]


def test_plans_of_before_keep_the_meters_they_had(empty_database, migrations_before):
    """Migration 0007: a plan of all meters stays one, a plan of some still names them."""
    empty_database.migrate(scripts=migrations_before("0007"))
    with empty_database.write() as session:
        link = Registry(session).add_link(code="A", name="A", url="tcp://127.0.0.1:1").id
        meter = Registry(session).add_meter(link_id=link, address=FIRST).id
        for plan_id, code, everyone in ((1, "all", True), (2, "some", False)):
            session.execute(
                text(
                    "INSERT INTO reading_plan (id, code, name, quantities, every_seconds, offset_seconds, "
                    "jitter_seconds, profile, all_meters, enabled) "
                    "VALUES (:id, :code, :code, '[\"voltage_l1\"]', 60, 0, 0, :no, :everyone, :yes)"
                ),
                {"id": plan_id, "code": code, "everyone": everyone, "no": False, "yes": True},
            )
        session.execute(
            text("INSERT INTO plan_meter (plan_id, meter_id) VALUES (2, :meter)"), {"meter": meter}
        )
    empty_database.migrate()
    with empty_database.read() as session:
        found = {kept.terms.code: kept.terms.meters for kept in PlanRepository(session).all()}
    assert found == {"all": PlannedMeters(), "some": PlannedMeters(listed=frozenset({meter}))}


# -- while the collector runs -------------------------------------------------------------------------------------------


@asynccontextmanager
async def collecting(house, street, until, *addresses):
    """A collector over one line, and a step of the clock after which everything due is read."""
    described = {"code": "A", "meters": [{"address": address, "point": address} for address in addresses]}
    async with street(house.clock, described) as world:
        house.register({"A": (world.url("A"), addresses)})
        async with house.collecting(reload_seconds=1e6, clock_hours=1e6) as collector:

            async def after(step: timedelta = timedelta()) -> None:
                await collector.reload()
                house.clock.advance(step)
                await until(lambda: collector.is_idle)
                await collector.flush()

            yield after


def times(house, address, quantity="voltage_l1"):
    return [read_at for read_at, _, _ in house.values(address, quantity)]


async def test_the_collector_follows_plans_that_come_change_and_go(house, street, until):
    house.plan(code="never", quantities=["frequency"], every_seconds=86400, meter_ids=[])
    quarter = timedelta(minutes=15)
    async with collecting(house, street, until, FIRST) as after:
        assert times(house, FIRST) == []
        with house.database.write() as session:
            said = terms(code="new", quantities=["voltage_l1"], every_seconds=900)
            kept = create_plan(session, said, now=NOON)
        await after()
        await after(quarter)
        assert times(house, FIRST) == QUARTERS[:2]
        with house.database.write() as session:
            change_plan(session, kept.plan_id, replace(said, quantities=("frequency",)), now=NOON)
        await after()
        await after(quarter)
        assert times(house, FIRST) == QUARTERS[:2]
        assert times(house, FIRST, "frequency") == QUARTERS[1:3]
        with house.database.write() as session:
            delete_plan(session, kept.plan_id, now=NOON)
        await after()
        await after(quarter)
        assert times(house, FIRST, "frequency") == QUARTERS[1:3]


async def test_a_group_that_gains_a_meter_reads_that_one_at_once_and_the_others_on_time(house, street, until):
    house.plan(code="never", quantities=["frequency"], every_seconds=86400, meter_ids=[])
    said = terms(code="some", quantities=["voltage_l1"], every_seconds=900)
    step = timedelta(minutes=5)
    async with collecting(house, street, until, FIRST, SECOND) as after:
        first, second = house.meters[FIRST], house.meters[SECOND]
        with house.database.write() as session:
            one = replace(said, meters=PlannedMeters(listed=frozenset({first})))
            kept = create_plan(session, one, now=NOON)
        await after()
        await after(step)
        with house.database.write() as session:
            both = replace(said, meters=PlannedMeters(listed=frozenset({first, second})))
            change_plan(session, kept.plan_id, both, now=NOON)
        await after()
        await after(2 * step)
    assert times(house, FIRST) == QUARTERS[:2]
    assert times(house, SECOND) == [NOON + step, QUARTERS[1]]
