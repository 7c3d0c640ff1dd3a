"""The API of users, tokens, the audit and jobs."""

from typing import Final

from fastapi import APIRouter

from wattkeeper.web.api import audit, jobs, own, users

ROUTERS: Final[tuple[APIRouter, ...]] = (own.router, users.router, audit.router, jobs.router)
"""In the order the reference shows them."""
TAGS: Final = [
    {"name": "own", "description": "Who asks: rights, sessions, and tokens of one's own programs."},
    {"name": "users", "description": "Who may sign in, and what lets them in."},
    {"name": "audit", "description": "Who did what, and whether the record is whole."},
    {"name": "jobs", "description": "Long work and its progress."},
]
