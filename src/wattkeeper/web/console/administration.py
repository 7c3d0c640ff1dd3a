"""The pages of whoever looks after the installation, and everybody's own profile."""

from typing import Final

from fastapi import APIRouter

from wattkeeper.web.console import audit, jobs, profile, user, users
from wattkeeper.web.queries.states import N_

ROUTERS: Final[tuple[APIRouter, ...]] = (users.router, user.router, profile.router, audit.router, jobs.router)
"""`users` stands before `user`: its `/users/new` is not a user called new."""
WORDS: Final = (
    N_("own"), N_("users"), N_("audit"), N_("jobs"),
    N_("Who am I"), N_("My sessions"), N_("End a session of mine"), N_("My tokens"), N_("Make a token"),
    N_("Revoke a token of mine"), N_("List users"), N_("Add a user"), N_("One user"), N_("Change a user"),
    N_("Disable a user"), N_("Enable a user"), N_("Reset a password"), N_("Sessions of a user"),
    N_("End a session of a user"), N_("Tokens of a user"), N_("Revoke a token of a user"), N_("List what was done"),
    N_("Verify the audit"), N_("One act"), N_("List jobs"), N_("One job"), N_("Let a failed job go on"),
)  # fmt: skip
"""What the API's reference says of these subjects, for the catalogue."""
