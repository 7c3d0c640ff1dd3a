"""What the API's answers look like."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from wattkeeper.billing.values import BillState, PaymentMethod

T = TypeVar("T")

DecimalText = Annotated[
    Decimal, PlainSerializer(lambda value: f"{value:f}", return_type=str), Field(examples=["1234.5600"])
]
"""An exact decimal number as a string, never a float."""
InstantText = Annotated[
    datetime,
    PlainSerializer(lambda value: value.astimezone(UTC).isoformat().replace("+00:00", "Z"), return_type=str),
    Field(examples=["2026-11-22T08:15:00Z"]),
]
"""An instant in UTC."""


class Shape(BaseModel):
    """Answers are made from our own frozen values."""

    model_config = ConfigDict(from_attributes=True)


class Page(Shape, Generic[T]):
    """One page of a list; `next` is the `after` of the following page, null on the last."""

    items: list[T]
    next: str | None = Field(description="Give it as `after` to get the next page.", examples=["MjAyNg"])
    total: int | None = Field(default=None, description="How many there are in all, where that is known.")


class MeterItem(Shape):
    """A meter and where it hangs now."""

    id: int = Field(examples=[12])
    address: str = Field(examples=["000000000161"])
    protocol: str = Field(examples=["dlt645-2007"])
    model: str
    enabled: bool
    link: str = Field(description="Code of the link.", examples=["north"])
    point_id: int | None
    point_code: str | None
    point_name: str | None
    area: str | None
    account_code: str | None
    state: str = Field(description="answering, failing, silent, unknown or disabled.", examples=["answering"])


class ValueItem(Shape):
    """The newest reading of one quantity."""

    quantity: str = Field(examples=["active_energy_import"])
    obis: str = Field(examples=["1-0:1.8.0"])
    value: DecimalText
    unit: str = Field(examples=["kWh"])
    read_at: InstantText
    source: str = Field(description="meter (stamped by it), polled, imported or edited.")
    status: int = Field(description="Flags: 1 clock unsure, 2 flagged by the meter, 4 suspect.")
    exchange_id: str | None = Field(
        description="The exchange it came in; `/exchanges/{id}` explains its bytes."
    )


class MeterDetail(Shape):
    """A meter with its identity, state and installations."""

    id: int
    address: str
    protocol: str
    model: str
    enabled: bool
    register_digits: int
    register_decimals: int
    shows: str
    link_code: str
    link_name: str
    point_id: int | None
    point_code: str | None
    point_name: str | None
    ratio: DecimalText | None
    site_name: str | None
    area_name: str | None
    zone: str | None
    account_code: str | None
    state: str
    last_answer_at: InstantText | None
    last_failure: str | None
    installations: list["InstallationItem"]


class InstallationItem(Shape):
    """A meter at a metering point for a half-open period."""

    meter_id: int
    address: str
    point: str
    start: InstantText
    end: InstantText | None
    ratio: DecimalText
    first_register: DecimalText
    last_register: DecimalText | None


class ReadingItem(Shape):
    """One reading."""

    quantity: str
    read_at: InstantText
    value: DecimalText
    status: int
    source: str
    exchange_id: str | None


class LiveItem(Shape):
    """One value as it was just read."""

    quantity: str
    value: DecimalText
    unit: str
    read_at: InstantText
    exchange_id: str | None


class CurveAnswer(Shape):
    """Energy and mean power per bin, as columns of equal length; null where nothing is known."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "resolution": "15min",
                "zone": "Asia/Shanghai",
                "start": "2026-11-21T16:00:00Z",
                "end": "2026-11-21T16:30:00Z",
                "starts": ["2026-11-21T16:00:00Z", "2026-11-21T16:15:00Z"],
                "energy_kwh": ["0.0500", None],
                "power_kw": ["0.2000", None],
                "status": ["measured", "missing"],
                "total_kwh": "0.0500",
            }
        }
    )

    resolution: str
    zone: str
    start: InstantText
    end: InstantText
    starts: list[str]
    energy_kwh: list[str | None]
    power_kw: list[str | None]
    status: list[str] = Field(description="measured, estimated, edited, partial or missing, per bin.")
    total_kwh: DecimalText | None


class FramePart(Shape):
    """Some octets of a frame."""

    octets: str = Field(examples=["68"])
    label: str
    value: str


class FrameAnswer(Shape):
    """A frame explained byte by byte."""

    hex: str
    parts: list[FramePart]
    error: str | None


class ExchangeAnswer(Shape):
    """One request and its reply as they were on the wire."""

    id: str
    meter_id: int | None
    began_at: InstantText
    ended_at: InstantText | None
    outcome: str
    request: list[FrameAnswer]
    reply: list[FrameAnswer]


class LinkItem(Shape):
    """A link, its state and its success today."""

    code: str
    name: str
    url: str
    enabled: bool
    level: str = Field(description="ok, warn, bad or idle.")
    since: InstantText | None
    error: str | None
    meters: int
    waiting: int | None
    backfilling: int | None
    reads: int = Field(description="Reads that ended today.")
    success: float | None = Field(description="Share of them that succeeded, 0 to 1.")


class MoneyItem(Shape):
    """An amount of money."""

    amount: DecimalText = Field(examples=["132.06"])
    currency: str = Field(examples=["CNY"])


class BillItem(Shape):
    """One bill of a list."""

    id: int
    number: str
    account_id: int
    account_code: str
    account_name: str
    start: InstantText
    end: InstantText
    issued_at: InstantText
    due_at: InstantText | None
    energy_kwh: DecimalText
    total: MoneyItem
    state: BillState
    estimated: bool


class BillLineItem(Shape):
    """A line that explains itself: quantity times price is amount."""

    label_zh: str
    label_en: str
    quantity: DecimalText
    unit: str
    price: DecimalText
    amount: DecimalText
    rule_zh: str
    rule_en: str


class BillReadingItem(Shape):
    """A register of the bill: (end - start) x ratio is the energy."""

    point_code: str
    meter_address: str
    quantity: str
    start: DecimalText | None
    end: DecimalText | None
    start_exchange_id: str | None
    end_exchange_id: str | None
    ratio: DecimalText
    energy_kwh: DecimalText | None


class BillDetail(BillItem):
    """A bill with its lines and the readings it rests on."""

    tariff_code: str
    previous_balance: MoneyItem
    reason: str | None = Field(description="Why it was cancelled, on the cancellation.")
    cancels_id: int | None = Field(description="Id of the bill that this one is the cancellation of.")
    cancelled_by_id: int | None
    replaces_id: int | None
    lines: list[BillLineItem]
    readings: list[BillReadingItem]


class BillWanted(BaseModel):
    """Which period an account is to be billed for."""

    month: str = Field(pattern=r"^\d{4}-\d{2}$", examples=["2026-10"], description="A finished civil month.")


class TariffItem(Shape):
    """A tariff and since when its versions hold."""

    code: str
    name_zh: str
    name_en: str
    currency: str
    source: str
    content_hash: str = Field(
        description="SHA-256 of the content; a bill names the tariff it was computed from by it."
    )
    content: dict[str, Any] = Field(
        description="The tariff as it was read: versions, components, tiers, periods."
    )


class AccountItem(Shape):
    """An account and what it owes."""

    id: int
    code: str
    name: str
    kind: str
    address: str | None
    customer_id: int
    customer_name: str
    opened_at: InstantText
    closed_at: InstantText | None
    tariff: str | None = Field(description="Code of the tariff in force now.")
    balance: MoneyItem = Field(description="What it owes; negative is a credit.")


class PaymentWanted(BaseModel):
    """Money received at a counter."""

    amount: Decimal = Field(gt=0, max_digits=14, decimal_places=4, examples=["132.06"])
    currency: str = Field(pattern="^[A-Z]{3}$", examples=["CNY"])
    method: PaymentMethod = Field(examples=["cash"])


class PaymentItem(Shape):
    """A recorded payment; `repeated` when its key was used for the same one before."""

    id: int
    receipt: str
    account_id: int
    amount: MoneyItem
    method: str
    received_at: InstantText
    cashier: str
    repeated: bool


class PaymentLine(Shape):
    """A payment of a list."""

    id: int
    receipt: str
    account_id: int
    account_code: str
    account_name: str
    amount: MoneyItem
    method: PaymentMethod
    received_at: InstantText
    cashier: str


class PaymentPage(Page[PaymentLine]):
    """One page of payments, and what all that fit the filter come to, by currency."""

    sums: list[MoneyItem]


class OverviewAnswer(Shape):
    """The figures of the overview."""

    collecting: bool
    meters: int
    answering: int
    silent: int
    today_kwh: DecimalText | None
    yesterday_kwh: DecimalText | None
    month_kwh: DecimalText | None
    last_month_kwh: DecimalText | None
    reads_today: int
    success_today: float | None
    open_bills: int


class ImportErrorItem(Shape):
    """What is wrong in one cell, and what to write instead."""

    row: int
    column: str
    value: str
    message: str
    hint: str | None


class ImportAnswer(Shape):
    """What an import would do, or did: how many rows are new, changed, or left as they were."""

    rows: int
    created: int
    updated: int
    skipped: int
    ignored: list[str] = Field(description="Headings of the file that mean nothing here.")
    errors: list[ImportErrorItem]
    applied: bool
