"""Global search: a few of everything that a text names, by kind, within what whoever asks may see.

Every word has to stand in one of a kind's columns; what begins with the text comes first. The columns are scanned, which
at 10,000 meters, accounts and customers takes 8 to 26 ms of processor time for all kinds together.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, true
from sqlalchemy.orm import Session

from wattkeeper.billing.models import Bill
from wattkeeper.monitoring.values import FindingFilter
from wattkeeper.monitoring.words import sentence_of
from wattkeeper.registry.models import Account, Area, Customer, Installation, Link, Meter, MeteringPoint, Site
from wattkeeper.security.models import User
from wattkeeper.security.rights import Right
from wattkeeper.security.values import Principal
from wattkeeper.web.language import Language
from wattkeeper.web.queries.commands import matching
from wattkeeper.web.queries.states import N_
from wattkeeper.web.services import Services

LIMIT: Final = 5
MOST_WORDS: Final = 5
_AnySelect = Select[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing found: `id` is stable for programs, `address` is its page."""

    id: str
    title: str
    detail: str
    address: str


@dataclass(frozen=True, slots=True)
class Group:
    """What was found of one kind; `more` when that was not all."""

    kind: str
    symbol: str
    label: str
    hits: tuple[Hit, ...]
    more: bool
    all_address: str | None = None
    """Where the rest is."""


@dataclass(frozen=True)
class Asked:
    """What is looked for, and for whom."""

    text: str
    services: Services
    session: Session
    say: Language
    limit: int

    @property
    def words(self) -> list[str]:
        """The parts that all have to be there."""
        return words_of(self.text)

    def rows(
        self, wanted: _AnySelect, within: ColumnElement[bool], *columns: ColumnElement[str]
    ) -> list[Any]:
        """The rows of a statement that hold all words; those whose first column begins with the text come first.

        Both are asked in the order of the first column, which has an index: a search that matches much ends early.
        What lies `within` one's areas costs more to tell than what matches, so that is asked only where something does.
        """
        holding = wanted
        for word in self.words:
            holding = holding.where(or_(*(self._holds(column, word) for column in columns)))
        if not self.services.scope.everything and self.session.execute(holding.limit(1)).first() is None:
            return []
        found = self.beginning(wanted.where(within), columns[0])
        if len(found) > self.limit:
            return found
        wanted = holding.where(within)
        known = {row[0] for row in found}
        more = self.session.execute(wanted.order_by(columns[0]).limit(self.limit + 1 + len(found))).all()
        return [*found, *(row for row in more if row[0] not in known)]

    def beginning(self, wanted: _AnySelect, column: ColumnElement[str]) -> list[Any]:
        """The rows whose column begins with the text."""
        begins: ColumnElement[bool]
        if self._sqlite:  # a range, which an index answers; LIKE does not take one here
            begins = and_(column >= self.text, column < self.text[:-1] + chr(ord(self.text[-1]) + 1))
        else:
            begins = column.istartswith(self.text, autoescape=True)
        return list(self.session.execute(wanted.where(begins).order_by(column).limit(self.limit + 1)).all())

    def _holds(self, column: ColumnElement[str], word: str) -> ColumnElement[bool]:
        """Whether a column has a word in it. SQLite's LIKE overlooks case by itself, and is twice as fast without lower()."""
        if self._sqlite:
            return column.contains(word, autoescape=True)
        return column.icontains(word, autoescape=True)

    @property
    def _sqlite(self) -> bool:
        return self.session.get_bind().dialect.name == "sqlite"


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of thing that can be found."""

    kind: str
    symbol: str
    label: str
    right: Right
    find: Callable[[Asked], Iterator[Hit]]
    listed: str | None = None
    """The list of all that match; `{}` takes the text."""


def words_of(text: str) -> list[str]:
    """The words of a text, as many as count."""
    return text.split()[:MOST_WORDS]


def search(
    services: Services,
    principal: Principal,
    text: str,
    say: Language,
    *,
    limit: int = LIMIT,
    pages: bool = True,
) -> list[Group]:
    """What a text finds, by kind; without a text, only pages."""
    text = " ".join(text.replace("\x00", "").split())
    groups = [_pages(principal, text, say, limit)] if pages else []
    if text:
        with services.database.read() as session:
            asked = Asked(text, services, session, say, limit)
            groups += [_group(source, asked) for source in SOURCES if principal.may(source.right)]
    return [group for group in groups if group.hits]


def _pages(principal: Principal, text: str, say: Language, limit: int) -> Group:
    found = [
        Hit(command.address, say.text(command.label), "", command.address)
        for command in matching(text, principal)
    ]
    shown = found[:limit] if text else found
    return Group("page", "right", say.text("Pages"), tuple(shown), more=False)


def _group(source: Source, asked: Asked) -> Group:
    hits = list(source.find(asked))
    more = len(hits) > asked.limit
    return Group(
        source.kind,
        source.symbol,
        asked.say.text(source.label),
        tuple(hits[: asked.limit]),
        more,
        source.listed if more else None,
    )


def _joined(*parts: str | None) -> str:
    return " · ".join(part for part in parts if part)


def _meters(asked: Asked) -> Iterator[Hit]:
    wanted = (
        select(Meter.id, Meter.address, MeteringPoint.code, MeteringPoint.name, Area.name)
        .outerjoin(Installation, and_(Installation.meter_id == Meter.id, Installation.valid_to.is_(None)))
        .outerjoin(MeteringPoint, MeteringPoint.id == Installation.point_id)
        .outerjoin(Area, Area.id == MeteringPoint.area_id)
    )
    scope = asked.services.scope
    # Where a meter hangs now says whether it is within; only for one that hangs nowhere its past has to be looked up.
    within = or_(scope.has_point(), and_(Installation.id.is_(None), scope.has_meter()))
    columns = (Meter.address.expression, MeteringPoint.code.expression, MeteringPoint.name.expression)
    for meter_id, address, code, name, area in asked.rows(wanted, within, *columns):
        yield Hit(str(meter_id), address, _joined(name, code, area), f"/meters/{meter_id}")


def _accounts(asked: Asked) -> Iterator[Hit]:
    wanted = select(Account.id, Account.code, Account.name, Customer.name).join(
        Customer, Customer.id == Account.customer_id
    )
    columns = (Account.code.expression, Account.name.expression, Customer.name.expression)
    within = asked.services.scope.has_account()
    for account_id, code, name, customer in asked.rows(wanted, within, *columns):
        yield Hit(str(account_id), name, _joined(code, customer), f"/accounts/{account_id}")


def _customers(asked: Asked) -> Iterator[Hit]:
    wanted = select(Customer.id, Customer.code, Customer.name, Customer.phone)
    columns = (Customer.name.expression, Customer.code.expression, func.coalesce(Customer.phone, ""))
    within = asked.services.scope.has_customer()
    for customer_id, code, name, phone in asked.rows(wanted, within, *columns):
        yield Hit(str(customer_id), name, _joined(code, phone), f"/customers/{customer_id}")


def _bills(asked: Asked) -> Iterator[Hit]:
    """Bills whose number begins with the text: there are many of them, and a number begins with its account's."""
    wanted = (
        select(Bill.id, Bill.number, Account.name, Bill.period_start)
        .join(Account, Account.id == Bill.account_id)
        .where(asked.services.scope.has_account())
    )
    for bill_id, number, account, start in asked.beginning(wanted, Bill.number.expression):
        yield Hit(str(bill_id), number, _joined(account, asked.say.month(start)), f"/bills/{bill_id}")


def _links(asked: Asked) -> Iterator[Hit]:
    wanted = select(Link.code, Link.name, Link.url)
    columns = (Link.name.expression, Link.code.expression, Link.url.expression)
    for code, name, url in asked.rows(wanted, asked.services.scope.has_link(), *columns):
        yield Hit(code, name, _joined(code, url), f"/links/{quote(code)}")


def _alarms(asked: Asked) -> Iterator[Hit]:
    """Alarms that are still open."""
    wanted = FindingFilter(state="active", search=asked.text)
    found = asked.services.monitoring.findings(wanted, scope=asked.services.scope, limit=asked.limit + 1)
    for row in found.rows:
        detail = _joined(row.subject_name, row.place)
        yield Hit(str(row.id), sentence_of(row, asked.say.code), detail, f"/alarms/{row.id}")


def _areas(asked: Asked) -> Iterator[Hit]:
    wanted = select(Area.id, Area.code, Area.name, Site.name).join(Site, Site.id == Area.site_id)
    within = asked.services.scope.has_area()
    for area_id, code, name, site in asked.rows(wanted, within, Area.name.expression, Area.code.expression):
        yield Hit(str(area_id), name, _joined(code, site), f"/areas/{area_id}")


def _tariffs(asked: Asked) -> Iterator[Hit]:
    words = [word.lower() for word in asked.words]
    for tariff in asked.services.billing.tariffs():
        named = f"{tariff.code} {tariff.name_zh} {tariff.name_en}".lower()
        if all(word in named for word in words):
            name = asked.say.choose(tariff.name_zh, tariff.name_en)
            yield Hit(tariff.code, name, tariff.code, f"/tariffs#{tariff.code}")


def _users(asked: Asked) -> Iterator[Hit]:
    wanted = select(User.id, User.login, User.name)
    for user_id, login, name in asked.rows(wanted, true(), User.login.expression, User.name.expression):
        yield Hit(str(user_id), name, login, f"/users/{user_id}")


SOURCES: Final = (
    Source("meter", "meter", N_("Meters"), Right.METERS_VIEW, _meters, "/meters?search={}"),
    Source("account", "account", N_("Accounts"), Right.CUSTOMERS_VIEW, _accounts, "/accounts?search={}"),
    Source("customer", "customer", N_("Customers"), Right.CUSTOMERS_VIEW, _customers, "/customers?search={}"),
    Source("bill", "bill", N_("Bills"), Right.BILLS_VIEW, _bills),
    Source("alarm", "alarm", N_("Alarms"), Right.ALARMS_VIEW, _alarms, "/alarms?search={}"),
    Source("area", "area", N_("Areas"), Right.METERS_VIEW, _areas),
    Source("link", "link", N_("Links"), Right.LINKS_VIEW, _links),
    Source("tariff", "tariff", N_("Tariffs"), Right.TARIFFS_VIEW, _tariffs),
    Source("user", "user", N_("Users"), Right.USERS_MANAGE, _users),
)
RIGHTS: Final = frozenset(source.right for source in SOURCES)
"""Whoever has one of these has something to find."""


def pieces(text: str, sought: str) -> list[tuple[str, bool]]:
    """A text in parts, each with whether it is what was looked for."""
    words = sorted(words_of(sought), key=len, reverse=True)
    if not words:
        return [(text, False)]
    parts = re.split("(" + "|".join(map(re.escape, words)) + ")", text, flags=re.IGNORECASE)
    return [(part, bool(place % 2)) for place, part in enumerate(parts) if part]
