"""Billing: tariffs as dated data, rating, immutable bills, a double-entry ledger and its paper."""
