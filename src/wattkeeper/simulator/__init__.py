"""Virtual meters that speak the real protocol over real sockets and ports.

An independent peer of the collector: of Wattkeeper it knows the wire format only. Everything a meter
says is computed from its seed and the time, so a world has a past the moment it starts.
"""

from wattkeeper.simulator.bus import VirtualBus
from wattkeeper.simulator.clock import Clock, FixedClock, RealClock, ScaledClock
from wattkeeper.simulator.device import VirtualMeter
from wattkeeper.simulator.faults import Faults
from wattkeeper.simulator.loads import ColumnLoad, Load, ShapedLoad
from wattkeeper.simulator.plans import DEMO_WORLD, WorldError, WorldPlan
from wattkeeper.simulator.servers import PtySerial, TcpGateway
from wattkeeper.simulator.spec import MeterSpec
from wattkeeper.simulator.world import Neighbourhood

__all__ = [
    "DEMO_WORLD",
    "Clock",
    "ColumnLoad",
    "Faults",
    "FixedClock",
    "Load",
    "MeterSpec",
    "Neighbourhood",
    "PtySerial",
    "RealClock",
    "ScaledClock",
    "ShapedLoad",
    "TcpGateway",
    "VirtualBus",
    "VirtualMeter",
    "WorldError",
    "WorldPlan",
]
