"""How bytes travel (网络层): links to buses, and the bus that owns one."""

from wattkeeper.links.bus import Bus, Exchange
from wattkeeper.links.errors import (
    BadLinkUrl,
    LinkBusy,
    LinkError,
    LinkLost,
    LinkPermission,
    LinkUnavailable,
    NoReply,
)
from wattkeeper.links.timing import Timing
from wattkeeper.links.traffic import LinkState, Traffic
from wattkeeper.links.url import LinkUrl

__all__ = [
    "BadLinkUrl",
    "Bus",
    "Exchange",
    "LinkBusy",
    "LinkError",
    "LinkLost",
    "LinkPermission",
    "LinkState",
    "LinkUnavailable",
    "LinkUrl",
    "NoReply",
    "Timing",
    "Traffic",
]
