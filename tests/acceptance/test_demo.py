"""`wattkeeper demo`: what a newcomer sees, that it is there again at the second start, and that Ctrl-C ends it.

On an idle machine it is all there within a minute; the limits here leave room for one that runs other tests.
"""

import json
import time
import urllib.request

import pytest


def ask(url: str, path: str):
    with urllib.request.urlopen(f"{url}/api/v1{path}", timeout=20) as answer:
        return json.load(answer)


def wait_until(check, *, within: float):
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.5)
    pytest.fail(f"not within {within} s: {check.__name__}")


@pytest.mark.timeout(400)
def test_a_first_start_shows_live_values_a_month_of_history_and_bills_and_a_second_finds_them(
    start, tmp_path
):
    demo = start("demo", "--port", 0, "--data-dir", tmp_path / "demo")
    url = demo.url()
    meters = ask(url, "/meters?limit=100")["items"]
    assert len(meters) == 27

    def values_are_live():
        return ask(url, f"/meters/{meters[0]['id']}/values")

    def all_but_the_dead_meter_are_billed():
        bills = ask(url, "/bills?limit=100")["items"]
        return bills if len(bills) >= 25 else None

    wait_until(values_are_live, within=60)
    bills = wait_until(all_but_the_dead_meter_are_billed, within=240)
    assert all(float(bill["total"]["amount"]) > 0 for bill in bills)
    assert demo.interrupt(30) == 0
    assert "Traceback" not in demo.said()

    again = start("demo", "--port", 0, "--data-dir", tmp_path / "demo")
    assert len(ask(again.url(), "/bills?limit=100")["items"]) >= 25
    assert again.interrupt(30) == 0
