"""Estimation: the energy of slots that nobody measured, from the point's own like days, with an error bound.

`profile.estimate` is pure: columns in, columns out. It takes gaps of equal length in one batch (`values.Gaps`), finds
the likely course of each, and where two trusted registers stand at its ends, the energies add up to their difference
exactly. What it rests on is gathered by `windows` (which days are like) and by the history the caller hands in.
How it works and how well: docs/explanation/cleaning.md.
"""
