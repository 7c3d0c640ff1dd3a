"""Wattkeeper (电管家): reads electricity meters, keeps their data, bills it and explains it.

The folders are the field's four layers: `protocols` (感知层), `links` (网络层), `registry`, `readings` and `collection`
(平台层), `billing` and `web` (应用层). `wattkeeper.protocols` can be used alone.
"""

from importlib.metadata import version

__version__ = version("wattkeeper")
