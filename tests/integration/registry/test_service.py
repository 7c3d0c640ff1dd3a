"""Meters and accounts come and go; their periods never overlap, and nothing of the past is lost."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from wattkeeper.kernel.database import violates_constraint
from wattkeeper.kernel.feed import ChangeFeed
from wattkeeper.kernel.timerange import BadTimeRange, TimeRange
from wattkeeper.registry.errors import BadValue, NotFound, NothingInstalled, PeriodTaken, RegisterOutOfRange
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import (
    INSTALLATION_CHANGED,
    assign_account,
    exchange_meter,
    install_meter,
    release_account,
    remove_meter,
)
from wattkeeper.registry.values import AccountOfPoint, InstalledMeter

T0 = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def install(town, point: int, meter: int, at: datetime, **more) -> None:
    with town.database.write() as session:
        install_meter(session, point_id=town.points[point], meter_id=town.meters[meter], at=at, **more)


def remove(town, point: int, at: datetime, last_register: str | None = "100") -> None:
    with town.database.write() as session:
        last = None if last_register is None else Decimal(last_register)
        remove_meter(session, point_id=town.points[point], at=at, last_register=last)


def exchange(town, point: int, meter: int, at: datetime, **more) -> None:
    with town.database.write() as session:
        exchange_meter(session, point_id=town.points[point], new_meter_id=town.meters[meter], at=at, **more)


def assign(town, point: int, account: int, at: datetime) -> None:
    with town.database.write() as session:
        assign_account(session, point_id=town.points[point], account_id=town.accounts[account], at=at)


def installations(town, **which) -> list[InstalledMeter]:
    with town.database.read() as session:
        return Registry(session).installations(**which)


def test_an_exchange_is_two_installations_that_meet(town):
    install(town, 0, 0, T0, first_register=Decimal("12.34"), ct_ratio=Decimal(40))
    exchange(town, 0, 1, T0 + DAY, last_register=Decimal("99999.99"), first_register=Decimal("0.5"))
    shared = {
        "point_id": town.points[0],
        "register_digits": 6,
        "register_decimals": 2,
        "interval_minutes": 15,
        "zone": ZoneInfo("Asia/Shanghai"),
        "rated_power_kw": None,
        "ratio": Decimal(40),
    }
    old, new = installations(town)
    assert old == InstalledMeter(
        installation_id=old.installation_id,
        meter_id=town.meters[0],
        period=TimeRange(T0, T0 + DAY),
        first_register=Decimal("12.34"),
        last_register=Decimal("99999.99"),
        **shared,
    )
    assert new == InstalledMeter(
        installation_id=new.installation_id,
        meter_id=town.meters[1],
        period=TimeRange(T0 + DAY, None),
        first_register=Decimal("0.5"),
        last_register=None,
        **shared,
    )


def test_the_ratio_counts_only_for_a_meter_that_shows_secondary_values(town):
    with town.database.write() as session:
        registry = Registry(session)
        primary = registry.add_meter(address="000000000999", link_id=town.link, shows="primary").id
        ratios = {"ct_ratio": Decimal(30), "pt_ratio": Decimal(100)}
        install_meter(session, point_id=town.points[0], meter_id=town.meters[0], at=T0, **ratios)
        install_meter(session, point_id=town.points[1], meter_id=primary, at=T0, **ratios)
    assert [str(found.ratio) for found in installations(town)] == ["3000", "1"]


def test_installations_are_found_by_point_by_meter_and_by_period(town):
    install(town, 0, 0, T0)
    install(town, 1, 1, T0 + DAY)
    exchange(town, 0, 2, T0 + 2 * DAY, last_register=None)

    def found(**which) -> list[tuple[int, int]]:
        return [
            (town.points.index(installed.point_id), town.meters.index(installed.meter_id))
            for installed in installations(town, **which)
        ]

    assert found() == [(0, 0), (0, 2), (1, 1)]
    assert found(point_ids=[town.points[0]]) == [(0, 0), (0, 2)]
    assert found(meter_ids=[town.meters[1], town.meters[2]]) == [(0, 2), (1, 1)]
    assert found(point_ids=[town.points[0]], meter_ids=[town.meters[1]]) == []
    assert found(point_ids=[]) == []
    assert found(period=TimeRange(T0, T0 + DAY)) == [(0, 0)]
    assert found(period=TimeRange(T0 + 2 * DAY, None)) == [(0, 2), (1, 1)]


@pytest.mark.parametrize(
    ("point", "meter", "sentence"),
    [
        pytest.param(0, 1, "Metering point P-1 is taken by meter 000000000161", id="point"),
        pytest.param(1, 0, "Meter 000000000161 is taken by metering point P-1", id="meter"),
    ],
)
@pytest.mark.parametrize("days", [-1, 0, 1])
def test_a_point_has_one_meter_and_a_meter_one_point(town, point, meter, sentence, days):
    install(town, 0, 0, T0)
    with pytest.raises(PeriodTaken, match=sentence):
        install(town, point, meter, T0 + days * DAY)


def test_a_meter_can_be_installed_elsewhere_once_it_was_removed_but_not_before(town):
    install(town, 0, 0, T0)
    remove(town, 0, T0 + 2 * DAY)
    with pytest.raises(PeriodTaken, match="until 2026-01-03"):
        install(town, 1, 0, T0 + DAY)
    install(town, 1, 0, T0 + 2 * DAY)
    assert [found.period for found in installations(town)] == [
        TimeRange(T0, T0 + 2 * DAY),
        TimeRange(T0 + 2 * DAY, None),
    ]


def test_a_refused_exchange_leaves_the_old_meter_where_it_was(town):
    install(town, 0, 0, T0)
    install(town, 1, 1, T0)
    with pytest.raises(PeriodTaken):
        exchange(town, 0, 1, T0 + DAY, last_register=Decimal(5))
    assert [found.period.end for found in installations(town)] == [None, None]


@pytest.mark.parametrize("at", [T0 - DAY, T0])
def test_a_meter_is_removed_after_it_was_installed(town, at):
    install(town, 0, 0, T0)
    with pytest.raises(NothingInstalled, match="P-1"):
        remove(town, 0, at)


def test_nothing_is_removed_where_nothing_is(town):
    with pytest.raises(NothingInstalled):
        remove(town, 0, T0)


@pytest.mark.parametrize("register", ["1000000", "-0.01", "0.00001", "NaN"])
def test_a_register_that_the_display_cannot_show_is_refused(town, register):
    with pytest.raises(RegisterOutOfRange, match="6 digits"):
        install(town, 0, 0, T0, first_register=Decimal(register))


@pytest.mark.parametrize("ratio", ["0", "-1", "Infinity", "0.00001"])
def test_an_impossible_ratio_is_refused(town, ratio):
    with pytest.raises(BadValue, match="impossible"):
        install(town, 0, 0, T0, pt_ratio=Decimal(ratio))


def test_an_instant_without_a_zone_is_refused(town):
    with pytest.raises(BadTimeRange):
        install(town, 0, 0, datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused
    install(town, 0, 0, T0)
    with pytest.raises(BadTimeRange):
        remove(town, 0, datetime(2026, 1, 2))  # noqa: DTZ001 - what is refused


def test_a_meter_or_point_that_does_not_exist_is_not_found(town):
    with pytest.raises(NotFound, match="meter 999"), town.database.write() as session:
        install_meter(session, point_id=town.points[0], meter_id=999, at=T0)


def test_every_change_is_told_to_the_change_feed_with_the_period_it_touches(town):
    install(town, 0, 0, T0)
    exchange(town, 0, 1, T0 + DAY, last_register=None)
    with town.database.read() as session:
        events = ChangeFeed().read(session, "readings", [INSTALLATION_CHANGED], 10)
    point, start, later = town.points[0], "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"
    assert [event.payload for event in events] == [
        {"point_id": point, "meter_id": town.meters[0], "start": start, "end": None},
        {"point_id": point, "meter_id": town.meters[1], "start": later, "end": None},
    ]


def test_of_two_people_who_install_at_one_point_at_once_one_is_refused(town):
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def work(meter: int) -> None:
        start.wait()
        try:
            install(town, 0, meter, T0)
            outcomes.append("installed")
        except PeriodTaken:
            outcomes.append("refused")

    people = [threading.Thread(target=work, args=(meter,)) for meter in (0, 1)]
    for person in people:
        person.start()
    for person in people:
        person.join(30)
    assert sorted(outcomes) == ["installed", "refused"]


def test_the_database_itself_refuses_a_second_open_installation(town):
    install(town, 0, 0, T0)
    columns = "point_id, meter_id, valid_from, ct_ratio, pt_ratio, first_register"
    statement = text(
        f"INSERT INTO installation ({columns}) VALUES ({town.points[0]}, {town.meters[1]}, 5, 1, 1, 0)"
    )
    with pytest.raises(Exception, match=r"uq_installation_open_point|installation\.point_id") as refused:
        _execute(town, statement)
    assert violates_constraint(refused.value)


def _execute(town, statement) -> None:
    with town.database.write() as session:
        session.execute(statement)


def test_moving_in_ends_what_the_account_before_paid(town):
    assign(town, 0, 0, T0)
    assign(town, 0, 1, T0 + DAY)
    shared = {"point_id": town.points[0], "point_code": "P-1", "point_name": "1栋101", "account_name": "张三"}
    with town.database.read() as session:
        registry = Registry(session)
        found = registry.accounts_of_point(town.points[0])
        customer = registry.get_account(town.accounts[0]).customer_id
        assert found == [
            AccountOfPoint(
                account_id=town.accounts[0],
                account_code="100001",
                customer_id=customer,
                period=TimeRange(T0, T0 + DAY),
                **shared,
            ),
            AccountOfPoint(
                account_id=town.accounts[1],
                account_code="100002",
                customer_id=customer,
                period=TimeRange(T0 + DAY, None),
                **shared,
            ),
        ]
        assert registry.points_of_account(town.accounts[0]) == found[:1]
        assert registry.points_of_account(town.accounts[0], TimeRange(T0 + DAY, None)) == []
        assert registry.accounts_of_point(town.points[0], TimeRange(T0 + DAY, T0 + 2 * DAY)) == found[1:]


def test_nobody_can_move_in_before_the_account_that_pays_now(town):
    assign(town, 0, 0, T0)
    with pytest.raises(PeriodTaken, match="account 100001"):
        assign(town, 0, 1, T0)
    with pytest.raises(PeriodTaken):
        assign(town, 0, 1, T0 - DAY)


def test_after_moving_out_the_point_is_free_until_the_next_one_moves_in(town):
    assign(town, 0, 0, T0)
    with town.database.write() as session:
        release_account(session, point_id=town.points[0], at=T0 + DAY)
    with pytest.raises(NothingInstalled), town.database.write() as session:
        release_account(session, point_id=town.points[0], at=T0 + DAY)
    assign(town, 0, 1, T0 + 3 * DAY)
    with town.database.read() as session:
        periods = [found.period for found in Registry(session).accounts_of_point(town.points[0])]
    assert periods == [TimeRange(T0, T0 + DAY), TimeRange(T0 + 3 * DAY, None)]
