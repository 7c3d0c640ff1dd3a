"""What each meter protocol calls a quantity: nothing above this folder knows a data identifier."""

from collections.abc import Mapping
from types import MappingProxyType

from wattkeeper.collection.drivers.base import Driver
from wattkeeper.collection.drivers.dlt645 import Dlt645Driver

DRIVERS: Mapping[str, Driver] = MappingProxyType({Dlt645Driver.protocol: Dlt645Driver()})
"""The driver of each protocol, by the name a meter is registered with."""
