"""What each meter protocol calls a quantity: nothing above this folder knows a data identifier."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from wattkeeper.collection.commands.errors import BadCommand
from wattkeeper.collection.commands.kinds import CommandKind
from wattkeeper.collection.drivers.base import DriverFamily
from wattkeeper.collection.drivers.dlt645 import Dlt645Driver
from wattkeeper.collection.drivers.dlt645_1997 import Dlt645Driver1997
from wattkeeper.collection.drivers.dlt645_commands import Dlt645Commander
from wattkeeper.collection.drivers.dlt645_editions import Dlt645EitherEdition
from wattkeeper.collection.drivers.dlt645_past import DailyFreezes, LoadRecords
from wattkeeper.collection.drivers.modbus import MODBUS_RTU, MODBUS_TCP, ModbusDrivers
from wattkeeper.collection.drivers.modbus_maps import known_maps


def drivers(modbus_maps: Path | None = None) -> Mapping[str, DriverFamily]:
    """The drivers by the name of the protocol that a meter is registered with.

    `modbus_maps` is a folder of the user's own register maps, beside those that are shipped. Raises BadMap.
    """
    maps = known_maps(modbus_maps)
    of_2007 = Dlt645Driver(Dlt645Commander(), (LoadRecords(), DailyFreezes()))
    of_1997 = Dlt645Driver1997()
    families: tuple[DriverFamily, ...] = (
        of_2007,
        of_1997,
        Dlt645EitherEdition(of_2007, of_1997),
        ModbusDrivers(MODBUS_RTU, maps),
        ModbusDrivers(MODBUS_TCP, maps),
    )
    return MappingProxyType({family.protocol: family for family in families})


DRIVERS = drivers()
"""The drivers with the shipped register maps."""


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
