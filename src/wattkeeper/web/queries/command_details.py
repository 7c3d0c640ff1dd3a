"""Why a command came to what it came to, in more detail than its outcome, in the visitor's language."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from wattkeeper.collection.commands.details import Code, Detail
from wattkeeper.protocols.dlt645.errors import error_reasons
from wattkeeper.web.language import Language
from wattkeeper.web.queries.states import N_

DETAILS: Final[Mapping[Code, str]] = {
    "refused": N_("The meter says: %(reasons)s (ERR %(err)sH)."),
    "wants_authentication": N_("The meter wants authentication, which needs a security module."),
    "no_reply": N_("Asked %(attempts)s times in %(seconds)s s, no answer."),
    "garbled": N_("Asked %(attempts)s times in %(seconds)s s; %(octets)s octets came, but no whole reply."),
    "link_unavailable": N_("The link cannot be opened."),
    "link_lost": N_("The link broke while the meter was asked."),
    "unreadable": N_("What the meter answered cannot be read."),
}
"""Why, in more detail, by code."""


def detail_text(why: Detail | None, say: Language) -> str:
    """Why, in more detail than the outcome: in the visitor's language, as far as it was written down as a code."""
    if why is None:
        return ""
    if why.code is None or say.code == "en":
        return why.said
    facts = dict(why.facts)
    if why.code == "refused":
        reasons = error_reasons(facts["err"], edition=facts["edition"])
        said = say.listed(say.choose(reason.zh, reason.en) for reason in reasons)
        return say.text(DETAILS["refused"], reasons=said or "–", err=f"{facts['err']:02X}")
    return say.text(
        DETAILS[why.code], **{name: say.exact(Decimal(str(value))) for name, value in facts.items()}
    )


def detail_tag(why: Detail | None, say: Language) -> str:
    """The language of `detail_text`: English of what was written down before reasons had codes."""
    return "en" if why is not None and why.code is None else say.tag
