"""The customer portal: whose rows it shows, and that its figures are those of the bill."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.integration.web.conftest import NOW, SILENT, ZONE, Town, add_user, places, signed_in

from wattkeeper.billing.values import PaymentMethod
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.service import assign_account, exchange_meter, release_account
from wattkeeper.security.rights import Right, Role
from wattkeeper.web.access import Needs, conditions, routes
from wattkeeper.web.application import create_application
from wattkeeper.web.queries.portal import OwnAccounts
from wattkeeper.web.queries.portal_usage import Span, months_of, usage_of

OCTOBER = TimeRange.month(2026, 10, ZONE)
NOVEMBER = TimeRange.month(2026, 11, ZONE)
FLAT, CLOCK, SHOP, FACTORY = 1, 0, 19, 23
MOVED = datetime(2026, 11, 10, 10, 7, tzinfo=ZONE)
"""Within a quarter hour: the neighbours share it."""
ENERGY = "active_energy_import"
PLACES = places()


@dataclass
class Household:
    """A customer with a session and all that is theirs."""

    customer_id: int
    browser: TestClient
    accounts: set[int] = field(default_factory=set)
    bills: set[int] = field(default_factory=set)
    marks: set[str] = field(default_factory=set)
    """Texts that only this customer may read."""


@dataclass
class Street:
    """The town, with two neighbours who share, swap and leave things."""

    town: Town
    app: object
    ann: Household
    bob: Household
    ids: dict[str, int] = field(default_factory=dict)

    def own(self, number: int) -> OwnAccounts:
        """What the customer of a place may see."""
        return OwnAccounts.of(self.town.services(), customer_of(self.town, number))

    def browser(self, number: int) -> TestClient:
        """A browser of the customer of a place."""
        login = f"place-{number}"
        secret = add_user(self.town, login, Role.CUSTOMER, customer_id=customer_of(self.town, number))
        return signed_in(self.app, secret)


def customer_of(town: Town, number: int) -> int:
    with town.database.read() as session:
        return Registry(session).get_account(town.accounts[PLACES[number].address]).customer_id


def account_of(town: Town, number: int) -> int:
    return town.accounts[PLACES[number].address]


def point_of(town: Town, number: int) -> int:
    return town.points[PLACES[number].address]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    town = Town(tmp_path_factory.mktemp("street"))
    for number in (FLAT, CLOCK, 3, 4, 7, SHOP):
        town.billing.assign_tariff(
            account_of(town, number), tariff_code=PLACES[number].tariff, valid_from=OCTOBER.start, now=NOW
        )
    # A factory on a household's tiers: it passes both limits within one month.
    town.billing.assign_tariff(
        account_of(town, FACTORY), tariff_code="cn-zhejiang-residential", valid_from=OCTOBER.start, now=NOW
    )
    app = create_application(town.services())
    ann, bob = (
        Household(
            customer_of(town, number),
            signed_in(app, add_user(town, login, Role.CUSTOMER, customer_id=customer_of(town, number))),
        )
        for login, number in (("ann", FLAT), ("bob", 3))
    )
    built = Street(town, app, ann, bob)
    _move(built)
    for number in (CLOCK, 7, SHOP, FACTORY):
        built.ids[f"bill-{number}"] = town.billing.issue_bill(
            account_of(town, number), period=OCTOBER, now=NOW
        ).id
    yield built
    town.close()


def _move(street: Street) -> None:
    """Ann takes Bob's place on 10 November, her meter is exchanged, and the old one goes to another place of Bob's."""
    town, ann, bob = street.town, street.ann, street.bob
    with town.database.write() as session:
        registry = Registry(session)
        second = registry.add_account(
            customer_id=ann.customer_id, code="88000000011", name="Annex", opened_at=MOVED
        )
        assign_account(session, point_id=point_of(town, 3), account_id=second.id, at=MOVED)
        other = registry.add_account(
            customer_id=bob.customer_id, code="88000000022", name="Boathouse", opened_at=OCTOBER.start
        )
        assign_account(
            session, point_id=point_of(town, 5), account_id=other.id, at=datetime(2026, 11, 5, tzinfo=ZONE)
        )
        new = registry.add_meter(address="900000000001", link_id=town.links["north"])
        exchanged = datetime(2026, 11, 15, 12, tzinfo=ZONE)
        exchange_meter(
            session, point_id=point_of(town, FLAT), new_meter_id=new.id, at=exchanged, last_register=None
        )
        exchange_meter(
            session, point_id=point_of(town, 5), new_meter_id=town.meters[PLACES[FLAT].address],
            at=exchanged + timedelta(days=1), last_register=None, first_register=Decimal(500),
        )  # fmt: skip
        street.ids |= {"second": second.id, "other": other.id}
    for account in (second.id, other.id):
        start = MOVED if account == second.id else OCTOBER.start
        town.billing.assign_tariff(account, tariff_code="cn-single-price", valid_from=start, now=NOW)
    for household, number, accounts in ((ann, FLAT, {second.id}), (bob, 3, {other.id})):
        mine = account_of(town, number)
        wrong = town.billing.issue_bill(mine, period=OCTOBER, now=NOW)
        cancellation = town.billing.cancel_bill(wrong.id, reason=f"A slip for {wrong.number}.", now=NOW)
        right = town.billing.issue_bill(mine, period=OCTOBER, now=NOW)
        paid = town.billing.record_payment(
            mine, amount=Money(Decimal(20), "CNY"), method=PaymentMethod.CASH, key=f"payment-of-{number}",
            cashier="Clerk", now=NOW,
        )  # fmt: skip
        household.accounts = {mine, *accounts}
        household.bills = {wrong.id, cancellation.id, right.id}
        household.marks = {wrong.number, paid.receipt, PLACES[number].customer}
    ann.marks |= {"900000000001", "88000000011", "Annex"}
    bob.marks |= {"88000000022", "Boathouse"}
    town.intervals.derive_pending(NOW)


# whose rows

ACCOUNT_PATHS = (
    "/portal?account={}", "/portal/usage?account={}", "/portal/usage?account={}&span=day&at=2026-11-10",
    "/portal/usage?account={}&span=week&unit=money", "/portal/usage?account={}&span=year", "/portal/usage.csv?account={}",
    "/portal/bills?account={}", "/portal/bills.csv?account={}", "/portal/payments?account={}",
    "/portal/payments.csv?account={}", "/portal/account?account={}", "/portal/tariff?account={}",
    "/api/v1/portal/usage?account={}&period=last-month", "/api/v1/portal/bills?account={}",
    "/api/v1/portal/payments?account={}", "/api/v1/portal/meters?account={}",
)  # fmt: skip
BILL_PATHS = (
    "/portal/bills/{}",
    "/api/v1/portal/bills/{}",
    "/portal/bills/{}/pdf",
    "/api/v1/portal/bills/{}/pdf",
)
PLAIN_PATHS = (
    "/portal", "/portal/usage", "/portal/bills", "/portal/payments", "/portal/account", "/portal/tariff",
    "/api/v1/portal/accounts", "/api/v1/portal/bills", "/api/v1/portal/payments", "/api/v1/portal/meters",
)  # fmt: skip


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_id_shows_a_customer_a_row_of_another(street, data):
    asker, other = data.draw(st.sampled_from([(street.ann, street.bob), (street.bob, street.ann)]))
    path, own = data.draw(
        st.sampled_from(
            [(path, asker.accounts) for path in ACCOUNT_PATHS] + [(path, asker.bills) for path in BILL_PATHS]
        )
    )
    known = sorted(asker.accounts | asker.bills | other.accounts | other.bills)
    chosen = data.draw(st.one_of(st.sampled_from(known), st.integers(1, 60), st.integers(1, 2**53)))
    answer = asker.browser.get(path.format(chosen))
    assert answer.status_code == (200 if chosen in own else 404), (path, chosen)
    assert not [mark for mark in other.marks if mark in answer.text]


@pytest.mark.parametrize("path", PLAIN_PATHS)
def test_what_takes_no_id_shows_only_ones_own(street, path):
    for asker, other in ((street.ann, street.bob), (street.bob, street.ann)):
        answer = asker.browser.get(path)
        assert answer.status_code == 200
        assert not [mark for mark in other.marks if mark in answer.text]


@pytest.mark.parametrize("path", [*ACCOUNT_PATHS, *BILL_PATHS])
def test_a_foreign_id_is_answered_like_one_that_does_not_exist(street, path):
    foreign = min(street.bob.bills if path in BILL_PATHS else street.bob.accounts)
    answers = [street.ann.browser.get(path.format(number)) for number in (foreign, 987654)]
    told = [re.sub(rf"\b({foreign}|987654)\b", "#", answer.text) for answer in answers]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert told[0] == told[1]


@pytest.mark.parametrize("path", PLAIN_PATHS)
def test_the_portal_is_for_customers(street, path):
    clerk = signed_in(street.app, add_user(street.town, f"clerk{path.replace('/', '-')}", Role.CLERK))
    assert clerk.get(path).status_code == 403
    assert TestClient(street.app).get(path, follow_redirects=False).status_code in {303, 401}


def test_everything_of_the_staff_refuses_a_customer(street):
    asked = 0
    for route in routes(street.app):
        (condition,) = conditions(route)
        if not isinstance(condition, Needs) or not condition.rights or Right.PORTAL in condition.rights:
            continue
        path = route.path
        for name in ("{", "}"):
            path = path.replace(name, "~")
        path = "/".join("1" if part.startswith("~") else part for part in path.split("/"))
        for method in route.methods:
            answer = street.ann.browser.request(method, path.replace("~", ""))
            assert answer.status_code == 403, (method, path)
            asked += 1
    assert asked > 30


def test_a_user_without_a_customer_is_told_what_to_do(street):
    with street.town.database.write() as session:
        nobody = Registry(session).add_customer(code="C990", name="Nobody yet").id
    browser = signed_in(street.app, add_user(street.town, "nobody", Role.CUSTOMER, customer_id=nobody))
    for path in (
        "/portal",
        "/portal/usage",
        "/portal/bills",
        "/portal/payments",
        "/portal/account",
        "/portal/tariff",
    ):
        answer = browser.get(path)
        assert answer.status_code == 200
        assert "Ask your supplier to connect it" in answer.text
    assert browser.get("/api/v1/portal/accounts").json() == []
    assert browser.get("/portal/usage.csv").status_code == 404


# the time one had a place


def test_neighbours_share_a_place_by_the_moment_one_moved(street):
    before, after = _usage(street.bob, account_of(street.town, 3)), _usage(street.ann, street.ids["second"])
    whole = _counted(street.town, 3, NOVEMBER.start, _last_quarter())
    assert sum(_energies(before)) + sum(_energies(after)) == whole
    days = {item["start"]: item["energy_kwh"] for item in after["items"]}
    assert days["2026-11-08T16:00:00Z"] is None  # 9 November
    assert days["2026-11-09T16:00:00Z"] is not None  # 10 November
    gone = {item["start"]: item["energy_kwh"] for item in before["items"]}
    assert gone["2026-11-10T16:00:00Z"] is None


def test_a_tenant_sees_no_day_before_or_after(street):
    page = street.ann.browser.get(f"/portal/usage?account={street.ids['second']}&span=day&at=2026-11-09")
    assert "No readings are known for this period." in page.text
    page = street.bob.browser.get(
        f"/portal/usage?account={account_of(street.town, 3)}&span=day&at=2026-11-11"
    )
    assert "No readings are known for this period." in page.text


def test_meters_are_those_at_ones_places_now(street):
    assert {item["address"] for item in street.ann.browser.get("/api/v1/portal/meters").json()} == {
        "900000000001", PLACES[3].address,
    }  # fmt: skip
    assert {item["address"] for item in street.bob.browser.get("/api/v1/portal/meters").json()} == {
        PLACES[FLAT].address
    }


def test_a_reading_from_before_one_moved_in_stays_unsaid(street):
    town = street.town
    with town.database.write() as session:
        customer = Registry(session).add_customer(code="C991", name="Just here").id
        account = Registry(session).add_account(
            customer_id=customer, code="88000000099", name="Late", opened_at=NOW - timedelta(hours=1)
        )
        release_account(session, point_id=point_of(town, 9), at=NOW - timedelta(hours=2))
        exchange_meter(
            session, point_id=point_of(town, 9), new_meter_id=Registry(session).add_meter(
                address="900000000009", link_id=town.links["north"]).id,
            at=NOW - timedelta(hours=2), last_register=None,
        )  # fmt: skip
        assign_account(
            session, point_id=point_of(town, 9), account_id=account.id, at=NOW - timedelta(hours=1)
        )
    own = OwnAccounts.of(town.services(), customer)
    (meter,) = own.meters(account.id)
    assert (meter.address, meter.reading) == ("900000000009", None)


# figures


def _usage(household: Household, account: int) -> dict:
    return household.browser.get(f"/api/v1/portal/usage?account={account}&period=month").json()


def _energies(usage: dict) -> list[Decimal]:
    return [Decimal(item["energy_kwh"]) for item in usage["items"] if item["energy_kwh"] is not None]


def _last_quarter() -> datetime:
    return NOW.replace(minute=30, second=0)


def _counted(town: Town, number: int, start: datetime, end: datetime) -> Decimal:
    """What the display of a place's first meter counted between two quarter hours [kWh]."""
    around = TimeRange(start, end + timedelta(seconds=1))
    readings = town.store.readings(
        meter_ids=[town.meters[PLACES[number].address]], quantities=[ENERGY], period=around
    ).to_pylist()
    return (readings[-1]["value"] - readings[0]["value"]) * (40 if number == FACTORY else 1)


def test_this_month_so_far_by_hand(street):
    """The first tier ends at 690 kWh, of which October took its part; each line is rounded once."""
    own = street.own(7)
    this = months_of(own, own.accounts[0]).this
    until = NOW.replace(hour=4, minute=30, second=0, microsecond=0)  # it fell silent at 12:30 in Shanghai
    kwh = _counted(street.town, 7, NOVEMBER.start, until)
    assert PLACES[7].address == SILENT
    assert (this.kwh, this.period) == (kwh, TimeRange(NOVEMBER.start, until))
    first = 690 - _counted(street.town, 7, OCTOBER.start, OCTOBER.end)
    lines = [first * Decimal("0.538"), (kwh - first) * Decimal("0.588")]
    assert this.cost == sum((Money(line, "CNY").rounded() for line in lines), Money.zero("CNY"))
    assert this.complete


@pytest.mark.parametrize("number", [FLAT, CLOCK, SHOP, FACTORY])
def test_a_whole_month_costs_what_its_bill_says(street, number):
    town, account = street.town, account_of(street.town, number)
    (bill,) = (b for b in town.billing.bills(account_id=account).items if b.state in {"issued", "paid"})
    with town.billing.running(account, window=OCTOBER) as running:
        cost = running.cost(OCTOBER)
    assert (cost.total, cost.kwh) == (bill.total, bill.energy_kwh)
    assert cost.lines == town.billing.bill(bill.id).lines


@pytest.mark.parametrize("number", [FLAT, CLOCK, SHOP, FACTORY])
def test_the_days_of_a_month_add_up_to_its_bill(street, number):
    own = street.own(number)
    account = own.account(account_of(street.town, number))
    bill = own.bill(own.bills(account.id, limit=1).bills[0].id)
    usage = usage_of(own, account, span=Span.MONTH, day=date(2026, 10, 15))
    assert len(usage.bins) == 31
    assert usage.kwh == bill.energy_kwh
    exact = sum(line.quantity * line.price for line in bill.lines)
    assert usage.cost.amount == exact
    assert abs(usage.cost.amount - bill.total.amount) <= Decimal("0.005") * len(bill.lines)


def test_the_hours_of_a_day_add_up_to_it(street):
    own = street.own(FACTORY)
    account = own.accounts[0]
    month = usage_of(own, account, span=Span.MONTH, day=date(2026, 10, 2))
    day = usage_of(own, account, span=Span.DAY, day=date(2026, 10, 2))
    assert (day.kwh, day.cost.amount) == (month.bins[1].kwh, month.bins[1].cost)


def test_a_day_costs_the_tier_that_was_reached(street):
    """The factory has the tariff for three months of the year: its limits are 690 and 1,200 kWh."""
    own = street.own(FACTORY)
    bins = usage_of(own, own.accounts[0], span=Span.MONTH, day=date(2026, 10, 1)).bins
    first, second = bins[0].kwh, bins[1].kwh
    assert first > 1200
    tiers = (690 * Decimal("0.538"), 510 * Decimal("0.588"), (first - 1200) * Decimal("0.838"))
    assert bins[0].cost == sum(tiers)
    assert bins[1].cost == second * Decimal("0.838")


def test_tiers_go_on_from_what_is_not_billed_yet(street):
    town = street.town
    account = account_of(town, 4)
    bill = town.billing.issue_bill(account, period=OCTOBER, now=NOW)
    window = TimeRange(NOVEMBER.start, _last_quarter())
    with town.billing.running(account, window=window) as running:
        billed = running.cost(window)
    town.billing.cancel_bill(bill.id, reason="To see it without.", now=NOW)
    with town.billing.running(account, window=window) as running:
        unbilled = running.cost(window)
    assert unbilled.total == billed.total
    assert [line.rule_en for line in unbilled.lines] == [line.rule_en for line in billed.lines]


def test_the_same_days_of_last_month_end_at_the_same_hour(street):
    own = street.own(CLOCK)
    months = months_of(own, own.accounts[0])
    elapsed = _last_quarter() - NOVEMBER.start
    assert months.same.period == TimeRange(OCTOBER.start, OCTOBER.start + elapsed)
    assert months.same.kwh == _counted(street.town, CLOCK, OCTOBER.start, OCTOBER.start + elapsed)
    assert (months.last.billed, months.last.cost) == (True, own.bills(own.accounts[0].id).bills[0].total)
    today = TimeRange.day(date(2026, 11, 22), ZONE)
    assert months.today.kwh == _counted(street.town, CLOCK, today.start, _last_quarter())


def test_a_gap_stops_the_cost_and_not_the_energy(street):
    """Ann's new meter was never read: what is known ends with the old one, and so does the price."""
    own = street.own(FLAT)
    this = months_of(own, own.account(account_of(street.town, FLAT))).this
    assert this.period.end <= datetime(2026, 11, 15, 12, tzinfo=ZONE)
    assert this.cost is not None
    page = street.ann.browser.get(f"/portal?account={account_of(street.town, FLAT)}")
    assert "Provisional, by your own tariff" in page.text


def test_times_of_day_add_up_to_the_energy(street):
    own = street.own(SHOP)
    usage = usage_of(own, own.accounts[0], span=Span.WEEK, day=date(2026, 10, 14))
    assert sum(kwh for _, kwh in usage.shares) == usage.kwh
    by_line = {line.tou for line in own.bill(own.bills(own.accounts[0].id).bills[0].id).lines if line.tou}
    assert by_line <= {period.code for period, _ in usage.shares}


def test_a_year_costs_its_bills_and_what_is_running(street):
    own = street.own(CLOCK)
    account = own.accounts[0]
    months = months_of(own, account)
    year = usage_of(own, account, span=Span.YEAR, day=date(2026, 11, 1))
    assert [one.cost for one in year.bins if one.kwh is not None] == [
        months.last.cost.amount, months.this.cost.amount,
    ]  # fmt: skip


def test_the_file_says_what_the_page_says(street):
    answer = street.browser(CLOCK).get("/portal/usage.csv?span=month&at=2026-10-05")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    own = street.own(CLOCK)
    assert len(rows) == 32
    column = next(number for number, name in enumerate(rows[0]) if "kWh" in name)
    total = sum(Decimal(row[column].replace(",", "")) for row in rows[1:])
    assert total == own.bills(own.accounts[0].id).bills[0].energy_kwh


# money


def test_a_payment_settles_the_oldest_bill_first(street):
    own = OwnAccounts.of(street.town.services(), street.ann.customer_id)
    dues = own.dues(account_of(street.town, FLAT))
    bill = own.bill(max(street.ann.bills))
    assert dues.balance == bill.total - Money(Decimal(20), "CNY")
    assert dues.open == {bill.id: dues.balance}
    page = street.ann.browser.get(f"/portal/bills/{bill.id}")
    assert f"CN¥{dues.balance.amount:.2f} open" in page.text


def test_bills_of_all_accounts_go_on_by_cursor(street):
    found, after = [], ""
    while after is not None:
        answer = street.ann.browser.get(f"/api/v1/portal/bills?limit=1{after and '&after=' + after}").json()
        found += [bill["id"] for bill in answer["items"]]
        after = answer["next"]
    assert found == sorted(street.ann.bills, reverse=True)


def test_the_document_is_the_bills(street):
    bill = max(street.ann.bills)
    answer = street.ann.browser.get(f"/portal/bills/{bill}/pdf?language=en")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF")


# the pages


@pytest.mark.parametrize("language", ["zh-CN", "en"])
@pytest.mark.parametrize(
    "path", [*PLAIN_PATHS[:6], "/portal/usage?span=day", "/portal/usage?span=year&unit=money"]
)
def test_a_page_is_light(street, path, language):
    """Whole and not compressed: less than a tenth of this travels, and nothing of it again on the next page."""
    browser = street.ann.browser
    page = browser.get(path, headers={"accept-language": language})
    names = [part.split('"')[0] for part in page.text.split('="/static/')[1:]]
    files = {name for name in names if "icons.svg" not in name} | {"icons.svg"}
    weight = len(page.content) + sum(len(browser.get(f"/static/{name}").content) for name in files)
    assert weight < 150_000
    assert "charts" not in page.text
    assert "style=" not in page.text


def test_the_first_page_says_what_one_owes_and_how_the_meter_fares(street):
    browser = street.browser(7)
    page = browser.get("/portal").text
    own = street.own(7)
    bill = own.bills(own.accounts[0].id).bills[0]
    assert f"CN¥{bill.total.amount:.2f}" in page
    assert "Your meter does not answer at the moment." in page
    assert "Last answer: 22 Nov 2026, 12:37" in page


@pytest.mark.parametrize(
    "path", ["/portal?account=x", "/portal/usage?span=hour", "/portal/usage?at=2026-13-01"]
)
def test_what_cannot_be_understood_is_refused(street, path):
    assert street.ann.browser.get(path).status_code == 422


@pytest.mark.parametrize("at", ["0001-01-01", "9999-12-31", "2026-11-22"])
@pytest.mark.parametrize("span", list(Span))
def test_any_day_can_be_asked_for(street, span, at):
    assert street.ann.browser.get(f"/portal/usage?span={span}&at={at}").status_code == 200


def test_a_mistaken_address_stays_in_the_portal(street):
    page = street.ann.browser.get("/portal/bills/999999")
    assert page.status_code == 404
    assert 'href="/portal/usage' in page.text
    assert 'href="/portal">Home' in page.text
