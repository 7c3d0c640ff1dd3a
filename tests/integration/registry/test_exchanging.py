"""Recording an exchange: what it keeps, what it writes down, and what it refuses by the field that is wrong."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.errors import BadValue, InstalledElsewhere
from wattkeeper.registry.exchanging import record_exchange
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import install_meter, remove_meter
from wattkeeper.security.models import AuditEvent

T0 = datetime(2026, 1, 1, tzinfo=UTC)  # 08:00 in Shanghai
DAY = timedelta(days=1)
NOW = T0 + 10 * DAY


def exchange(
    town, point: int = 0, *, address: str = "000000000900", at: datetime = T0 + DAY, meter=None, **more
):
    wanted = {"address": address, "protocol": "dlt645-2007", "link_id": town.link, **(meter or {})}
    given = {"last_register": Decimal("100.5"), "first_register": Decimal("0.25"), "now": NOW} | more
    with town.database.write() as session:
        return record_exchange(Registry(session), town.points[point], at=at, meter=wanted, **given).meter_id


def hang(town, point: int = 0, meter: int = 0, at: datetime = T0, **more) -> None:
    with town.database.write() as session:
        install_meter(session, point_id=town.points[point], meter_id=town.meters[meter], at=at, **more)


def acts(town) -> list[tuple]:
    with town.database.read() as session:
        events = session.scalars(select(AuditEvent).order_by(AuditEvent.id))
        return [(event.action, event.subject_name, event.before, event.after) for event in events]


def test_an_exchange_adds_the_new_meter_keeps_the_ratio_and_is_on_record(town):
    hang(town, ct_ratio=Decimal(40))
    new = exchange(town, meter={"register_digits": 8})
    with town.database.read() as session:
        registry = Registry(session)
        assert (registry.get_meter(new).address, registry.get_meter(new).register_digits) == (
            "000000000900",
            8,
        )
        told = [
            (item.meter_id, item.period, item.first_register, item.last_register, item.ratio)
            for item in registry.installations(point_ids=[town.points[0]])
        ]
    assert told == [
        (town.meters[0], TimeRange(T0, T0 + DAY), Decimal(0), Decimal("100.5"), Decimal(40)),
        (new, TimeRange(T0 + DAY, None), Decimal("0.25"), None, Decimal(40)),
    ]
    made, exchanged = acts(town)
    assert made[:2] == ("meter.create", "000000000900")
    assert exchanged == (
        "point.exchange_meter",
        "1栋101",
        {"meter": "000000000161", "register": "100.5"},
        {
            "meter": "000000000900",
            "register": "0.25",
            "installed_from": "2026-01-02T00:00:00+00:00",
            "ct_ratio": "40",
            "pt_ratio": "1",
        },
    )


def test_a_meter_on_record_that_hangs_nowhere_is_taken_and_read_again(town):
    hang(town)
    with town.database.write() as session:
        Registry(session).get_meter(town.meters[1]).enabled = False
    assert exchange(town, address="000000000162", meter={"model": ""}) == town.meters[1]
    with town.database.read() as session:
        assert Registry(session).get_meter(town.meters[1]).enabled
    assert [act[0] for act in acts(town)] == ["meter.change", "point.exchange_meter"]


def test_a_first_meter_is_installed_by_the_same_step(town):
    new = exchange(town, last_register=None, ct_ratio=Decimal(30))
    with town.database.read() as session:
        (there,) = Registry(session).installations(point_ids=[town.points[0]])
    assert (there.meter_id, there.period, there.ratio) == (new, TimeRange(T0 + DAY, None), Decimal(30))
    assert acts(town)[-1][:3] == ("point.install_meter", "1栋101", None)


def test_a_moment_is_half_open_so_a_point_takes_a_meter_when_the_last_one_went(town):
    hang(town)
    with town.database.write() as session:
        remove_meter(session, point_id=town.points[0], at=T0 + DAY, last_register=None)
    with pytest.raises(BadValue, match=r"P-1 had a meter until 2026-01-02 08:00\.") as refused:
        exchange(town, at=T0 + DAY - timedelta(seconds=1), last_register=None)
    assert refused.value.field == "at"
    exchange(town, at=T0 + DAY, last_register=None)


@pytest.mark.parametrize(
    ("wanted", "field", "sentence"),
    [
        pytest.param({"at": T0}, "at", "Meter 000000000161 was installed at metering point P-1 at 2026-01-01 08:00", id="same-moment"),
        pytest.param({"at": T0 - DAY}, "at", "cannot give way before that", id="before"),
        pytest.param({"at": NOW + timedelta(minutes=1)}, "at", "2026-01-11 00:01 lies in the future", id="future"),
        pytest.param({"last_register": Decimal(1000000)}, "last_register", "Meter 000000000161 shows 6 digits", id="last"),
        pytest.param({"first_register": Decimal(-1)}, "first_register", "its register cannot read -1", id="first"),
        pytest.param({"first_register": Decimal("NaN")}, "first_register", "cannot read NaN", id="not-a-number"),
        pytest.param({"meter": {"register_digits": 5}, "first_register": Decimal(100000)}, "first_register", "shows 5 digits", id="digits"),
        pytest.param({"ct_ratio": Decimal(0)}, "ct_ratio", "A ratio of 0 is impossible", id="ratio"),
        pytest.param({"address": "161"}, "address", "12 digits", id="address"),
        pytest.param({"address": "000000000162", "meter": {"register_digits": 8}}, "register_digits", "with register_digits 6, not 8", id="on-record"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_its_field_and_nothing_is_kept(town, wanted, field, sentence):
    hang(town)
    with pytest.raises(BadValue) as refused:
        exchange(town, **wanted)
    assert refused.value.field == field
    assert sentence in refused.value.message
    assert refused.value.hint
    with town.database.read() as session:
        (there,) = Registry(session).installations()
        assert Registry(session).meters_by_address("000000000900") == []
    assert (there.meter_id, there.period.end) == (town.meters[0], None)
    assert acts(town) == []


def test_a_point_without_a_meter_has_no_last_reading(town):
    with pytest.raises(BadValue, match="so none has a last reading") as refused:
        exchange(town)
    assert refused.value.field == "last_register"


@pytest.mark.parametrize(("address", "where"), [("000000000162", "P-2"), ("000000000161", "P-1")])
def test_a_meter_that_hangs_somewhere_is_not_taken(town, address, where):
    hang(town)
    hang(town, 1, 1, T0 + 2 * DAY)  # also one that was hung up only afterwards
    with pytest.raises(InstalledElsewhere) as refused:
        exchange(town, address=address)
    assert f"Meter {address} is installed at metering point {where}, since 2026-01-0" in refused.value.message
