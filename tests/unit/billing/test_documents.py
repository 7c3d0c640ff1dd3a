"""A bill on paper says what the bill says, in both languages, and takes no markup from anybody."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pypdfium2
import pytest

from wattkeeper.billing.documents import bill_content, bill_pdf
from wattkeeper.billing.errors import DocumentError
from wattkeeper.billing.library import TariffLibrary
from wattkeeper.billing.rating import Use, rate
from wattkeeper.billing.values import BillState, BillView, Party, ReadingRow
from wattkeeper.kernel.money import Money
from wattkeeper.kernel.timerange import TimeRange

OCTOBER = TimeRange.month(2026, 10, ZoneInfo("Asia/Shanghai"))


@pytest.fixture
def printed():
    def make(**changes):
        tariff = TariffLibrary.open().get("cn-shanghai-residential-tou")
        use = Use(OCTOBER, Decimal("412.36"), (("peak", Decimal(300)), ("valley", Decimal("112.36"))))
        rated = rate(tariff, [use], in_force=tariff.period, used_before={})
        row = ReadingRow(
            "P1",
            "3-2-601 户表",
            "000000000161",
            "active_energy_import",
            OCTOBER,
            Decimal("12345.67"),
            Decimal("12758.03"),
            1,
            2,
            Decimal(1),
            Decimal("412.36"),
        )
        values = {
            "id": 1, "number": "A1-20261001-1", "account_id": 1, "period": OCTOBER,
            "issued_at": datetime(2026, 11, 1, tzinfo=UTC), "due_at": None, "state": BillState.ISSUED,
            "cancels_id": None, "cancelled_by_id": None, "replaces_id": None, "reason": None,
            "party": Party("A1", "王小明", "文三路 88 号", "王小明", "翠苑小区", "Asia/Shanghai"),
            "tariff_code": tariff.code, "tariff_zh": tariff.name_zh, "tariff_en": tariff.name_en,
            "energy_kwh": use.kwh, "total": Money(rated.total, "CNY"), "previous_balance": Money(Decimal("-12.50"), "CNY"),
            "estimated": False, "lines": rated.lines, "readings": (row,), "inputs": {}, "verification": "0123456789ABCDEF",
        }  # fmt: skip
        return BillView(**{**values, **changes})

    return make


def text_of(pdf):
    document = pypdfium2.PdfDocument(pdf)
    pages = [document[number] for number in range(len(document))]
    texts = [page.get_textpage() for page in pages]
    found = "\n".join(text.get_text_range() for text in texts)
    for part in (*texts, *pages, document):
        part.close()
    return found.replace("\r\n", "\n")


def test_the_chinese_bill_says_everything(printed):
    said = text_of(bill_pdf(printed(), "zh"))
    for wanted in (
        "电费账单",
        "A1-20261001-1",
        "王小明",
        "文三路",
        "12,345.67",
        "12,758.03",
        "2026-10-01 – 2026-10-31",
        "¥219.59",
        "−¥12.50",
        "¥207.09",
        "贰佰壹拾玖元伍角玖分",
        "0123456789ABCDEF",
    ):
        assert wanted in said


def test_the_english_bill_says_everything(printed):
    said = text_of(bill_pdf(printed(), "en"))
    for wanted in (
        "Electricity bill",
        "Energy, Tier 1, Peak",
        "Tier 1: 0–3120 kWh this year",
        "300.00 kWh",
        "0.6170",
        "185.10",
        "Amount due",
    ):
        assert wanted in said


def test_what_a_person_typed_is_text_and_never_markup(printed):
    hostile = '#read("/etc/passwd") $x$ *b* <a> @ref " \\ ${'
    said = text_of(
        bill_pdf(printed(party=Party("A1", hostile, hostile, hostile, hostile, "Asia/Shanghai")), "zh")
    )
    assert '#read("/etc/passwd") $x$ *b* <a> @ref " \\ ${' in said


def test_a_credit_an_estimate_and_a_cancellation_are_named(printed):
    credit = bill_content(printed(previous_balance=Money(Decimal(-500), "CNY"), estimated=True), "en")
    assert (credit["after_is_credit"], credit["note"]) == (True, "This bill contains estimated energy")
    assert bill_content(printed(state=BillState.CANCELLED), "zh")["note"] == "本账单已作废"
    assert bill_content(printed(cancels_id=1), "en")["words"]["title"] == "Cancellation of bill"


def test_a_bill_of_many_lines_runs_over_pages(printed):
    bill = printed()
    document = pypdfium2.PdfDocument(bill_pdf(printed(lines=bill.lines * 20), "zh"))
    assert len(document) == 3
    document.close()


def test_missing_fonts_are_named(printed, tmp_path):
    with pytest.raises(DocumentError, match=r"NotoSansSC-Regular.ttf, NotoSansSC-Bold.ttf"):
        bill_pdf(printed(), "zh", fonts=tmp_path)


def test_an_unknown_language_is_refused(printed):
    with pytest.raises(DocumentError, match="zh, en"):
        bill_pdf(printed(), "fr")
