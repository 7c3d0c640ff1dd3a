"""Roles and rights in words: what each role is for, and what each right lets a person do."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from wattkeeper.security.rights import ROLE_RIGHTS, WHOLE, Right, Role
from wattkeeper.web.language import Language
from wattkeeper.web.queries.states import N_

ROLES: Final[Mapping[Role, tuple[str, str]]] = {
    Role.ADMINISTRATOR: (N_("administrator"), N_("may do everything, and says who else may do what")),
    Role.OPERATOR: (N_("operator"), N_("keeps the meters read: links, meters, alarms, import")),
    Role.CLERK: (N_("billing clerk"), N_("bills, payments, customers and tariffs")),
    Role.ANALYST: (N_("analyst"), N_("looks at everything about energy and bills, and changes nothing")),
    Role.CUSTOMER: (N_("customer"), N_("sees their own usage, bills and meters in the portal")),
}
_GROUPS: Final[tuple[tuple[str, tuple[tuple[Right, str], ...]], ...]] = (
    (
        N_("Meters and network"),
        (
            (Right.METERS_VIEW, N_("See meters, their readings, load curves and frames")),
            (Right.METERS_READ, N_("Read a meter now")),
            (Right.READINGS_EDIT, N_("Decide exceptions, and propose other values for readings")),
            (Right.RULES_SET, N_("Set the parameters of validation rules")),
            (Right.READINGS_APPROVE, N_("Agree to an edit of readings that somebody else proposed")),
            (Right.READINGS_IMPORT, N_("Bring in readings from files")),
            (Right.COMMANDS_VIEW, N_("See commands to meters and what became of them")),
            (Right.COMMANDS_ASK, N_("Ask for commands to meters")),
            (Right.COMMANDS_APPROVE, N_("Agree to a trip that somebody else asked for")),
            (Right.COMMANDS_STANDING, N_("Ask for, agree to and end standing orders")),
            (Right.LINKS_VIEW, N_("See links, their health and the frames on them")),
            (Right.PLANS_EDIT, N_("Add, change and delete reading plans")),
            (Right.READINGS_DELIVER, N_("Deliver readings, as a remote collector does")),
            (Right.METRICS_VIEW, N_("Fetch metrics, as Prometheus does")),
            (Right.REGISTRY_EDIT, N_("Import and change sites, areas, links, meters and points")),
        ),
    ),
    (
        N_("Alarms"),
        (
            (Right.ALARMS_VIEW, N_("See alarms")),
            (Right.ALARMS_HANDLE, N_("Acknowledge alarms")),
            (Right.NOTICES_MANAGE, N_("Say who is told of which alarms")),
        ),
    ),
    (
        N_("Customers and money"),
        (
            (Right.CUSTOMERS_VIEW, N_("See customers and accounts, and what they owe")),
            (Right.CUSTOMERS_EDIT, N_("Enter and change customers and accounts")),
            (Right.BILLS_VIEW, N_("See bills")),
            (Right.BILLS_ISSUE, N_("Issue and cancel the bill of one account")),
            (Right.BILLS_RUN, N_("Bill all accounts for a month")),
            (Right.PAYMENTS_RECORD, N_("Record payments")),
            (Right.TARIFFS_VIEW, N_("See tariffs")),
            (Right.TARIFFS_ASSIGN, N_("Give accounts a tariff")),
        ),
    ),
    (
        N_("System"),
        (
            (Right.JOBS_VIEW, N_("See jobs and their progress")),
            (Right.USERS_MANAGE, N_("Manage users, their sessions and tokens")),
            (Right.ARCHIVE_MANAGE, N_("Write old readings to the archive, and bring them back")),
            (Right.AUDIT_VIEW, N_("See and verify the audit")),
            (Right.TOKENS_OWN, N_("Make tokens for one's own programs")),
        ),
    ),
    (N_("Portal"), ((Right.PORTAL, N_("See one's own usage, bills and meters")),)),
)
"""Every right once, in the order pages show them."""


@dataclass(frozen=True, slots=True)
class RightLine:
    """A right in words; `whole` when who is limited to some areas does not have it."""

    code: str
    text: str
    whole: bool
    held: tuple[bool, ...] = ()
    """Which of the roles have it, in their order."""


@dataclass(frozen=True, slots=True)
class RightGroup:
    """Rights that belong together."""

    title: str
    rights: tuple[RightLine, ...]


def role_text(role: Role, say: Language) -> str:
    """What a role is called."""
    return say.text(ROLES[role][0])


def role_choices(say: Language) -> list[tuple[str, str, str]]:
    """Every role as (code, name, what it is for)."""
    return [(role.value, say.text(name), say.text(purpose)) for role, (name, purpose) in ROLES.items()]


def right_groups(say: Language, among: Collection[Right] | None = None) -> list[RightGroup]:
    """The rights in words, only some of them if so asked, with which roles have each."""
    groups = []
    for title, rights in _GROUPS:
        lines = tuple(
            RightLine(
                right.value,
                say.text(text),
                right in WHOLE,
                tuple(right in ROLE_RIGHTS[role] for role in ROLES),
            )
            for right, text in rights
            if among is None or right in among
        )
        if lines:
            groups.append(RightGroup(say.text(title), lines))
    return groups


def named_rights() -> list[Right]:
    """Every right that has words here."""
    return [right for _, rights in _GROUPS for right, _ in rights]
