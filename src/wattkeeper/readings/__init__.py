"""Readings: the quantity catalogue, the versioned store of readings and intervals, and their derivation."""
