"""Numbers, money and times as each language writes them; and no text left untranslated."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

from wattkeeper.kernel.money import Money
from wattkeeper.web import language as module
from wattkeeper.web.language import language, preferred

WEB = Path(module.__file__).parent
INSTANT = datetime(2026, 11, 22, 18, 5, 9, tzinfo=UTC)  # 02:05:09 of the 23rd in Shanghai


@pytest.fixture
def zh():
    return language("zh").at(ZoneInfo("Asia/Shanghai"))


@pytest.fixture
def en():
    return language("en").at(ZoneInfo("Europe/Berlin"))


def test_times_are_told_in_the_zone_of_the_site(zh, en):
    assert zh.moment(INSTANT, seconds=True) == "2026-11-23 02:05:09"
    assert en.moment(INSTANT) == "22 Nov 2026, 19:05"
    assert (zh.day(INSTANT), en.day(INSTANT)) == ("11月23日 周一", "Sun 22 Nov")
    assert (zh.month(date(2026, 10, 1)), en.month(date(2026, 10, 1))) == ("2026年10月", "October 2026")


def test_numbers_keep_their_digits(zh):
    assert zh.number(Decimal("1234567.5"), 2) == "1,234,567.50"
    assert zh.number(None, 2) == "–"
    assert zh.exact(Decimal("0.55830000")) == "0.5583"
    assert zh.exact(Decimal(40)) == "40"
    assert zh.exact(Decimal("351.6"), 2) == "351.60"
    assert zh.reading(Decimal("230.4000"), "voltage_l1") == "230.4"


def test_a_price_keeps_every_digit_beside_its_currency(zh, en):
    assert (zh.price(Decimal("0.4883"), "CNY"), en.price(Decimal("0.4883"), "CNY")) == (
        "¥0.4883",
        "CN¥0.4883",
    )
    assert (zh.price(Decimal("1.142784"), "CNY"), zh.price(Decimal(1200), "CNY")) == (
        "¥1.142784",
        "¥1,200.00",
    )


@pytest.mark.parametrize("decimals", [0, 1, 3])
@pytest.mark.parametrize(
    "value",
    [
        0,
        7,
        -1234567,
        10**20,
        2.675,
        -0.5,
        1e21,
        Decimal("0.125"),
        Decimal("2.5"),
        Decimal("-1234.5"),
        Decimal("9999.9996"),
    ],
)
def test_a_number_is_written_as_babel_writes_it(zh, en, value, decimals):
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    for say in (zh, en):
        assert say.number(value, decimals) == format_decimal(value, format=pattern, locale=say.locale)


def test_money_shows_its_currency(zh, en):
    assert zh.money(Money(Decimal("-5.5"), "CNY")) == "-¥5.50"
    assert en.money(Money(Decimal("1234.50"), "CNY")) == "CN¥1,234.50"


def test_only_all_is_a_hundred_percent(zh):
    assert [zh.percent(share) for share in (1.0, 0.99999, 0.5, 0.0, None)] == [
        "100.0%",
        "99.9%",
        "50.0%",
        "0.0%",
        "–",
    ]


@pytest.mark.parametrize(
    ("accept", "code"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("de,en;q=0.5", "en"),
        ("en;q=0.1, zh;q=0.2", "zh"),
        ("en;q=oops,zh", "zh"),
    ],
)
def test_the_browser_chooses_the_language(accept, code):
    assert preferred(accept, default="en") == code


def _messages() -> set[str]:
    """Every message of templates and code."""
    found = extract_from_dir(
        WEB,
        method_map=[("**.py", "python"), ("**/templates/**.html", "jinja2")],
        keywords={"N_": None, "text": None, "_": None, "gettext": None},
    )
    return {message for _, _, message, _, _ in found if isinstance(message, str)}


@pytest.mark.parametrize("code", ["zh_CN", "en"])
def test_the_catalogue_has_every_message_and_no_other(code):
    with (WEB / "locale" / code / "messages.po").open("rb") as file:
        catalogue = {message.id: message for message in read_po(file) if message.id}
    assert set(catalogue) == _messages()
    assert not [message.id for message in catalogue.values() if message.fuzzy]


def test_every_message_is_translated_with_the_same_places():
    with (WEB / "locale" / "zh_CN" / "messages.po").open("rb") as file:
        messages = [message for message in read_po(file) if message.id]
    places = re.compile(r"%\(\w+\)s|%%|\{n\}")
    for message in messages:
        assert message.string, f"not translated: {message.id}"
        assert sorted(places.findall(message.id)) == sorted(places.findall(message.string)), message.id


def test_templates_contain_no_text_outside_the_catalogue():
    """What stands between tags is either an expression or no word."""
    allowed = {"kWh", "OBIS", "PDF", "中文", "English", "OpenAPI", "ms", "kW", "kB", "Zh"}
    for path in sorted((WEB / "templates").glob("*.html")):
        text = path.read_text(encoding="utf-8")
        bare = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", text, flags=re.DOTALL)
        bare = re.sub(r"<[^>]*>", " ", bare, flags=re.DOTALL)
        words = set(re.findall(r"[A-Za-z\u4e00-\u9fff]{2,}", bare)) - allowed
        assert not words, f"{path.name}: {words}"


def test_templates_have_no_inline_script_style_or_handler():
    for path in sorted((WEB / "templates").glob("*.html")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:|hx-on", text), path.name
        assert not [tag for tag in re.findall(r"<script[^>]*>", text) if "src=" not in tag], path.name


def test_every_htmx_element_carries_its_own_target():
    """Version 4 inherits nothing: an element without hx-target would swap its answer into itself."""
    for path in sorted((WEB / "templates").glob("*.html")):
        text = re.sub(r"\{%.*?%\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for tag in re.findall(r"<\w+[^<]*?\shx-(?:get|post|put|patch|delete)=[^<]*?>", text, flags=re.DOTALL):
            assert "hx-target=" in tag, f"{path.name}: {tag}"
