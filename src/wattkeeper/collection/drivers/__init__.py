"""What each meter protocol calls a quantity: nothing above this folder knows a data identifier."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from wattkeeper.collection.commands.errors import BadCommand
from wattkeeper.collection.commands.kinds import CommandKind
from wattkeeper.collection.drivers.base import Driver
from wattkeeper.collection.drivers.dlt645 import Dlt645Driver
from wattkeeper.collection.drivers.dlt645_commands import Dlt645Commander

DRIVERS: Mapping[str, Driver] = MappingProxyType({Dlt645Driver.protocol: Dlt645Driver(Dlt645Commander())})
"""The driver of each protocol, by the name a meter is registered with."""


def check_command(protocol: str, kind: CommandKind, argument: Mapping[str, Any] | None) -> None:
    """Raise BadCommand when meters of this protocol take no such command, or its argument cannot be written."""
    driver = DRIVERS.get(protocol)
    commander = None if driver is None else driver.commander
    if commander is None:
        raise BadCommand(
            f"Meters of the protocol {protocol} take no commands.",
            hint="Choose meters that speak DL/T 645-2007.",
        )
    commander.check(kind, argument)
