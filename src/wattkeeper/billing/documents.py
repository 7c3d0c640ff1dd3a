"""A bill as PDF: values go to Typst as JSON, so that what a person typed is never markup."""

import io
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import segno
import typst

from wattkeeper.billing.capitals import yuan_in_capitals
from wattkeeper.billing.document_words import WORDS
from wattkeeper.billing.errors import DocumentError
from wattkeeper.billing.rules import kwh
from wattkeeper.billing.values import BillState, BillView, Line, ReadingRow

_FOLDER = Path(__file__).parent
_FONTS = _FOLDER / "fonts"
_FONT_FILES = ("NotoSansSC-Regular.ttf", "NotoSansSC-Bold.ttf")
_TEMPLATE = _FOLDER / "templates" / "bill.typ"
_SIGNS = {"CNY": "¥", "EUR": "€", "GBP": "£", "USD": "$"}
_FEWEST_DIGITS = 2


def bill_pdf(bill: BillView, language: str = "zh", *, fonts: Path = _FONTS) -> bytes:
    """The bill in Chinese ("zh") or English ("en"), as A4 PDF."""
    if language not in WORDS:
        raise DocumentError(
            f"There is no bill in the language {language!r}.", hint=f"Choose one of: {', '.join(WORDS)}."
        )
    missing = [name for name in _FONT_FILES if not (fonts / name).is_file()]
    if missing:
        raise DocumentError(
            f"The fonts of bills are missing from {fonts}: {', '.join(missing)}.",
            hint="Install Wattkeeper from its wheel, or build it with `uv sync`, which fetches them.",
        )
    try:
        return typst.compile(
            str(_TEMPLATE),
            font_paths=[str(fonts)],
            ignore_system_fonts=True,
            sys_inputs={"bill": json.dumps(bill_content(bill, language), ensure_ascii=False)},
        )
    except typst.TypstError as error:
        raise DocumentError(
            f"Bill {bill.number} could not be set: {error}.", hint="Please report this."
        ) from error


def bill_content(bill: BillView, language: str) -> dict[str, Any]:
    """Everything on the page as text, by the template's names."""
    words = WORDS[language]
    zone = ZoneInfo(bill.party.zone)
    sign = _SIGNS.get(bill.total.currency, bill.total.currency + " ")
    after = bill.previous_balance + bill.total
    return {
        "language": language,
        "words": {**words, "title": words["title_cancellation" if bill.cancels_id else "title"]},
        "number": bill.number,
        "note": _note(bill, words),
        "party": {
            "account": bill.party.account_code,
            "name": bill.party.account_name,
            "customer": bill.party.customer_name,
            "address": bill.party.account_address,
            "site": bill.party.site_name,
        },
        "period": _days(bill.period.start, bill.period.end, zone),
        "issued": f"{bill.issued_at.astimezone(zone):%Y-%m-%d}",
        "due": "" if bill.due_at is None else f"{bill.due_at.astimezone(zone):%Y-%m-%d}",
        "tariff": bill.tariff_zh if language == "zh" else bill.tariff_en,
        "energy": _grouped(bill.energy_kwh, 2),
        "readings": [_reading(row, zone) for row in bill.readings],
        "lines": [_line(line, language, zone) for line in bill.lines],
        "total": _money(bill.total.amount, sign),
        "capitals": _capitals(bill),
        "previous": _money(bill.previous_balance.amount, sign),
        "after": _money(after.amount, sign),
        "after_is_credit": after.amount < 0,
        "verification": bill.verification,
        "qr": _qr(bill),
    }


def _capitals(bill: BillView) -> str:
    return yuan_in_capitals(bill.total.amount) if bill.total.currency == "CNY" else ""


def _note(bill: BillView, words: dict[str, str]) -> str:
    if bill.state is BillState.CANCELLED:
        return words["cancelled"]
    return words["estimated"] if bill.estimated else ""


def _qr(bill: BillView) -> str:
    said = f"WATTKEEPER BILL\n{bill.number}\n{bill.total.amount:f} {bill.total.currency}\n{bill.verification}"
    out = io.BytesIO()
    segno.make(said, error="m").save(out, kind="svg", border=0, xmldecl=False)
    return out.getvalue().decode()


def _reading(row: ReadingRow, zone: ZoneInfo) -> dict[str, str]:
    return {
        "point": row.point_name,
        "code": row.point_code,
        "meter": row.meter_address,
        "period": _days(row.period.start, row.period.end, zone),
        "start": _plain(row.start),
        "end": _plain(row.end),
        "ratio": kwh(row.ratio),
        "energy": "—" if row.energy_kwh is None else _grouped(row.energy_kwh, 2),
    }


def _line(line: Line, language: str, zone: ZoneInfo) -> dict[str, str]:
    words = WORDS[language]
    chinese = language == "zh"
    parts = [
        line.label_zh if chinese else line.label_en,
        None if line.tier is None else words["tier"].format(number=line.tier),
        line.tou_zh if chinese else line.tou_en,
    ]
    return {
        "label": (" · " if chinese else ", ").join(part for part in parts if part),
        "rule": line.rule_zh if chinese else line.rule_en,
        "period": _days(line.period.start, line.period.end, zone),
        "quantity": f"{_grouped(line.quantity, 2)} {words['unit_' + line.unit]}",
        "price": _price(line.price),
        "amount": _grouped(line.amount, 2),
    }


def _days(start: datetime, end: datetime | None, zone: ZoneInfo) -> str:
    """Civil days as people say them, the last one included; with hours where an end is not a midnight."""
    assert end is not None
    first, last = start.astimezone(zone), end.astimezone(zone)
    if first.hour or first.minute or last.hour or last.minute:
        return f"{first:%Y-%m-%d %H:%M} – {last:%Y-%m-%d %H:%M}"
    before = end.timestamp() - 1
    return f"{first:%Y-%m-%d} – {datetime.fromtimestamp(before, zone):%Y-%m-%d}"


def _plain(value: Decimal | None) -> str:
    return "—" if value is None else _grouped(value, 2)


def _price(value: Decimal) -> str:
    """A price with its own decimals, four at least."""
    text = f"{value.normalize():f}"
    decimals = len(text.partition(".")[2])
    return f"{value:.{max(4, decimals)}f}"


def _grouped(value: Decimal, fewest: int) -> str:
    """A number with groups of three and no trailing zeros beyond the fewest decimals."""
    text = f"{value.normalize():f}"
    decimals = max(fewest, len(text.partition(".")[2]))
    return f"{value:,.{decimals}f}".replace("-", "−")


def _money(value: Decimal, sign: str) -> str:
    return ("−" if value < 0 else "") + sign + _grouped(abs(value), _FEWEST_DIGITS)
