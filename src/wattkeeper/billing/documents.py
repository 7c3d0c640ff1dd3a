"""A bill as PDF: `bill_pdf(bill, language)`; language is "zh" or "en"."""

from wattkeeper.billing.values import BillView


def bill_pdf(bill: BillView, language: str = "zh") -> bytes: ...
