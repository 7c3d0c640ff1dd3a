"""`wattkeeper demo`: what a newcomer sees, that a kill in the middle costs nothing, and that Ctrl-C ends it.

On an idle machine it is all there within a minute; the limits here leave room for one that runs other tests.
"""

import contextlib
import re
import signal
import time
from collections import Counter
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx2
import pytest

ROLES = {
    "admin": "/",
    "operator": "/",
    "clerk": "/",
    "analyst": "/",
    "customer": "/portal",
}
"""Who signs in, and where they begin."""
TOLD = [("trip", {"asked": 1}), ("keep_power_on", {"confirmed": 1})]
"""What meters were told, newest first."""


class Visitor:
    """Somebody who is signed in."""

    def __init__(self, client: httpx2.Client, login: str, password: str) -> None:
        self.client = client
        answer = self.client.post("/sign-in", data={"login": login, "password": password})
        assert answer.status_code == 303, answer.text
        self.begins_at = answer.headers["location"]

    def ask(self, path: str, **query: object) -> dict:
        answer = self.client.get(f"/api/v1{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def all(self, path: str, **query: object) -> list[dict]:
        """The items of all pages."""
        page = self.ask(path, limit=100, **query)
        items = page["items"]
        while page.get("next") is not None:
            page = self.ask(path, limit=100, after=page["next"], **query)
            items += page["items"]
        return items


@pytest.fixture
def visit():
    """Sign in, with a browser of one's own."""
    with contextlib.ExitStack() as stack:

        def begin(url: str, login: str, password: str) -> Visitor:
            client = stack.enter_context(httpx2.Client(base_url=url, timeout=30))
            return Visitor(client, login, password)

        yield begin


def wait_until(check, *, within: float):
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.5)
    pytest.fail(f"not within {within} s: {check.__name__}")


def password_in(said: str) -> str:
    return re.search(r"password\s+(\S+)", said).group(1)


def last_month() -> str:
    """Like 2026-02."""
    this_month = datetime.now(ZoneInfo("Asia/Shanghai")).replace(day=1)
    return f"{this_month - timedelta(days=1):%Y-%m}"


@pytest.mark.slow  # two minutes and all cores; `.ci/run` asks for it by name
@pytest.mark.timeout(900)
def test_a_year_of_history_and_bills_comes_in_through_a_kill_and_nothing_is_doubled(start, visit, tmp_path):
    first = start("demo", "--port", 0, "--data-dir", tmp_path / "demo")
    url = first.url()
    first.wait_for("Ctrl-C stops", 10)
    password = password_in(first.said())
    for login, begins_at in ROLES.items():
        assert visit(url, login, password).begins_at == begins_at
    admin = visit(url, "admin", password)
    meters = admin.all("/meters")
    assert len(meters) == 33

    def values_are_live():
        return admin.ask(f"/meters/{meters[0]['id']}/values")

    def some_bills_are_there():
        return admin.ask("/bills", limit=20)["items"][19:]

    def one_command_is_carried_out_and_one_waits():
        told = admin.ask("/command-batches")["items"]
        return [(batch["kind"], batch["counts"]) for batch in told] == TOLD

    wait_until(values_are_live, within=60)
    wait_until(one_command_is_carried_out_and_one_waits, within=60)
    wait_until(some_bills_are_there, within=300)
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(10)
    assert "Traceback" not in first.said()

    again = start("demo", "--port", 0, "--data-dir", tmp_path / "demo")
    url = again.url()
    again.wait_for("Ctrl-C stops", 10)
    assert password_in(again.said()) == password
    clerk = visit(url, "clerk", password)
    assert [(batch["kind"], batch["counts"]) for batch in clerk.ask("/command-batches")["items"]] == TOLD

    def newest_bills():
        """Of 27 accounts, but for that of the silent meter, and perhaps that of the noisy one."""
        return len(clerk.all("/bills", month=last_month())) >= 25

    wait_until(newest_bills, within=400)
    bills = clerk.all("/bills")
    assert set(Counter((bill["account_id"], bill["start"]) for bill in bills).values()) == {1}
    months = Counter(bill["account_id"] for bill in bills).values()
    assert (len(months), max(months), sum(number == 12 for number in months) >= 25) == (27, 12, True)
    assert {bill["state"] for bill in bills} == {"issued", "paid"}
    receipts = [payment["receipt"] for payment in clerk.all("/payments")]
    assert len(set(receipts)) == len(receipts) > 250
    assert again.interrupt(30) == 0
    assert "Traceback" not in again.said()
