"""What the API says and takes of commands to meters."""

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, Field

from wattkeeper.collection.commands.kinds import CommandKind, CommandState, Outcome
from wattkeeper.web.api.schemas import InstantText, Shape

Id = Annotated[int, Field(ge=1, le=2**53)]


class ParameterWanted(BaseModel):
    """What a parameter is to hold; for `set_parameter` only."""

    identifier: str = Field(pattern="^[0-9A-Fa-f]{8}$", examples=["04000108"])
    value: str = Field(max_length=200, examples=["15"], description="Written as it is read.")


class BatchWanted(BaseModel):
    """One command for some meters, named by `meter_ids`, by `addresses`, or by both."""

    kind: CommandKind
    meter_ids: list[Id] = Field(default=[], max_length=20_000)
    addresses: list[Annotated[str, Field(max_length=64)]] = Field(default=[], max_length=20_000)
    reason: str = Field(max_length=500, description="Why; it is kept with the command.")
    argument: ParameterWanted | None = None
    expires_at: AwareDatetime | None = Field(
        default=None,
        description="What has not been sent by then never will be; an hour from now unless given, a day at most.",
    )
    standing_order_id: Id | None = Field(
        default=None, description="The standing order under which no second person is asked."
    )


class DecisionWanted(BaseModel):
    """What somebody says when they decide."""

    note: str = Field(default="", max_length=2000)


class BatchItem(Shape):
    """What was asked at once, and how far its commands have come."""

    id: int
    kind: CommandKind
    argument: dict[str, Any] | None
    reason: str
    asked_by: str
    asked_at: InstantText
    expires_at: InstantText
    standing_order_id: int | None
    waits_for_decision: bool = Field(description="Whether a second person is waited for.")
    decision: CommandState | None = Field(description="approved, rejected or withdrawn.")
    decided_by: str | None
    decided_at: InstantText | None
    decision_note: str | None
    total: int = Field(description="Meters of it that you may see.")
    ended: int = Field(description="Those about which nothing more will change.")
    counts: dict[CommandState, int] = Field(description="Meters by the state of their command.")


class CommandItem(Shape):
    """One meter's command."""

    id: int
    batch_id: int
    kind: CommandKind
    meter_id: int
    address: str
    link_code: str
    state: CommandState = Field(
        description="asked, approved, queued, sending, confirmed, failed, expired, unknown, rejected or withdrawn; "
        "unknown is resolved by asking the meter."
    )
    outcome: Outcome | None = Field(description="Why it is in its state.")
    detail: str | None = Field(description="The meter's or the link's own words.")
    changed_at: InstantText
    sent_at: InstantText | None
    meter_expires_at: InstantText | None = Field(description="From then on the meter itself drops it.")
    reason: str
    asked_by: str
    asked_at: InstantText


class StepItem(Shape):
    """One step of a command; steps are never changed."""

    at: InstantText
    state: CommandState
    outcome: Outcome | None
    detail: str | None
    exchange_id: str | None = Field(description="Its frames: `/exchanges/{id}` explains them.")


class CommandDetail(CommandItem):
    """One meter's command with what happened to it, oldest first."""

    steps: list[StepItem]


class ControlItem(BaseModel):
    """What a meter said of itself when it was last asked; null: it did not say, or was not asked yet."""

    meter_id: int
    relay_open: bool | None
    close_allowed: bool | None
    keep_power: bool | None
    alarm: bool | None
    read_at: InstantText | None
    exchange_id: str | None


class StandingOrderWanted(BaseModel):
    """Leave to give one kind of command within limits, without a second person each time."""

    kind: CommandKind = Field(description="trip or close_allowed.")
    site_id: Id | None = None
    area_id: Id | None = Field(default=None, description="With neither site nor area it holds everywhere.")
    daily_cap: int = Field(ge=1, le=1_000_000, description="Commands in one day of the first site's zone.")
    expires_at: AwareDatetime = Field(description="Within a year.")
    reason: str = Field(max_length=500)


class StandingOrderItem(BaseModel):
    """A standing order, and how much of today's cap is used."""

    id: int
    kind: CommandKind
    site_id: int | None
    area_id: int | None
    daily_cap: int
    used_today: int
    reason: str
    state: str = Field(description="asked, active, expired or ended.")
    asked_by: str
    asked_at: InstantText
    expires_at: InstantText
    approved_by: str | None
    approved_at: InstantText | None
    ended_by: str | None
    ended_at: InstantText | None
