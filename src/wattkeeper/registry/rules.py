"""What values master data may have; the same for a form, the API and an import."""

from collections.abc import Callable
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wattkeeper.registry.errors import BadValue, RegisterOutOfRange
from wattkeeper.registry.sides import Shows

SideOf = Callable[[str, str], Shows | None]
"""Of a protocol and a model: the side whose values meters of it show; None where that is a setting of each meter.

Raises BadValue for a model that there is none of. Who knows the models hands it in: master data do not.
"""

_DLT645_DIGITS = 12
_MOST_UNIT = 247
_STORED_DECIMALS = 4
_CODE_LENGTH = 64
_NAME_LENGTH = 200
_TOO_MUCH = 10**9
# 1,000 kV over 100 V are 10,000, and 50 kA over 1 A are 50,000: ten times that is a slip of the finger.
_MOST_RATIO = 500_000


def checked_code(kind: str, code: str) -> str:
    """A code without blanks around it; one line, not empty, at most 64 characters."""
    trimmed = code.strip()
    if not 0 < len(trimmed) <= _CODE_LENGTH or not trimmed.isprintable():
        raise BadValue(
            "code",
            f"{code!r} cannot be the code of a {kind}.",
            hint="Use 1 to 64 letters, digits or signs on one line.",
        )
    return trimmed


def checked_name(name: str) -> str:
    """A name without blanks around it; one line, not empty, at most 200 characters."""
    trimmed = name.strip()
    if not 0 < len(trimmed) <= _NAME_LENGTH or not trimmed.isprintable():
        raise BadValue("name", f"{name!r} cannot be a name.", hint="Use 1 to 200 characters on one line.")
    return trimmed


def checked_zone(name: str) -> str:
    """The name of a time zone of the IANA database."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadValue(
            "zone",
            f"There is no time zone {name!r}.",
            hint="Use a name of the IANA database, such as Asia/Shanghai.",
        ) from None
    return name


def checked_currency(code: str) -> str:
    """A currency code of ISO 4217."""
    if len(code) != 3 or not (code.isascii() and code.isalpha() and code.isupper()):  # noqa: PLR2004 - ISO 4217
        raise BadValue(
            "currency", f"{code!r} is not a currency.", hint="Use the code of ISO 4217, such as CNY."
        )
    return code


def checked_address(protocol: str, address: str) -> str:
    """A meter's address as its protocol writes it.

    Twelve decimal digits for DL/T 645 (DL/T 645-2007 §5.2.2); for Modbus the unit, 1 to 247 (MODBUS over Serial Line
    V1.02, section 2.2), and over TCP 0 or 255 too, for a meter that has the socket itself.
    """
    address = address.strip()
    if protocol.startswith("modbus"):
        return _checked_unit(protocol, address)
    if not protocol.startswith("dlt645"):
        return checked_code("meter", address)
    if len(address) == _DLT645_DIGITS and address.isascii() and address.isdigit():
        return address
    hint = "Write the 12 digits of the meter's label."
    if address.isascii() and address.isdigit() and len(address) < _DLT645_DIGITS:
        hint = f"Write all 12 digits as text, with the zeros in front: {address.zfill(_DLT645_DIGITS)}?"
    elif "e+" in address.lower():
        hint = "A spreadsheet turned it into a rounded number and digits are lost; format the column as text and type it again."
    raise BadValue("address", f"The address of a DL/T 645 meter has 12 digits, not {address!r}.", hint=hint)


def checked_model(protocol: str, model: str) -> str:
    """A meter's model; that of a Modbus meter is the name of its register map."""
    trimmed = model.strip()
    if protocol.startswith("modbus") and not trimmed:
        raise BadValue(
            "model",
            "A Modbus meter needs the name of its register map as its model.",
            hint="`wattkeeper modbus maps` lists them, `wattkeeper modbus probe` finds the one that fits.",
        )
    return trimmed


def any_side(protocol: str, model: str) -> Shows | None:  # noqa: ARG001 - nothing is known of models
    """Every model is known, and shows either side."""
    return None


def checked_shows(side_of: SideOf, protocol: str, model: str, shows: Shows | None) -> Shows:
    """The side whose values a meter shows: as its model does, else as given, else the secondary one."""
    own = side_of(protocol, model.strip())
    if own is not None and shows not in {None, own}:
        raise BadValue(
            "shows",
            f"A meter of the model {model.strip()} shows {own.value} values, not {Shows(shows).value} ones.",
            hint="Its ratios would be applied twice or not at all. "
            f"Choose {own.value}, or the model that fits the meter's setting.",
        )
    return own or shows or Shows.SECONDARY


def _checked_unit(protocol: str, address: str) -> str:
    unit = int(address) if address.isascii() and address.isdigit() else -1
    if 1 <= unit <= _MOST_UNIT or (protocol == "modbus-tcp" and unit in (0, 255)):
        return str(unit)
    raise BadValue(
        "address",
        f"The address of a Modbus meter is its unit, 1 to {_MOST_UNIT}, not {address!r}.",
        hint="It is set at the meter, in the menu for communication; most come as 1.",
    )


def checked_register(value: Decimal, *, address: str, digits: int, decimals: int) -> Decimal:
    """A register reading [kWh] that a display of so many digits can show."""
    fits = value.is_finite() and 0 <= value < Decimal(10) ** digits
    if not fits or value != round(value, _STORED_DECIMALS):
        raise RegisterOutOfRange(value, address=address, digits=digits, decimals=decimals)
    return value


def checked_ratio(field: str, ratio: Decimal) -> Decimal:
    """A CT or PT ratio: primary over secondary, such as 40 for 200/5."""
    if not ratio.is_finite() or not 0 < ratio <= _MOST_RATIO or ratio != round(ratio, _STORED_DECIMALS):
        raise BadValue(
            field, f"A ratio of {ratio} is impossible.", hint="Give primary over secondary: 40 for 200/5 A."
        )
    return ratio


def checked_positive(field: str, value: Decimal | None) -> Decimal | None:
    """A rating above zero with at most 3 decimals, or none."""
    if value is None or (value.is_finite() and 0 < value < _TOO_MUCH and value == round(value, 3)):
        return value
    raise BadValue(
        field, f"A rating of {value} is impossible.", hint="Give a number above zero, like 7.5, or none."
    )
