"""What went wrong, in the visitor's language: told by classes and codes, never by reading our own English sentences.

The rooms below say what happened in English, for logs and programs. A page tells a person the kind of trouble and the
next step in their language; the room's own sentence stays beside it as a detail, marked as English.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.security.errors import PasswordRefused, SignInThrottled, UserRefused
from wattkeeper.web.language import Language
from wattkeeper.web.queries.states import N_
from wattkeeper.web.security_words import BY_CLASS, BY_REASON, TOO_MANY, TRY_AGAIN_IN


@dataclass(frozen=True, slots=True)
class Said:
    """A trouble for people; `raw` is the sentence of the room it comes from, where that says more."""

    text: str
    hint: str | None = None
    raw: str | None = None


# Why reads fail, by the codes that the collector counts them under.
FAILURES: Final[Mapping[str, str]] = {
    "no_reply": N_(
        "It does not answer. Check its power, its address, the wiring (A and B swapped?) and the baud rate."
    ),
    "garbled": N_(
        "Octets come, but no sound reply. Check baud rate and parity, wiring and termination, and that no two meters "
        "share an address."
    ),
    "refused": N_("It refuses what it is asked for."),
    "unsupported": N_("It does not have what it is asked for."),
    "link_down": N_("Its link is down, so it cannot be asked."),
}
LINK_DOWN: Final = N_(
    "It cannot be opened and is tried again by itself. Check the port's or gateway's power, network and address."
)

# What errors mean, by class: a sentence, and what to do next.
_ERRORS: Final[Mapping[str, tuple[str, str | None]]] = {
    "UnknownBill": (N_("There is no such bill."), None),
    "UnknownBillRun": (N_("There is no such bill run."), None),
    "UnknownTariff": (N_("There is no such tariff."), None),
    "UnknownFinding": (N_("There is no such alarm."), None),
    "UnknownRecipient": (N_("There is no such recipient."), None),
    "AlreadyAcknowledged": (N_("This alarm was acknowledged already."), None),
    "RecipientExists": (N_("This address is told of that already."), None),
    "RecipientRefused": (N_("This is no e-mail address."), N_("Write it as name@example.org.")),
    "MailNotSetUp": (
        N_("No mail server is set up, so nobody is told."),
        N_("Set smtp_host and smtp_from in the settings, and start again."),
    ),
    "BadCursor": (N_("This page of the list does not exist."), N_("Start again from the first page.")),
    "UnknownMeter": (
        N_("This meter is not being read: it or its link is disabled."),
        N_("Enable both, then try again."),
    ),
    "CollectionNotRunning": (
        N_("Collection is not running in this process, so no meter can be asked."),
        N_("Start the server without `collect = false`, or read from the command line."),
    ),
    "CollectorStopped": (N_("The collector has stopped, so no meter can be asked."), None),
    "ReadFailed": (N_("The meter gave no usable answer."), None),
    "LinkUnavailable": (N_("The link cannot be opened."), N_("Check the port or gateway.")),
    "LinkLost": (N_("The link broke while the meter was asked."), N_("Try again.")),
    "StoreBusy": (N_("The readings are in use by another process."), N_("Try again.")),
    "PaymentRefused": (N_("This payment cannot be recorded."), None),
    "BillNotCancellable": (N_("This bill cannot be cancelled."), None),
    "AlreadyExists": (
        N_("There is one of this code or address already."),
        N_("Change that one, or choose another code."),
    ),
    "BadLinkUrl": (
        N_("This cannot be the address of a link."),
        N_("Write it as tcp://192.168.1.50:8899 or serial:///dev/ttyUSB0?baud=2400."),
    ),
    "RegistryError": (
        N_("These master data cannot be kept as given."),
        N_("Check the values and what they refer to."),
    ),
    "BadCommand": (
        N_("This cannot be asked of meters like that."),
        N_("Look at the meters, the reason and the value, and ask again."),
    ),
    "NotOptedIn": (
        N_("Closing a relay with nobody at the meter is switched off here: somebody may be at the wires."),
        N_("Ask for leave to close: the customer then closes by the meter's key."),
    ),
    "KeepsPower": (
        N_("A meter among them keeps power and is not tripped."),
        N_("Leave it out, or first end keeping power there, if that is meant."),
    ),
    "SecondPersonNeeded": (
        N_("Another person has to decide this."),
        N_("Have a colleague look at it who may see all of its meters; who asked can take it back."),
    ),
    "SecondReaderNeeded": (
        N_("Another person has to look at this edit."),
        N_("Have a colleague look at it who may see all of its meters; who proposed it can take it back."),
    ),
    "EditDecided": (N_("This edit has been decided already."), N_("Its page says what became of it.")),
    "UnknownEdit": (N_("There is no such edit."), None),
    "BadEdit": (
        N_("This edit cannot be taken."),
        N_("It needs a reason, and values that can be, at moments that have been."),
    ),
    "FindingNotFound": (N_("There is no such exception."), None),
    "AlreadyDecided": (
        N_("This exception has been decided already, or its cause is gone."),
        N_("Reload the list; only what is open can be decided."),
    ),
    "UnknownRule": (N_("There is no such rule."), None),
    "BadParameter": (
        N_("The rule cannot be run with that."),
        N_("Choose one of its parameters and a number from zero up with at most four decimals."),
    ),
    "ParameterExists": (
        N_("This parameter was set from that moment on before."),
        N_("Choose another moment; what held before is kept."),
    ),
    "BadMapping": (
        N_("What is said of the file's columns is not enough to read it."),
        N_("Say which column is the time, which the meter and which the value."),
    ),
    "FileUnreadable": (
        N_("The file cannot be read."),
        N_("It is CSV, Excel, Parquet, Green Button or IEC 61968-9: save it again as one of these."),
    ),
    "NothingImported": (
        N_("The file has wrong cells, so nothing was imported."),
        N_("Correct them, or import what is right and leave the rest out."),
    ),
    "LastPlan": (
        N_("This is the only plan there is."),
        N_("Disable it instead: without any plan, the usual ones come back at the next start."),
    ),
    "UnknownCommand": (N_("There is no such command."), N_("Look at the list of commands.")),
    "TooLate": (
        N_("It is too late for that: it was decided, sent or ended before."),
        N_("Its page says what became of it."),
    ),
    "StandingOrderRefuses": (
        N_("The standing order does not cover this."),
        N_("Ask without it: a second person then decides."),
    ),
    "RecordedOtherwise": (
        N_("This meter is on record already, and with another value here."),
        N_("Enter what is on record, or correct the meter on its own page first."),
    ),
    "InstalledElsewhere": (
        N_("This meter is installed at another metering point."),
        N_("Compare the address with its label, or record an exchange there first."),
    ),
    "PeriodTaken": (N_("Another one holds this place in that period."), None),
    "BadTimeRange": (N_("A period ends after it begins."), None),
    "BadRequest": (N_("The request cannot be understood."), None),
}
_REFUSALS: Final[Mapping[str, tuple[str, str | None]]] = {
    "already_billed": (
        N_("This account is billed for that time already."),
        N_("Cancel that bill first if it is wrong."),
    ),
    "missing_intervals": (
        N_("Readings are missing in that month, so it cannot be billed yet."),
        N_("Fetch them from the meter first."),
    ),
    "estimated_intervals": (
        N_("Too much of that month rests on estimates."),
        N_("Fetch the readings from the meter first."),
    ),
    "flagged_intervals": (
        N_("Registers ran backwards, or faster than the rated power allows."),
        N_("Look at the load curve of the metering point."),
    ),
    "period_not_over": (N_("That month is not over."), N_("Bill it when it is.")),
    "account_closed": (N_("The account was not open in that month."), None),
    "no_tariff": (N_("The account has no tariff in that month."), N_("Assign one first.")),
    "tariff_not_in_force": (
        N_("The account's tariff is not in force in all of that month."),
        N_("Add a version of the tariff that covers it, or assign another one."),
    ),
    "earlier_unbilled": (N_("An earlier month is not billed yet."), N_("Bill that one first.")),
    "mixed_currency": (N_("The account's tariffs are in different currencies."), None),
    "tariff_assigned": (
        N_("Another tariff is assigned in that period already."),
        N_("Choose a month after it began."),
    ),
    "stale": (N_("The account was billed by someone else just now."), N_("Try again.")),
    "no_points": (
        N_("The account has no metering point in that month."),
        N_("Assign the points it pays for."),
    ),
}
_KINDS: Final[Mapping[str, str]] = {
    "meter": N_("There is no meter %(key)s."),
    "link": N_("There is no link %(key)s."),
    "exchange": N_("There is no exchange %(key)s; frames are kept for a limited time."),
    "account": N_("There is no account %(key)s."),
    "customer": N_("There is no customer %(key)s."),
    "payment": N_("There is no payment %(key)s."),
    "area": N_("There is no area %(key)s."),
    "metering point": N_("There is no metering point %(key)s."),
    "point": N_("There is no metering point %(key)s."),
    "site": N_("There is no site %(key)s."),
    "reading": N_("There is no reading %(key)s."),
    "interval": N_("No interval begins at %(key)s."),
    "plan": N_("There is no reading plan %(key)s."),
}
# Values that cannot be right, by the field they were entered in.
_FIELDS: Final[Mapping[str, tuple[str, str | None]]] = {
    "code": (N_("This cannot be a code."), N_("Use 1 to 64 letters, digits or signs on one line.")),
    "name": (N_("This cannot be a name."), N_("Use 1 to 200 characters on one line.")),
    "address": (N_("This cannot be the address of a meter."), N_("Write the 12 digits of its label.")),
    "parent_id": (
        N_("It cannot hang there."),
        N_("The order is site, feeder, area, box, and nothing hangs below itself."),
    ),
    "area_id": (N_("The area is of another site."), N_("Choose one of the point's own site.")),
    "at": (
        N_("The exchange cannot have been at that time."),
        N_("Give a time that is past, and later than what is on record of this metering point."),
    ),
    "last_register": (
        N_("The old meter cannot have shown this."),
        N_("Write what its display showed, in kWh, or leave it empty if it could not be read."),
    ),
    "first_register": (
        N_("The new meter cannot have shown this."),
        N_("Write what its display showed, in kWh, or correct its number of digits."),
    ),
    "ct_ratio": (N_("This ratio is impossible."), N_("Give primary over secondary: 40 for 200/5 A.")),
    "pt_ratio": (N_("This ratio is impossible."), N_("Give primary over secondary: 100 for 10 kV/100 V.")),
    "model": (
        N_("There is no register map of this name."),
        N_(
            "The model of a Modbus meter is the name of its register map: `wattkeeper modbus maps` lists them."
        ),
    ),
    "shows": (
        N_("A meter of this model shows the values of the other side."),
        N_("Choose what its register map says: its ratios would be applied twice or not at all."),
    ),
    "quantities": (N_("This cannot be read by a plan."), N_("Choose at least one of the quantities.")),
    "every": (N_("This cannot be a period."), N_("Write a whole number; at most 24 hours.")),
    "offset": (N_("This cannot be."), N_("Write fewer seconds than lie between two reads, or 0.")),
    "jitter": (N_("This cannot be."), N_("Write fewer seconds than lie between two reads, or 0.")),
    "window": (N_("This is no part of a day."), N_("Give two different times; it may pass midnight.")),
    "meters": (
        N_("These do not name one meter each."),
        N_(
            "Write addresses as the list of meters has them; with the link before it, as link/address, where several share one."
        ),
    ),
    "max_current_a": (N_("This current is impossible."), N_("Write a number above zero, like 60, or none.")),
}
_STATUSES: Final[Mapping[int, str]] = {
    404: N_("There is no page at %(path)s."),
    405: N_("That cannot be done at %(path)s."),
    422: N_("The request cannot be understood."),
    500: N_("Something went wrong here; the server's log says what."),
}


def said(error: WattkeeperError, say: Language) -> Said:
    """One of our errors for people."""
    if say.code == "en":
        return Said(error.message, error.hint)
    found = (
        _security(error, say)
        or _not_found(error, say)
        or _bad_value(error, say)
        or _refusal(error, say)
        or _by_class(error, say)
    )
    return found or Said(say.text(N_("That did not work")), None, str(error))


def status_said(status: int, path: str, detail: str, say: Language) -> Said:
    """An answer without an error of ours: no such page, not understood."""
    text = _STATUSES.get(status)
    if text is None:
        return Said(detail) if say.code == "en" else Said(say.text(N_("That did not work")), None, detail)
    raw = detail if status == 422 else None  # noqa: PLR2004 (only there it says which part)
    return Said(say.text(text, path=path) if "%(" in text else say.text(text), None, raw)


def failure_said(failures: Mapping[str, int], say: Language) -> str:
    """Why reads of a meter fail, by the reason counted most often; empty when none was counted."""
    code = max(failures, key=lambda key: failures[key], default="")
    return say.text(FAILURES[code]) if code in FAILURES and failures[code] else ""


def reason_said(reason: str, say: Language) -> str:
    """Why an account is not billed, in a sentence; empty for a reason without words."""
    found = _REFUSALS.get(reason)
    return say.text(found[0]) if found else ""


def _security(error: WattkeeperError, say: Language) -> Said | None:
    """Something about users, sign-in and rights; its own sentence says no more than ours."""
    if isinstance(error, SignInThrottled):
        minutes = math.ceil(error.retry_after_s / 60)
        return Said(say.text(TOO_MANY), say.text(TRY_AGAIN_IN, n=minutes))
    reason = error.reason if isinstance(error, PasswordRefused | UserRefused) else ""
    words = BY_REASON.get(reason) or BY_CLASS.get(type(error).__name__)
    return Said(say.text(words[0]), say.text(words[1]) if words[1] else None) if words else None


def _not_found(error: Any, say: Language) -> Said | None:
    text = _KINDS.get(getattr(error, "kind", "")) if type(error).__name__ == "NotFound" else None
    return Said(say.text(text, key=error.key)) if text else None


def _bad_value(error: Any, say: Language) -> Said | None:
    if type(error).__name__ in _ERRORS:  # the kind of trouble says more than the field
        return None
    return _pair(_FIELDS.get(getattr(error, "field", "")), error, say)


def _refusal(error: Any, say: Language) -> Said | None:
    return _pair(_REFUSALS.get(getattr(error, "reason", "")), error, say)


def _by_class(error: WattkeeperError, say: Language) -> Said | None:
    names = (kind.__name__ for kind in type(error).__mro__)
    return _pair(next((_ERRORS[name] for name in names if name in _ERRORS), None), error, say)


def _pair(found: tuple[str, str | None] | None, error: WattkeeperError, say: Language) -> Said | None:
    if found is None:
        return None
    text, hint = found
    return Said(say.text(text), say.text(hint) if hint else None, str(error))
