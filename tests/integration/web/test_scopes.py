"""Somebody who is limited to an area never sees what lies in another: not by its id, not in a list, a search or a file."""

import re
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from starlette.testclient import TestClient
from tests.integration.web.conftest import add_user, places, signed_in

from wattkeeper.billing.models import Bill, Payment
from wattkeeper.collection.commands.kinds import CommandKind
from wattkeeper.collection.commands.models import Command
from wattkeeper.collection.commands.service import Wanted
from wattkeeper.registry.models import Account, AccountPoint, Area, MeteringPoint, PointKind
from wattkeeper.security.rights import Role

HOME, TRADE = "A1", "A2"
BY_ID = {
    "meter": ("/meters/{}", "/meters/{}/control", "/meters/{}/commands.csv", "/api/v1/meters/{}/control", "/meters/{}/values.csv", "/readings/{}/active_energy_import/latest", "/meters/{}/installations.xlsx", "/api/v1/meters/{}", "/api/v1/meters/{}/values",
              "/api/v1/meters/{}/readings?quantity=voltage_l1"),
    "point": ("/points/{}/load-curve.csv", "/points/{}/days/2026-11-22", "/points/{}/intervals/2026-11-22T01:00:00Z", "/api/v1/points/{}/load-curve"),
    "account": ("/accounts/{}", "/accounts/{}/bills.csv", "/accounts/{}/statement.csv", "/api/v1/accounts/{}", "/api/v1/accounts/{}/statement",
                "/api/v1/accounts/{}/payments", "/api/v1/accounts/{}/tariffs"),
    "customer": ("/customers/{}", "/api/v1/customers/{}"),
    "bill": ("/bills/{}", "/bills/{}/pdf", "/bills/{}/cancel", "/bills/{}/lines.csv", "/bills/{}/readings.xlsx", "/api/v1/bills/{}", "/api/v1/bills/{}/pdf"),
    "payment": ("/payments/{}", "/api/v1/payments/{}"),
    "exchange": ("/exchanges/{}", "/api/v1/exchanges/{}"),
    "command_batch": ("/commands/{}", "/commands/{}/meters.csv", "/api/v1/command-batches/{}", "/api/v1/command-batches/{}/commands"),
    "command": ("/api/v1/commands/{}",),
    "area": ("/areas/{}", "/areas/{}/points", "/areas/{}/points.csv", "/api/v1/areas/{}", "/api/v1/areas/{}/load-curve"),
}  # fmt: skip
WRITES = {
    "account": (("/accounts/{}/bills", {"month": "2026-10"}), ("/accounts/{}/payments", {"amount": "1.00", "method": "cash", "key": "of-another-area"})),
    "command_batch": (("/commands/{}/approve", {"note": "not mine"}), ("/commands/{}/reject", {}), ("/commands/{}/withdraw", {})),
    "bill": (("/bills/{}/cancel", {"reason": "not mine", "sure": "x"}), ("/bills/{}/payments", {"amount": "1.00", "method": "cash", "key": "of-another-area"})),
}  # fmt: skip
LISTS = [
    "/meters", "/meters.csv", "/api/v1/meters?limit=500", "/accounts", "/accounts.csv", "/api/v1/accounts?limit=500", "/customers", "/customers.csv",
    "/api/v1/customers?limit=500", "/bills", "/bills.csv", "/api/v1/bills?limit=500", "/payments", "/payments.csv", "/api/v1/payments?limit=500", "/areas",
    "/areas.csv", "/quality", "/quality.csv", "/quality/points", "/quality/points.csv", "/exceptions", "/exceptions.csv", "/edits?list=all", "/edits.csv?list=all", "/api/v1/areas", "/", "/commands", "/commands.csv", "/api/v1/command-batches?limit=500", "/api/v1/commands?limit=500",
    "/collection", "/collection.csv", "/plans", "/plans.csv", "/api/v1/plans", "/clocks", "/clocks.csv", "/recordings", "/recordings.csv",
]  # fmt: skip


@dataclass
class Halves:
    """What lies within and beyond one area, and who sees only that."""

    ours: dict[str, set[int]]
    theirs: dict[str, set[int]]
    names: set[str]
    """What only the other area's things are called."""
    browsers: dict[Role, TestClient]


@pytest.fixture(scope="module")
def halves(town, browser):
    with town.database.read() as session:
        areas = {area.code: area.id for area in session.scalars(select(Area))}
        found = {code: _things(town, session, areas[code]) for code in (HOME, TRADE)}
    _pay_beyond(town, found[TRADE])
    limited = {
        role: signed_in(
            browser.app, add_user(town, f"home-{role.value}", role, areas=frozenset({areas[HOME]}))
        )
        for role in (Role.ADMINISTRATOR, Role.CLERK, Role.OPERATOR, Role.ANALYST)
    }
    names = {place.name for place in places() if place.kind is not PointKind.HOUSEHOLD}
    names |= {place.address for place in places() if place.kind is not PointKind.HOUSEHOLD}
    return Halves(found[HOME], found[TRADE], names, limited)


def _things(town, session, area: int) -> dict[str, set[int]]:
    points = set(session.scalars(select(MeteringPoint.id).where(MeteringPoint.area_id == area)))
    accounts = set(session.scalars(select(AccountPoint.account_id).where(AccountPoint.point_id.in_(points))))
    meters = {meter for address, meter in town.meters.items() if town.points.get(address) in points}
    return {
        "meter": meters,
        "point": points,
        "account": accounts,
        "customer": set(session.scalars(select(Account.customer_id).where(Account.id.in_(accounts)))),
        "bill": set(session.scalars(select(Bill.id).where(Bill.account_id.in_(accounts)))),
        "payment": set(session.scalars(select(Payment.id).where(Payment.account_id.in_(accounts)))),
        "exchange": {town.exchanges[meter] for meter in meters if meter in town.exchanges},
        "area": {area},
        **_told(town, session, meters),
    }


def _told(town, session, meters: set[int]) -> dict[str, set[int]]:
    """A command to one of the meters, beside those that other tests gave."""
    commands = session.execute(select(Command.id, Command.batch_id).where(Command.meter_id.in_(meters))).all()
    wanted = Wanted(kind=CommandKind.SET_CLOCK, meter_ids=[min(meters)], reason="Its clock is off")
    batch = town.commands.ask(wanted, now=town.now).id
    (command,) = town.commands.commands(batch_id=batch)
    return {
        "command_batch": {batch, *(row.batch_id for row in commands)},
        "command": {command.id, *(row.id for row in commands)},
    }


def _pay_beyond(town, theirs: dict[str, set[int]]) -> None:
    """A payment for an account of the other area."""
    from decimal import Decimal

    from wattkeeper.billing.values import PaymentMethod
    from wattkeeper.kernel.money import Money

    account = min(theirs["account"])
    paid = town.billing.record_payment(
        account, amount=Money(Decimal(5), "CNY"), method=PaymentMethod.CARD, key="beyond-the-area", cashier="王敏", now=town.now
    )  # fmt: skip
    theirs["payment"].add(paid.id)


@pytest.mark.parametrize("kind", BY_ID)
def test_nothing_of_another_area_is_found_by_its_id(halves, kind):
    assert halves.theirs[kind]
    tried = 0
    for role, browser in halves.browsers.items():
        for path in BY_ID[kind]:
            for thing in halves.theirs[kind]:
                answer = browser.get(path.format(thing))
                assert answer.status_code in {403, 404}, (role, path, thing)
                tried += answer.status_code == 404
            own = browser.get(path.format(min(halves.ours[kind]))).status_code
            assert own in {200, 403}, (role, path, own)
    assert tried


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_id_is_found_exactly_where_it_lies_within(halves, data):
    kind = data.draw(st.sampled_from(sorted(BY_ID)))
    path = data.draw(st.sampled_from(BY_ID[kind]))
    browser = halves.browsers[Role.ADMINISTRATOR]
    known = sorted(halves.ours[kind] | halves.theirs[kind])
    thing = data.draw(st.one_of(st.sampled_from(known), st.integers(1, 60)))
    answer = browser.get(path.format(thing))
    assert answer.status_code == (200 if thing in halves.ours[kind] else 404), (path, thing)


@pytest.mark.parametrize("kind", WRITES)
def test_nothing_of_another_area_is_written_to(halves, town, kind):
    before = {thing: town.billing.balance(thing) for thing in halves.theirs["account"]}
    for path, form in WRITES[kind]:
        for thing in halves.theirs[kind]:
            role = Role.OPERATOR if kind == "command_batch" else Role.CLERK
            answer = halves.browsers[role].post(path.format(thing), data=form, follow_redirects=False)
            assert answer.status_code == 404, (path, thing)
    assert {thing: town.billing.balance(thing) for thing in halves.theirs["account"]} == before


@pytest.mark.parametrize("path", LISTS)
def test_no_list_page_or_file_names_anything_of_another_area(halves, path):
    for role, browser in halves.browsers.items():
        answer = browser.get(path)
        assert answer.status_code in {200, 403}, (role, path)
        text = answer.content.decode("utf-8-sig")
        assert [name for name in halves.names if name in text] == [], (role, path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_search_finds_anything_of_another_area(halves, data):
    name = data.draw(st.sampled_from(sorted(halves.names)))
    start = data.draw(st.integers(0, len(name) - 1))
    part = name[start : start + data.draw(st.integers(1, 8))]
    browser = halves.browsers[Role.ADMINISTRATOR]
    for path in ("/search", "/api/v1/search"):
        text = browser.get(path, params={"q": part}).text
        beyond = {
            other for other in halves.names if other in re.sub(r"<input[^>]*>|<title>.*?</title>", "", text)
        }
        assert beyond <= {part}, (path, part)
    for path in ("meters", "accounts", "customers", "bills", "payments"):
        text = browser.get(f"/api/v1/{path}", params={"search": part}).text
        assert not {other for other in halves.names if f'"{other}"' in text}, (path, part)
