"""Customers, accounts, bills and payments: found, entered, changed, each act on record."""

import re
from decimal import Decimal

import pytest
from tests.integration.web.conftest import ZONE, Town, add_user, signed_in

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.security.rights import Role
from wattkeeper.web.application import create_application

API = "/api/v1"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """A town of its own: bills are cancelled here, and points moved."""
    built = Town(tmp_path_factory.mktemp("money"))
    built.bill()
    yield built
    built.close()


@pytest.fixture(scope="module")
def application(ledger):
    return create_application(ledger.services())


@pytest.fixture(scope="module")
def clerk(ledger, application):
    return signed_in(application, add_user(ledger, "clerk", Role.CLERK))


@pytest.fixture(scope="module")
def analyst(ledger, application):
    return signed_in(application, add_user(ledger, "analyst", Role.ANALYST))


def said(answer):
    """What a person reads on a page."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", answer.text.partition('id="main"')[2], flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def acts(ledger, action):
    return ledger.security.audit(action=action).rows


def codes(answer):
    return re.findall(r'data-href="/accounts/(\d+)"', answer.text)


def test_accounts_are_filtered_and_sorted_by_the_server(clerk, ledger):
    owing = set(codes(clerk.get("/accounts?show=owing")))
    paid = {str(ledger.accounts[f"{100 + number:012d}"]) for number in range(2)}
    assert owing
    assert not owing & paid
    assert codes(clerk.get("/accounts?kind=industrial")) == [str(ledger.accounts["000000000123"])]
    assert codes(clerk.get("/accounts?show=without_tariff")) == []
    listed = clerk.get(f"{API}/accounts?sort=balance&descending=1&limit=500").json()["items"]
    amounts = [Decimal(item["balance"]["amount"]) for item in listed]
    assert amounts == sorted(amounts, reverse=True)


def test_accounts_by_balance_go_on_without_repeat_or_hole(clerk):
    whole = clerk.get(f"{API}/accounts?sort=balance&limit=500").json()["items"]
    parts, after = [], None
    while True:
        page = clerk.get(
            f"{API}/accounts", params={"sort": "balance", "limit": 5} | ({"after": after} if after else {})
        )
        parts += page.json()["items"]
        if (after := page.json()["next"]) is None:
            break
    assert parts == whole


def test_customers_are_found_by_name_phone_and_account_number(clerk):
    def names(search):
        return [
            item["code"] for item in clerk.get(f"{API}/customers", params={"search": search}).json()["items"]
        ]

    assert names("华东") == ["C023"]
    assert names("33010000023") == ["C023"]
    assert len(names("13800000000")) == 24
    assert names("nobody") == []


def test_a_customer_is_entered_changed_and_given_an_account(clerk, ledger):
    entered = clerk.post(
        "/customers", data={"code": "C900", "name": "新用户", "phone": "139"}, follow_redirects=False
    )
    page = entered.headers["location"].partition("?")[0]
    assert clerk.post("/customers", data={"code": "C900", "name": "again"}).status_code == 409
    clerk.post(
        f"{page}/edit", data={"code": "C900", "name": "新用户", "phone": "138", "email": "a@example.org"}
    )
    change = acts(ledger, "customer.change")[0]
    assert (change.before["phone"], change.after["phone"], change.actor_name) == ("139", "138", "clerk")
    opened = clerk.post(
        f"{page}/accounts", data={"code": "9001", "name": "新户", "kind": "residential", "opened": "2026-11-01T00:00"}
    )  # fmt: skip
    assert "The account is open." in said(opened)
    assert "9001" in said(clerk.get(page))
    assert acts(ledger, "account.open")[0].after["code"] == "9001"


def _new_account(clerk, code):
    customer = clerk.post(f"{API}/customers", json={"code": f"C-{code}", "name": code}).json()
    opening = {"code": code, "name": code, "opened_at": "2026-11-01T00:00:00+08:00"}
    return clerk.post(f"{API}/customers/{customer['id']}/accounts", json=opening).json()["id"]


def test_a_point_is_moved_from_an_instant_on_unless_that_is_billed(clerk, ledger):
    account = _new_account(clerk, "9100")
    url = f"{API}/accounts/{account}/points"
    refused = clerk.post(url, json={"point": "P003", "at": "2026-10-15T00:00:00+08:00"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:wattkeeper:problem:billing-refused")
    assert clerk.post(url, json={"point": "P003", "at": "2026-11-10T00:00:00+08:00"}).status_code == 201
    assert clerk.get(f"{API}/accounts/{account}").json()["points"][0]["code"] == "P003"
    former = clerk.get(f"{API}/accounts/{ledger.accounts['000000000103']}").json()["points"]
    assert [(point["code"], point["end"]) for point in former] == [("P003", "2026-11-09T16:00:00Z")]
    moved = acts(ledger, "point.move")[0]
    assert (moved.before, moved.after["account"]) == ({"account": "33010000003"}, "9100")


def test_an_account_is_closed_once_and_lets_go_of_its_points(clerk, ledger):
    account = ledger.accounts["000000000104"]
    url = f"{API}/accounts/{account}/closing"
    assert clerk.post(url, json={"at": "2026-10-20T00:00:00+08:00"}).status_code == 409  # October is billed
    closed = clerk.post(url, json={"at": "2026-11-15T00:00:00+08:00"})
    assert closed.json()["closed_at"] == closed.json()["points"][0]["end"] == "2026-11-14T16:00:00Z"
    assert clerk.post(url, json={"at": "2026-11-16T00:00:00+08:00"}).status_code == 422
    assert acts(ledger, "account.close")[0].after["released"] == ["P004"]


def test_a_tariff_is_shown_before_it_is_assigned(clerk, ledger):
    account = ledger.accounts["000000000106"]
    page = f"/accounts/{account}/tariff"
    ahead = clerk.get(f"{page}?tariff=cn-zhejiang-residential&month=2026-11")
    assert "applies instead of" in said(ahead)
    assert len(ledger.billing.assigned_tariffs(account)) == 1
    assert clerk.get(f"{page}?tariff=cn-zhejiang-residential&month=2026-10").status_code == 409
    assert "The tariff is assigned." in said(
        clerk.post(page, data={"tariff": "cn-zhejiang-residential", "month": "2026-11"})
    )
    assert [item.tariff_code for item in ledger.billing.assigned_tariffs(account)][
        -1
    ] == "cn-zhejiang-residential"


def test_the_first_tariff_is_offered_from_the_opening_and_a_change_from_next_month(clerk, ledger):
    customer = clerk.post(f"{API}/customers", json={"code": "C-9200", "name": "9200"}).json()["id"]
    opening = {"code": "9200", "name": "9200", "opened_at": "2024-05-10T00:00:00+08:00"}
    account = clerk.post(f"{API}/customers/{customer}/accounts", json=opening).json()["id"]
    assert '<option value="2024-05" selected>' in clerk.get(f"/accounts/{account}/tariff").text
    billed = ledger.accounts["000000000107"]
    assert '<option value="2026-12" selected>' in clerk.get(f"/accounts/{billed}/tariff").text


def test_a_bill_is_cancelled_for_a_reason_and_after_asking_twice(clerk, analyst, ledger):
    account = ledger.accounts["000000000108"]
    bill = clerk.get(f"{API}/bills", params={"account": account}).json()["items"][0]
    page = f"/bills/{bill['id']}/cancel"
    assert analyst.post(page, data={"reason": "why not", "sure": bill["number"]}).status_code == 403
    for form in (
        {},
        {"reason": "misread"},
        {"sure": bill["number"]},
        {"reason": "  ", "sure": bill["number"]},
    ):
        assert clerk.post(page, data=form).status_code == 422
    assert ledger.billing.bill(bill["id"]).cancelled_by_id is None
    done = said(clerk.post(page, data={"reason": "The register was misread.", "sure": bill["number"]}))
    assert "The register was misread." in done
    assert "by clerk" in done
    assert ledger.billing.balance(account).amount == 0
    assert clerk.post(page, data={"reason": "again", "sure": bill["number"]}).status_code == 409
    states = [
        item["state"] for item in clerk.get(f"{API}/bills", params={"account": account}).json()["items"]
    ]
    assert states == ["cancellation", "cancelled"]
    assert acts(ledger, "bill.cancel")[0].after["reason"] == "The register was misread."


def test_money_is_taken_on_the_accounts_page_by_who_is_signed_in(clerk, ledger):
    account = ledger.accounts["000000000110"]
    page = clerk.get(f"/accounts/{account}").text
    form = {
        "key": re.search(r'name="key" value="(\w+)"', page)[1],
        "amount": "20.00",
        "method": "cash",
        "cashier": "somebody else",
    }
    for _ in range(2):
        assert (
            clerk.post(f"/accounts/{account}/payments", data=form, follow_redirects=False).status_code == 303
        )
    (payment,) = ledger.billing.payments(account)
    assert payment.cashier == "Clerk"
    receipt = said(clerk.get(f"/payments/{payment.id}"))
    assert payment.receipt in receipt
    assert "CN¥20.00" in receipt


def test_payments_are_filtered_and_summed(clerk, ledger):
    page = clerk.get(
        f"{API}/payments", params={"cashier": "王敏", "since": "2026-11-22", "until": "2026-11-22"}
    ).json()
    assert page["total"] == 2
    assert Decimal(page["sums"][0]["amount"]) == sum(
        Decimal(item["amount"]["amount"]) for item in page["items"]
    )
    assert clerk.get(f"{API}/payments", params={"until": "2026-11-21"}).json()["items"] == []
    assert "2 payments" in said(clerk.get("/payments?cashier=王敏"))


def test_bills_are_filtered_by_state_month_and_number(clerk, ledger):
    def numbers(**asked):
        return {
            item["number"]
            for item in clerk.get(f"{API}/bills", params={"limit": 500} | asked).json()["items"]
        }

    everything = numbers()
    by_state = {state: numbers(state=state) for state in ("issued", "paid", "cancelled", "cancellation")}
    assert set.union(*by_state.values()) == everything
    assert sum(map(len, by_state.values())) == len(everything)
    assert len(by_state["paid"]) >= 2
    assert numbers(month="2026-09") == set()
    assert numbers(month="2026-10") == everything
    assert numbers(search="33010000023") == {"33010000023-20261001-1"}
    assert numbers(estimated=True) <= everything


def test_what_is_owed_is_told_by_its_age(clerk, ledger):
    from datetime import timedelta

    account = ledger.accounts["000000000111"]
    owed = ledger.billing.balance(account)
    for days, age in ((0, "not_due"), (30, "days_30"), (31, "days_60"), (61, "older")):
        ageing = ledger.billing.books.ageing(account, now=ledger.now + timedelta(days=days))
        assert {key: getattr(ageing, key) for key in ("not_due", "days_30", "days_60", "older")}[age] == owed
        assert ageing.credit.amount == 0
    assert "not due yet" in said(clerk.get(f"/accounts/{account}"))


def test_buttons_stand_only_where_one_may(clerk, analyst, ledger):
    account, bill = ledger.accounts["000000000112"], ledger.bills[12]
    for path, button in (
        (f"/accounts/{account}", "Record payment"),
        (f"/accounts/{account}", "Assign a tariff"),
        (f"/accounts/{account}", "Issue bill"),
        (f"/bills/{bill}", "Cancel this bill"),
        ("/customers", "New customer"),
    ):
        assert button in said(clerk.get(path)), (path, button)
        assert button not in said(analyst.get(path)), (path, button)


def test_months_that_lack_a_bill_are_counted_and_listed_alike(ledger, clerk):
    november = TimeRange.month(2026, 11, ZONE)
    assert ledger.billing.books.unbilled(november) == 0  # nobody is billed for it yet
    listed = clerk.get(f"{API}/accounts", params={"unbilled": "2026-11", "limit": 500}).json()
    assert listed["total"] == len(listed["items"]) > 20
