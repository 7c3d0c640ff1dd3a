"""The command line: `wattkeeper --help`."""

from wattkeeper.cli.main import main

__all__ = ["main"]
