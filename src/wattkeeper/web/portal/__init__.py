"""The customer portal: pages for those who pay, phone first."""

from wattkeeper.web.portal import bills, files, home, usage

PORTAL = (home, usage, files, bills)
"""Its parts; files stand before bills, whose `{bill_id}` would otherwise be asked first."""
