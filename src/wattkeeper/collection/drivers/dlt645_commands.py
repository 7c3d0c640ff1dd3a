"""DL/T 645-2007: how its meters are told something, and how they tell whether they did it.

Relay and standing instructions by 1CH (State Grid supplement), shown by status word 3; the clock and other parameters
by 14H (§7.2.3), shown by reading the same identifier.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import ZoneInfo

from wattkeeper.collection.commands.errors import BadCommand
from wattkeeper.collection.commands.kinds import CommandKind
from wattkeeper.collection.commands.values import ControlState
from wattkeeper.collection.drivers.base import Measured, MeterSecret, Request, Telling
from wattkeeper.collection.drivers.dlt645 import CLOCK_DATE, CLOCK_TIME, ClockRequest, clock_exchange
from wattkeeper.protocols.dlt645.commands import CommandExchange, RelayExchange, WriteExchange
from wattkeeper.protocols.dlt645.errors import BodyError, MeterRefused, RequestError
from wattkeeper.protocols.dlt645.master import BroadcastTime, ReadExchange
from wattkeeper.protocols.dlt645.requests import Access
from wattkeeper.protocols.dlt645.security import STATUS as SECURITY_STATUS
from wattkeeper.protocols.dlt645.security import AuthenticationNeeded, SecurityStatusExchange
from wattkeeper.protocols.dlt645.status import CONTROL_WORD, ControlWord
from wattkeeper.protocols.dlt645.values import encode_value

CLOCK_TOLERANCE: Final = timedelta(seconds=10)
"""A clock within this of ours counts as set: it shows whole seconds, and the line takes up to two."""
_ACTIONS: Final = {
    CommandKind.TRIP: "trip",
    CommandKind.CLOSE_ALLOWED: "close_allowed",
    CommandKind.CLOSE: "close",
    CommandKind.ALARM_ON: "alarm",
    CommandKind.ALARM_OFF: "alarm_off",
    CommandKind.KEEP_POWER_ON: "keep_power",
    CommandKind.KEEP_POWER_OFF: "keep_power_off",
}
_NOT_AUTHORISED: Final = 0x04
"""ERR b2: wrong password, or not authorised (§7)."""
_PARAMETERS: Final = "04"
"""DI3 of parameters (table A.5)."""
_NOT_BY_HAND: Final = {
    "040001": "the clock has a command of its own",
    "040004": "another address or number makes it another meter",
    "04000C": "passwords cannot be read back",
}


class ControlTelling:
    """Status word 3, asked for what a command is to bring about."""

    key = CONTROL_WORD
    quantities: tuple[str, ...] = ()
    parts: Sequence[Request] = ()

    def __init__(self, address: str, kind: CommandKind) -> None:
        self.exchange = ReadExchange(address, CONTROL_WORD)
        self._kind = kind

    def measured(self, at: datetime) -> list[Measured]:  # noqa: ARG002 - a state is no quantity
        """None of the catalogue's; raises BodyError when the word cannot be read."""
        self._word()
        return []

    def shows(self, at: datetime) -> bool | None:  # noqa: ARG002 - it is so now
        """Whether the relay or the instruction is as the command wants it."""
        word = self._word()
        match self._kind:
            case CommandKind.TRIP:
                return word.relay_open
            case CommandKind.CLOSE:
                return not word.relay_open
            case CommandKind.CLOSE_ALLOWED:
                return word.close_allowed or not word.relay_open
            case CommandKind.ALARM_ON | CommandKind.ALARM_OFF:
                return word.alarm is (self._kind is CommandKind.ALARM_ON)
            case CommandKind.KEEP_POWER_ON | CommandKind.KEEP_POWER_OFF:
                return word.keep_power is (self._kind is CommandKind.KEEP_POWER_ON)
            case _:
                return None

    @property
    def control(self) -> ControlState:
        """What the word says."""
        word = self._word()
        return ControlState(
            relay_open=word.relay_open,
            close_allowed=word.close_allowed,
            keep_power=word.keep_power,
            alarm=word.alarm,
        )

    def _word(self) -> ControlWord:
        value = self.exchange.values[0].value
        if not isinstance(value, int):
            raise BodyError(CONTROL_WORD, "the meter has no value for it")
        return ControlWord.of(value)


class ClockTelling(ClockRequest):
    """The meter's clock, asked whether it is right."""

    control = None

    def shows(self, at: datetime) -> bool | None:
        """Whether it is within the tolerance of `at`; None when midnight came while it was read."""
        told = self.measured(at)
        return None if not told else abs(told[0].value - Decimal(at.timestamp())) <= CLOCK_TOLERANCE.seconds


class ParameterTelling:
    """One parameter, asked whether it has the value that was written."""

    quantities: tuple[str, ...] = ()
    parts: Sequence[Request] = ()
    control = None

    def __init__(self, address: str, di: str, payload: bytes) -> None:
        self.key = di
        self.exchange = ReadExchange(address, di)
        self._payload = payload

    def measured(self, at: datetime) -> list[Measured]:  # noqa: ARG002 - a parameter is no quantity
        """None of the catalogue's."""
        return []

    def shows(self, at: datetime) -> bool | None:  # noqa: ARG002 - it is so now
        """Whether the meter holds the bytes that were written."""
        return self.exchange.body == self._payload


class CommandRequest:
    """One acknowledged command."""

    quantities: tuple[str, ...] = ()
    parts: Sequence[Request] = ()

    def __init__(self, key: str, exchange: CommandExchange) -> None:
        self.key = key
        self.exchange = exchange

    def measured(self, at: datetime) -> list[Measured]:  # noqa: ARG002 - an acknowledgement is no quantity
        """Nothing: an acknowledgement says that the meter heard, not that it did."""
        return []


class SecurityChipQuestion:
    """The state of the security chip, which a meter that has one tells anybody (State Grid supplement, 03H)."""

    key = SECURITY_STATUS
    quantities: tuple[str, ...] = ()
    parts: Sequence[Request] = ()

    def __init__(self, address: str, *, operator: str) -> None:
        self.exchange = SecurityStatusExchange(address, operator=operator)
        self._address = address

    def measured(self, at: datetime) -> list[Measured]:  # noqa: ARG002 - a chip's state is no quantity
        """None of the catalogue's."""
        return []

    @property
    def wants(self) -> str | None:
        """That it wants authentication, when it has a chip."""
        return None if self.exchange.state is None else str(AuthenticationNeeded(self._address))


class Dlt645Commander:
    """How DL/T 645-2007 meters take commands."""

    def check(self, kind: CommandKind, argument: Mapping[str, Any] | None) -> None:
        """Raise BadCommand when the command's argument cannot be written."""
        if kind is CommandKind.SET_PARAMETER:
            _parameter(argument)
        elif argument:
            raise BadCommand(f"The command {kind} takes no argument.")

    def give(
        self,
        address: str,
        kind: CommandKind,
        argument: Mapping[str, Any] | None,
        *,
        secret: MeterSecret,
        now: datetime,
        expires_at: datetime,
        zone: ZoneInfo,
    ) -> list[Request]:
        """The requests that give a command; the clock is date and time of day, in this order (table A.4)."""
        access = Access(int(secret.password[:2]), secret.password[2:], secret.operator)
        if kind is CommandKind.SET_PARAMETER:
            di, payload = _parameter(argument)
            return [CommandRequest(di, WriteExchange(address, di, payload, access=access))]
        if kind is CommandKind.SET_CLOCK:
            local = now.astimezone(zone)
            # The standard counts weekdays from Sunday = 0 (note to 04000101).
            date = encode_value(CLOCK_DATE, local.strftime("%y%m%d") + f"{local.isoweekday() % 7:02d}")
            time = encode_value(CLOCK_TIME, local.strftime("%H%M%S"))
            return [
                CommandRequest(di, WriteExchange(address, di, payload, access=access))
                for di, payload in ((CLOCK_DATE, date), (CLOCK_TIME, time))
            ]
        until = expires_at.astimezone(zone).replace(tzinfo=None)
        action = _ACTIONS[kind]
        return [CommandRequest("1C", RelayExchange(address, action, access=access, valid_until=until))]

    def tell(
        self, address: str, kind: CommandKind, argument: Mapping[str, Any] | None, *, zone: ZoneInfo
    ) -> Telling:
        """The request whose answer shows whether the command was carried out."""
        if kind is CommandKind.SET_CLOCK:
            return ClockTelling(CLOCK_TIME, clock_exchange(address), zone=zone)
        if kind is CommandKind.SET_PARAMETER:
            return ParameterTelling(address, *_parameter(argument))
        return ControlTelling(address, kind)

    def after_refusal(
        self, address: str, error: Exception, *, secret: MeterSecret
    ) -> SecurityChipQuestion | None:
        """Ask for the chip after ERR 04H: a wrong password and a plain command to a chip are refused alike."""
        if isinstance(error, MeterRefused) and error.bits & _NOT_AUTHORISED:
            return SecurityChipQuestion(address, operator=secret.operator)
        return None

    def broadcast_time(self, now: datetime, *, zone: ZoneInfo) -> BroadcastTime:
        """08H to everybody (§7.2.1)."""
        return BroadcastTime(now.astimezone(zone).replace(tzinfo=None))


def _parameter(argument: Mapping[str, Any] | None) -> tuple[str, bytes]:
    """The identifier and the bytes of a parameter to be written."""
    di = str((argument or {}).get("identifier", "")).upper()
    text = str((argument or {}).get("value", "")).strip()
    if not di.startswith(_PARAMETERS) or "FF" in (di[2:4], di[4:6], di[6:8]):
        raise BadCommand(
            f"{di or 'Nothing'} is not the identifier of one parameter.",
            hint="Parameters are 04xxxxxx, such as 04000108.",
        )
    for beginning, why in _NOT_BY_HAND.items():
        if di.startswith(beginning) and di[:8] not in _ALLOWED_ALL_THE_SAME:
            raise BadCommand(f"{di} is not written here: {why}.")
    try:
        return di, _encoded(di, text)
    except RequestError as error:
        raise BadCommand(
            f"{text!r} cannot be written to {di}: {error}",
            hint="Read the parameter first: the value is written the same way.",
        ) from None


_ALLOWED_ALL_THE_SAME: Final = frozenset(
    {"04000103", "04000104", "04000106", "04000107", "04000108", "04000109"}
)
"""Of 040001: switch times and intervals, which are no clock."""


def _encoded(di: str, text: str) -> bytes:
    """Digits as they are for codes and times, a number where the identifier holds one."""
    try:
        return encode_value(di, text)
    except RequestError:
        try:
            return encode_value(di, Decimal(text))
        except InvalidOperation:
            raise RequestError("it is no number") from None
