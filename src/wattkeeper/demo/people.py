"""One sign-in for each role, all with the password that the demo prints."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from wattkeeper.demo.masterdata import PORTAL_CUSTOMER
from wattkeeper.parts import Parts
from wattkeeper.registry.repository import Registry
from wattkeeper.security.repository import SecurityRepository
from wattkeeper.security.rights import Role
from wattkeeper.security.values import UserWanted


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signs in, and what for."""

    login: str
    name: str
    role: Role
    comes_for: str


PEOPLE = (
    Person("admin", "系统管理员 Administrator", Role.ADMINISTRATOR, "everything, with users and the audit"),
    Person("operator", "采集运维 Operator", Role.OPERATOR, "meters, links, alarms, import"),
    Person("clerk", "核算收费 Billing clerk", Role.CLERK, "customers, bills, payments, tariffs"),
    Person("analyst", "能源管理 Analyst", Role.ANALYST, "load, alarms and bills, to look at"),
    Person("customer", "陈静", Role.CUSTOMER, "the portal of flat 1-101, on a phone too"),
)


def register_people(parts: Parts, password: str) -> None:
    """Add those who are not there yet."""
    with parts.database.write() as session:
        for person in PEOPLE:
            if SecurityRepository(session).user_by_login(person.login) is None:
                wanted = UserWanted(
                    name=person.name, role=person.role, customer_id=_customer_of(session, person)
                )
                parts.security.users.add_in(
                    session, person.login, wanted, now=datetime.now(UTC), password=password
                )


def sign_ins(password: str) -> Iterator[str]:
    """What the person who starts the demo has to know."""
    yield f"Sign in with the password  {password}  as"
    width = max(len(person.login) for person in PEOPLE)
    for person in PEOPLE:
        yield f"  {person.login:{width}}  {person.comes_for}"


def _customer_of(session: Session, person: Person) -> int | None:
    if person.role is not Role.CUSTOMER:
        return None
    customer = Registry(session).customer_by_code(PORTAL_CUSTOMER)
    assert customer is not None
    return customer.id
