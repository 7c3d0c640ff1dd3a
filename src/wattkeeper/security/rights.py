"""Roles and rights: one table that says what each role may do.

A right is named for what it lets a person do. A user may be limited to sites and areas; what concerns the whole
installation (`WHOLE`) is then out of reach, whatever the role.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Right(StrEnum):
    """One thing that a person, or a program with a token, may be allowed to do."""

    METERS_VIEW = "meters.view"
    """Areas, metering points and meters, their readings and load curves, and the frames these came in."""
    METERS_READ = "meters.read"
    """Ask a meter now."""
    READINGS_EDIT = "readings.edit"
    """Decide what validation found, and propose other values for readings and intervals."""
    READINGS_APPROVE = "readings.approve"
    """Agree, as the second person, to the edit of readings or intervals that another proposed, or to its undoing."""
    RULES_SET = "rules.set"
    """Set the parameters that validation's rules are run with."""
    READINGS_IMPORT = "readings.import"
    """Bring readings and energies in from files; they give way to what meters say themselves."""
    COMMANDS_VIEW = "commands.view"
    """What meters were told, and what became of it."""
    COMMANDS_ASK = "commands.ask"
    """Ask for commands to meters, and take them back."""
    COMMANDS_APPROVE = "commands.approve"
    """Agree, as the second person, to what another has asked."""
    COMMANDS_STANDING = "commands.standing"
    """Ask for standing orders, agree to them, end them."""
    LINKS_VIEW = "links.view"
    """Links, their health, and the frames that pass on them."""
    PLANS_EDIT = "plans.edit"
    """Say which quantities of which meters are read, and when."""
    READINGS_DELIVER = "readings.deliver"
    """Deliver the readings of any meter, as a remote collector does."""
    METRICS_VIEW = "metrics.view"
    """What the process counts of its work, for a program that watches it."""
    REGISTRY_EDIT = "registry.edit"
    """Enter and change master data: sites, areas, links, meters, points; by import also customers and accounts."""
    ALARMS_VIEW = "alarms.view"
    ALARMS_HANDLE = "alarms.handle"
    """Acknowledge alarms."""
    CUSTOMERS_VIEW = "customers.view"
    """Customers and accounts, and what they owe."""
    CUSTOMERS_EDIT = "customers.edit"
    """Enter customers and change how to reach them, open and close accounts, and say which points these pay for."""
    BILLS_VIEW = "bills.view"
    BILLS_ISSUE = "bills.issue"
    """Issue and cancel the bill of one account."""
    BILLS_RUN = "bills.run"
    """Bill all accounts for a month."""
    PAYMENTS_RECORD = "payments.record"
    TARIFFS_VIEW = "tariffs.view"
    TARIFFS_ASSIGN = "tariffs.assign"
    JOBS_VIEW = "jobs.view"
    USERS_MANAGE = "users.manage"
    """Users, their roles, sessions and tokens."""
    ARCHIVE_MANAGE = "archive.manage"
    """Write old months of readings to the archive, and bring them back."""
    AUDIT_VIEW = "audit.view"
    NOTICES_MANAGE = "notices.manage"
    """Who is told of which alarms."""
    TOKENS_OWN = "tokens.own"
    """Tokens for one's own programs, with no more rights than one's own."""
    PORTAL = "portal"
    """One's own usage, bills and meters, as a customer."""


class Role(StrEnum):
    """What a user is here for."""

    ADMINISTRATOR = "administrator"
    OPERATOR = "operator"
    CLERK = "clerk"
    ANALYST = "analyst"
    CUSTOMER = "customer"


_LOOKING: Final = frozenset({Right.METERS_VIEW, Right.ALARMS_VIEW, Right.TARIFFS_VIEW, Right.TOKENS_OWN})

ROLE_RIGHTS: Final[Mapping[Role, frozenset[Right]]] = {
    Role.ADMINISTRATOR: frozenset(Right) - {Right.PORTAL},
    Role.OPERATOR: _LOOKING
    | {
        Right.METERS_READ,
        Right.READINGS_IMPORT,
        Right.READINGS_EDIT,
        Right.READINGS_APPROVE,
        Right.COMMANDS_VIEW,
        Right.COMMANDS_ASK,
        Right.COMMANDS_APPROVE,
        Right.COMMANDS_STANDING,
        Right.LINKS_VIEW,
        Right.PLANS_EDIT,
        Right.READINGS_DELIVER,
        Right.METRICS_VIEW,
        Right.REGISTRY_EDIT,
        Right.ALARMS_HANDLE,
        Right.NOTICES_MANAGE,
        Right.JOBS_VIEW,
    },
    Role.CLERK: _LOOKING
    | {
        Right.READINGS_EDIT,
        Right.READINGS_APPROVE,
        Right.COMMANDS_VIEW,
        Right.CUSTOMERS_VIEW,
        Right.CUSTOMERS_EDIT,
        Right.BILLS_VIEW,
        Right.BILLS_ISSUE,
        Right.BILLS_RUN,
        Right.PAYMENTS_RECORD,
        Right.TARIFFS_ASSIGN,
        Right.JOBS_VIEW,
    },
    Role.ANALYST: _LOOKING | {Right.LINKS_VIEW, Right.CUSTOMERS_VIEW, Right.BILLS_VIEW},
    Role.CUSTOMER: frozenset({Right.PORTAL}),
}

WHOLE: Final = frozenset(
    {
        Right.PLANS_EDIT,
        Right.READINGS_DELIVER,
        Right.RULES_SET,
        Right.METRICS_VIEW,
        Right.REGISTRY_EDIT,
        Right.CUSTOMERS_EDIT,  # a new customer and a new account have no point yet, so they lie in no area
        Right.BILLS_RUN,
        Right.COMMANDS_STANDING,
        Right.TARIFFS_ASSIGN,
        Right.JOBS_VIEW,
        Right.USERS_MANAGE,
        Right.ARCHIVE_MANAGE,
        Right.AUDIT_VIEW,
        Right.NOTICES_MANAGE,
    }
)
"""Rights over the whole installation: a user who is limited to some areas does not have them."""


def rights_of(role: Role, *, limited: bool) -> frozenset[Right]:
    """What a user of this role may do; `limited` when only some sites and areas are theirs."""
    return ROLE_RIGHTS[role] - WHOLE if limited else ROLE_RIGHTS[role]
