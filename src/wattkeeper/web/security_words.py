"""What goes wrong about users, sign-in and rights, for people: by class, and by the reason that an error carries."""

from collections.abc import Mapping
from typing import Final

from wattkeeper.web.queries.states import N_

Words = tuple[str, str | None]

BY_CLASS: Final[Mapping[str, Words]] = {
    "SignInRefused": (
        N_("User name and password do not belong together."),
        N_("Check both; mind capital letters."),
    ),
    "Forbidden": (
        N_("You may not do this."),
        N_("An administrator can give you a role that may."),
    ),
    "UnknownUser": (N_("There is no such user."), None),
    "UnknownToken": (N_("There is no such token."), None),
    "UnknownSession": (N_("That session has ended already."), None),
    "UnknownJob": (N_("There is no such job."), None),
    "JobNotFailed": (N_("Only a job that failed can be let go on."), None),
}
BY_REASON: Final[Mapping[str, Words]] = {
    "wrong": (N_("That is not your present password."), None),
    "same": (N_("The new password is the present one."), N_("Choose another one.")),
    "differ": (N_("The two new passwords differ."), N_("Type it twice the same.")),
    "short": (N_("This password is too short."), N_("Several words in a row are easy to remember.")),
    "long": (N_("This password is too long."), None),
    "common": (N_("This password is among the first that anyone tries."), N_("Choose another one.")),
    "has_login": (N_("A password does not contain the user name."), N_("Choose another one.")),
    "taken": (N_("Another user has this name already."), N_("Choose another name.")),
    "login": (
        N_("This cannot be a user name."),
        N_("Use 2 to 64 letters, digits and . _ @ + - and begin with a letter or a digit."),
    ),
    "name": (N_("A user has a name."), None),
    "email": (N_("This is not an e-mail address."), None),
    "customer": (N_("A user of the role customer belongs to a customer, and no other does."), None),
    "customer_unknown": (
        N_("There is no such customer."),
        N_("Enter the customer's code as the list of customers has it."),
    ),
    "customer_scope": (N_("A customer sees what is theirs, not areas."), None),
    "reference": (N_("The customer, a site or an area of this user does not exist."), None),
    "oneself": (
        N_("Nobody locks themselves out."),
        N_("Another administrator can do this; your own password is changed in your profile."),
    ),
    "last_administrator": (
        N_("Somebody must be left who may manage users."),
        N_("Make another user an administrator of the whole installation first."),
    ),
    "token_name": (N_("A token has a name that says what uses it."), None),
    "token_rights": (N_("A token needs at least one right."), N_("Tick what its program is to do.")),
    "token_beyond": (
        N_("This token cannot be given all of these rights."),
        N_("A token has no more rights than its owner, and none over users and tokens."),
    ),
    "token_expiry": (N_("A token ends within a year."), N_("Choose a nearer date.")),
}
"""The reasons of PasswordRefused and UserRefused."""
TOO_MANY: Final = N_("There were too many failed sign-ins.")
TRY_AGAIN_IN: Final = N_("Try again in %(n)s min.")
