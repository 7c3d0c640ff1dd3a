"""Cleaning a file by itself: read, validate, estimate, and say what was done. Needs no store and no server.

`reading` makes columns of a file, `cleaning.clean` judges and fills them, `report` says it to a person, and `writing` writes
the result. Behind `wattkeeper clean`.
"""
