"""What people do here, in words: a name for every act in the audit, every kind of thing and every part of a change."""

from collections.abc import Mapping
from typing import Final

from wattkeeper.web.queries.states import N_

ACTIONS: Final[Mapping[str, str]] = {
    "account.change": N_("changed an account"),
    "account.close": N_("closed an account"),
    "account.open": N_("opened an account"),
    "alarm.acknowledge": N_("acknowledged an alarm"),
    "area.change": N_("changed an area"),
    "area.create": N_("added an area"),
    "bill.cancel": N_("cancelled a bill"),
    "bill.issue": N_("issued a bill"),
    "bill_run.start": N_("started a bill run"),
    "customer.change": N_("changed a customer"),
    "customer.create": N_("added a customer"),
    "export": N_("exported a table"),
    "job.retry": N_("had a failed job go on"),
    "link.change": N_("changed a link"),
    "link.create": N_("added a link"),
    "meter.change": N_("changed a meter"),
    "meter.create": N_("added a meter"),
    "meter.read_now": N_("read a meter now"),
    "notice-recipient.add": N_("added somebody who is told of alarms"),
    "notice-recipient.remove": N_("removed somebody who is told of alarms"),
    "notice-recipient.test": N_("sent a notice to try"),
    "payment.record": N_("recorded a payment"),
    "point.move": N_("moved a metering point"),
    "registry.import": N_("imported master data"),
    "session.end": N_("signed out"),
    "session.refuse": N_("failed to sign in"),
    "session.revoke": N_("ended a session"),
    "session.start": N_("signed in"),
    "site.create": N_("added a site"),
    "tariff.assign": N_("gave an account a tariff"),
    "tariff.assign_where_none": N_("gave accounts without a tariff one"),
    "token.create": N_("made a token"),
    "token.revoke": N_("revoked a token"),
    "user.change": N_("changed a user"),
    "user.change_password": N_("chose a password"),
    "user.create": N_("added a user"),
    "user.disable": N_("disabled a user"),
    "user.enable": N_("enabled a user"),
    "user.reset_password": N_("gave a user a new password"),
}
"""Every action that is written down, as what somebody did."""

SUBJECTS: Final[Mapping[str, str]] = {
    "account": N_("account"),
    "alarm": N_("alarm"),
    "area": N_("area"),
    "bill": N_("bill"),
    "customer": N_("customer"),
    "file": N_("file"),
    "job": N_("job"),
    "link": N_("link"),
    "meter": N_("meter"),
    "notice_recipient": N_("recipient of notices"),
    "payment": N_("payment"),
    "point": N_("metering point"),
    "site": N_("site"),
    "table": N_("table"),
    "tariff": N_("tariff"),
    "token": N_("token"),
    "user": N_("user"),
}
"""What things are called that something was done to."""

PAGES: Final[Mapping[str, str]] = {
    "account": "/accounts/%s",
    "bill": "/bills/%s",
    "customer": "/customers/%s",
    "job": "/jobs/%s",
    "meter": "/meters/%s",
    "tariff": "/tariffs#%s",
    "user": "/users/%s",
}
"""Where the page of a thing is, for those that have one."""

FIELDS: Final[Mapping[str, str]] = {
    "account": N_("Account"),
    "account_ids": N_("Accounts"),
    "accounts": N_("Accounts"),
    "address": N_("Address"),
    "amount": N_("Amount"),
    "areas": N_("Areas"),
    "basis": N_("Basis"),
    "closed_at": N_("Closed"),
    "code": N_("Code"),
    "currency": N_("Currency"),
    "customer_id": N_("Customer"),
    "disabled": N_("disabled"),
    "email": N_("E-mail"),
    "enabled": N_("enabled"),
    "end": N_("To"),
    "error": N_("Error"),
    "expires_at": N_("Valid until"),
    "filter": N_("Filter"),
    "format": N_("Format"),
    "from": N_("From"),
    "login": N_("User name"),
    "method": N_("Method"),
    "name": N_("Display name"),
    "opened_at": N_("Opened"),
    "owner": N_("Owner"),
    "phone": N_("Phone"),
    "quantities": N_("Quantities"),
    "reason": N_("Reason"),
    "rights": N_("Rights"),
    "role": N_("Role"),
    "session": N_("Session"),
    "sessions": N_("Sessions"),
    "sites": N_("Sites"),
    "start": N_("From"),
    "tariff": N_("Tariff"),
    "to": N_("To"),
    "total": N_("Amount"),
    "zone": N_("Time zone"),
}
"""What the parts of a change are called; others keep the name they are written down under."""

REASONS: Final[Mapping[str, str]] = {
    "wrong": N_("wrong user name or password"),
    "disabled": N_("the user is disabled"),
}
"""Why a sign-in was refused."""
