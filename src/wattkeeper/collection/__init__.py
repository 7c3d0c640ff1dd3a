"""Automatic reading: plans, one queue per link, retries, back-fill, and what a person asks for at once."""
