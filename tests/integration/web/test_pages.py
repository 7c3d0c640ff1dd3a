"""Every page, in both languages, on a town with a past and on the day of installation."""

import re
from dataclasses import replace
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from starlette.testclient import TestClient
from tests.integration.web.conftest import Town, add_user, signed_in

from wattkeeper.security.rights import Role
from wattkeeper.web.application import create_application
from wattkeeper.web.language import language
from wattkeeper.web.queries.overview import Task, figures, overview

PAGES = {
    "/": ("滨江", "今日电量", "Energy today"),
    "/meters": ("000000000100", "最近读数", "Last reading"),
    "/meters/1": ("230.4", "立即抄读", "Read now"),
    "/meters/24?span=week&compare=1": ("华东精密机械厂", "每日电量", "Energy by day"),
    "/links": ("tcp://10.0.0.11:8001", "实时报文", "Frames as they pass"),
    "/links/works": ("tcp://10.0.0.13:8001 refused the connection.", "中断", "down"),
    "/bills": ("33010000000-20261001", "账期", "Period"),
    "/bills/1": ("265.07", "金额怎样得来", "How the amount comes about"),
    "/accounts": ("33010000001", "欠费", "Owes"),
    "/accounts/1": ("33010000000", "往来明细", "Statement"),
    "/tariffs": ("cn-zhejiang-residential", "适用", "Applies to"),
    "/import": ("000000000161", "下载模板", "Download the template"),
    "/frames?hex=6861010000000068910833333433593333338A16": ("0.26", "报文解析", "Explain a frame"),
    "/api": ("/api/v1/meters", "接口，第 1 版", "The API, version 1"),
}
# Words of the standard, units, names and addresses that stand in Latin letters on a Chinese page, too.
LATIN = {
    "English", "PDF", "DL", "kWh", "kW", "kvar", "kV", "Hz", "OBIS", "ms", "TCP", "DDZY", "DTZY", "TOU", "IANA",
    "CSV", "Ctrl", "JSON", "UTC", "OpenAPI", "problem", "json", "RFC", "Excel", "YAML", "CT", "PT", "CNY", "xlsx", "csv",
}  # fmt: skip


def text_of(html: str) -> str:
    """What a person reads on a page."""
    body = re.sub(r"<(script|style|textarea|kbd)\b.*?</\1>", " ", html.partition("<body")[2], flags=re.DOTALL)
    body = re.sub(r'<(\w+)[^>]* lang="(?:en|zh)".*?</\1>', " ", body, flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]*>", " ", body))


@pytest.mark.parametrize("path", PAGES)
def test_a_page_says_what_it_is_for_in_both_languages(client, english, path):
    fact, zh, en = PAGES[path]
    for browser, word, tag in ((client, zh, "zh-CN"), (english, en, "en")):
        answer = browser.get(path)
        assert answer.status_code == 200
        assert f'<html lang="{tag}"' in answer.text
        assert word in text_of(answer.text)
        assert fact in answer.text or path == "/"


@pytest.mark.parametrize(
    "path",
    [path for path in PAGES if path not in {"/api", "/links/works", "/import"} and "frames" not in path],
)
def test_a_chinese_page_has_no_english_sentence_of_ours(client, path):
    """Errors that come from a meter or link are sentences of their own; what the page itself says is Chinese."""
    text = text_of(client.get(path).text)
    text = re.sub(
        r"(Meter|tcp)[^。]*?attempts\.|tcp://\S+ refused the connection\.|\S*://\S*|\S*\w+-\w+-\S*|www\.\S+|\S+\.(com|cn)\S*",
        " ",
        text,
    )
    words = set(re.findall(r"[A-Za-z]{2,}", text)) - LATIN
    known = set(
        re.findall(
            r"[A-Za-z]{2,}", " ".join(m for m in language("en").translations._catalog if isinstance(m, str))
        )
    )
    assert not (words & known), words & known


@pytest.mark.parametrize(
    "path", ["/", "/meters", "/links", "/bills", "/accounts", "/tariffs", "/import", "/frames", "/api"]
)
def test_an_empty_installation_says_what_to_do(empty, path):
    answer = empty.get(path)
    assert answer.status_code == 200
    if path in {"/", "/meters", "/links", "/accounts"}:
        assert 'href="/import"' in answer.text.partition('id="main"')[2]


@pytest.fixture
def unwatched(tmp_path):
    """A browser on a town of its own, in which no alarm was raised or acknowledged yet."""
    town = Town(tmp_path)
    yield signed_in(
        create_application(town.services()), add_user(town, "chief", Role.ADMINISTRATOR), language="zh-CN"
    )
    town.close()


def test_the_overview_tells_what_needs_a_person(unwatched):
    text = text_of(unwatched.get("/").text)
    assert "通道 厂区专线 中断" in text
    assert "电表 000000000107 无响应" in text
    assert "99.7%" in text
    assert "电表没有应答。请检查电表电源" in text
    assert "refused the connection" not in text


def test_an_operator_is_led_to_no_bill_and_no_account(browser, english, town):
    assert "Bills open" in english.get("/").text
    operator = signed_in(browser.app, add_user(town, "engineer", Role.OPERATOR))
    told = operator.get("/").text
    assert "What needs me now" in told
    assert "Bills open" not in told
    told = operator.get("/meters/1").text
    assert "33010000000" in told
    assert "/accounts/" not in told


def test_accounts_without_a_bill_are_a_task_of_who_may_see_accounts(town):
    say = language("en").at(ZoneInfo("Asia/Shanghai"))
    known = replace(figures(town.services(), say.zone), unbilled=2)
    clerk, operator = (overview(town.services(), say, known, accounts=may) for may in (True, False))
    assert [task for task in clerk.tasks if task not in operator.tasks] == [
        Task(
            "warn",
            "Accounts without a bill for October 2026: 2",
            "Their readings are incomplete, or nobody has issued the bill yet.",
            "/accounts?unbilled=2026-10",
            None,
        )
    ]
    assert (clerk.alarms, clerk.others) == (operator.alarms, operator.others + 1)


def test_the_overview_refreshes_its_living_part_alone(client):
    part = client.get("/", headers={"hx-request": "true", "hx-target": "div#now"}).text
    assert "<html" not in part
    assert "待办" in part
    assert 'data-chart="curve"' not in part


def test_a_meter_refreshes_its_facts_alone(client):
    part = client.get("/meters/1", headers={"hx-request": "true", "hx-target": "div#facts"}).text
    assert "<html" not in part
    assert "示数" in part
    assert "data-chart" not in part


def test_accounts_without_last_months_bill_are_a_task_and_a_list(client, town):
    page = text_of(client.get("/").text)
    codes = re.findall(r'href="/accounts/\d+">(\d+)<', client.get("/accounts?unbilled=2026-10").text)
    billed = {town.billing.bill(bill).party.account_code for bill in town.bills}
    assert not set(codes) & billed
    assert ("2026年10月尚未出账" in page) == bool(codes)


def test_the_api_reference_says_every_operation_in_chinese(client):
    cells = re.findall(r"<td>([^<]+)", client.get("/api").text)
    assert [cell for cell in cells if not re.search(r"[\u4e00-\u9fff]", cell)] == []


def test_the_list_of_meters_is_searched_filtered_and_paged_by_the_server(client):
    def addresses(query):
        return re.findall(r'class="mono" href="/meters/\d+">(\d{12})<', client.get(f"/meters?{query}").text)

    assert addresses("search=老街") == ["000000000120"]
    assert addresses("link=works") == ["000000000123"]
    assert addresses("state=silent") == ["000000000107"]
    assert addresses("descending=1")[:2] == ["000000000123", "000000000122"]
    assert addresses("search=nobody") == []
    assert "没有符合条件的电表" in client.get("/meters?search=nobody").text


def test_htmx_gets_the_fragment_it_asks_for(client):
    page = client.get("/meters", headers={"hx-request": "true", "hx-target": "div#results"})
    assert page.text.lstrip().startswith("<div")
    assert "<html" not in page.text
    assert page.headers["vary"].startswith("HX-Target")


def test_the_list_of_meters_is_exported(client):
    lines = client.get("/meters.csv?search=00000000010").text.splitlines()
    assert (
        lines[0] == "\ufeff表号,计量点,台区,通道,状态,正向有功示数 (kWh),功率 (kW),最近读数 (Asia/Shanghai)"
    )
    assert len(lines) == 11
    assert lines[1].startswith("000000000100,1号楼101室,1号公变台区,北区集中,正常,")


def test_reading_now_shows_the_values_or_why_there_are_none(client, town):
    fragment = {"hx-request": "true", "hx-target": "section#live"}
    assert "电表应答，读到 1 个数据" in client.post("/meters/1/read-now", headers=fragment).text
    silent = client.post(f"/meters/{town.meters['000000000107']}/read-now", headers=fragment)
    assert silent.status_code == 200
    assert "Meter 000000000107 did not answer in 3 attempts." in silent.text
    assert client.post("/meters/1/read-now", follow_redirects=False).headers["location"] == "/meters/1"


def test_without_a_collector_reading_now_says_so(town, client, administrator):
    from starlette.testclient import TestClient

    from wattkeeper.web.access import COOKIE
    from wattkeeper.web.application import create_application

    application = create_application(town.services(collecting=False))
    with TestClient(application, headers=dict(client.headers), cookies={COOKIE: administrator}) as browser:
        assert "disabled" in browser.get("/meters/1").text
        answer = browser.post("/api/v1/meters/1/read-now")
    assert (answer.status_code, answer.json()["type"]) == (
        503,
        "urn:wattkeeper:problem:collection-not-running",
    )


def test_a_value_is_traced_to_the_bytes_it_came_in(client, town):
    page = client.get(f"/exchanges/{town.exchanges[1]}").text
    register = next(
        row["value"]
        for row in town.store.latest(meter_ids=[1], quantities=["active_energy_import"]).to_pylist()
    )
    assert f"{register:.2f} kWh" in page
    assert "68 11 04 33 33 34 33" in re.sub(r"<[^>]*>|\s+", " ", page).replace("  ", " ")
    assert "84 ms" in page


def test_a_bill_explains_its_amount_from_readings_to_money(client):
    text = " ".join(text_of(client.get("/bills/1").text).split())
    assert "265.07 kWh" in text
    assert "( 265.07 − 0.00 ) × 1 倍率 = 265.07 kWh" in text
    assert "峰时段 08:00-21:00" in text


def test_a_bill_is_a_document_in_both_languages(client):
    for code in ("zh", "en"):
        answer = client.get(f"/bills/1/pdf?language={code}")
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.content.startswith(b"%PDF-")


def test_money_at_the_counter_is_recorded_once_however_often_one_clicks(client, town):
    bill = town.bills[4]
    page = client.get(f"/bills/{bill}").text
    form = {
        "key": re.search(r'name="key" value="(\w+)"', page)[1],
        "amount": re.search(r'name="amount"[^>]*value="([\d.]+)"', page)[1],
        "method": "cash",
        "cashier": "王敏",
    }
    for _ in range(2):
        answer = client.post(f"/bills/{bill}/payments", data=form, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/bills/{bill}?paid=1")
    account = town.billing.bill(bill).account_id
    assert len(town.billing.payments(account)) == 1
    assert town.billing.balance(account).amount == 0
    assert "已缴" in client.get(f"/bills/{bill}").text


@pytest.mark.parametrize("amount", ["", "abc", "1.005", "-1", "NaN"])
def test_an_amount_that_is_none_is_refused_with_a_sentence(client, amount):
    form = {"key": "12345678", "amount": amount, "method": "cash", "cashier": "x"}
    answer = client.post("/bills/6/payments", data=form)
    assert answer.status_code in {400, 409, 422}
    assert "notice bad" in answer.text or "操作未成功" in answer.text


def test_a_month_is_billed_once_and_says_why_not_twice(client, town):
    answer = client.post(f"/accounts/{town.accounts['000000000105']}/bills", data={"month": "2026-10"})
    assert answer.status_code == 409
    assert "notice bad" in answer.text


@pytest.fixture
def newcomers(tmp_path):
    """An administrator's browser on a town that may grow."""
    grows = Town(tmp_path)
    with TestClient(create_application(grows.services())) as opened:
        yield signed_in(opened.app, add_user(grows, "chief", Role.ADMINISTRATOR), language="zh-CN")
    grows.close()


def test_an_import_is_previewed_and_written_whole(newcomers):
    client = newcomers
    template = client.get("/import/template")
    assert template.content[:2] == b"PK"
    head = "Link code,Meter address,Point code,Point name,Installed at\n"
    wrong = client.post("/import/preview", files={"file": ("m.csv", head + "north,12,P900,x,2026-11-01\n")})
    assert "没有写入任何数据" in wrong.text
    assert 'name="token"' not in wrong.text
    right = client.post(
        "/import/preview", files={"file": ("m.csv", head + "north,000000000900,P900,新户,2026-11-01 00:00\n")}
    )
    token = re.search(r'name="token" value="([^"]+)"', right.text)[1]
    assert "000000000900" not in client.get("/meters?search=900").text
    assert "已导入：新增 1 行" in client.post("/import/apply", data={"token": token}).text
    assert "000000000900" in client.get("/meters?search=900").text
    assert client.post("/import/apply", data={"token": token}).status_code == 400


def test_a_new_installation_gets_its_site_before_its_meters(empty):
    wrong = {"code": "main", "name": "滨江", "zone": "Asia/Nowhere", "currency": "CNY"}
    assert "先建站点" in empty.get("/import?lang=zh").text
    assert "notice bad" in empty.post("/import/site", data=wrong).text
    right = empty.post("/import/site", data=wrong | {"zone": "Asia/Shanghai"}, follow_redirects=False)
    assert (right.status_code, right.headers["location"]) == (303, "/import")
    assert "/import/preview" in empty.get("/import").text


def test_what_is_not_there_is_a_page_that_says_so(client):
    for path in (
        "/meters/99999",
        "/bills/99999",
        "/accounts/99999",
        "/links/none",
        "/exchanges/1",
        "/nowhere",
    ):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "没有找到" in answer.text
        assert "There is no" not in re.sub(r'lang="en">[^<]*', "", answer.text)


def test_the_language_is_chosen_by_link_and_kept(client):
    assert '<html lang="en"' in client.get("/meters?lang=en").text
    assert '<html lang="en"' in client.get("/").text
    assert '<html lang="zh-CN"' in client.get("/?lang=zh").text
