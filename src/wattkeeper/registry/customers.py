"""Customers and accounts, entered and changed by people: what a form or the API asks for, written down in the audit.

Each function works in the caller's ``write()`` transaction. What a change would do to bills, ``billing.accounts`` knows.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from wattkeeper.registry.errors import AlreadyExists, BadValue, NotFound
from wattkeeper.registry.models import Account, AccountKind, AccountPoint, Customer
from wattkeeper.registry.repository import Registry
from wattkeeper.registry.rules import checked_code
from wattkeeper.registry.service import assign_account, release_account
from wattkeeper.security.audit import record

_LONGEST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerWanted:
    """What a customer is to be."""

    code: str
    name: str
    phone: str | None = None
    email: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountWanted:
    """What an account is to be."""

    code: str
    name: str
    kind: AccountKind = AccountKind.RESIDENTIAL
    address: str | None = None


def add_customer(session: Session, wanted: CustomerWanted, *, now: datetime) -> Customer:
    """Enter a customer; AlreadyExists when another one has the code."""
    customer = Registry(session).add_customer(**asdict(_checked_customer(wanted)))
    record(
        session,
        "customer.create",
        now=now,
        subject=("customer", customer.id),
        name=customer.code,
        after=_of_customer(customer),
    )
    return customer


def change_customer(session: Session, customer_id: int, wanted: CustomerWanted, *, now: datetime) -> Customer:
    """Change a customer's code, name and how to reach them."""
    registry = Registry(session)
    customer = registry.get_customer(customer_id)
    wanted = _checked_customer(wanted)
    if wanted.code != customer.code and registry.customer_by_code(wanted.code) is not None:
        raise AlreadyExists("customer", wanted.code)
    before = _of_customer(customer)
    for field, value in asdict(wanted).items():
        setattr(customer, field, value)
    session.flush()
    if (after := _of_customer(customer)) != before:
        record(
            session,
            "customer.change",
            now=now,
            subject=("customer", customer.id),
            name=customer.code,
            before=before,
            after=after,
        )
    return customer


def open_account(
    session: Session, customer_id: int, wanted: AccountWanted, *, opened_at: datetime, now: datetime
) -> Account:
    """Open an account of a customer; it pays for nothing until it is given metering points."""
    registry = Registry(session)
    registry.get_customer(customer_id)
    wanted = _checked_account(wanted)
    account = registry.add_account(customer_id=customer_id, opened_at=opened_at, **asdict(wanted))
    record(
        session,
        "account.open",
        now=now,
        subject=("account", account.id),
        name=account.code,
        after=_of_account(account),
    )
    return account


def change_account(session: Session, account_id: int, wanted: AccountWanted, *, now: datetime) -> Account:
    """Change an account's code, name, kind and address."""
    registry = Registry(session)
    account = registry.get_account(account_id)
    wanted = _checked_account(wanted)
    if wanted.code != account.code and registry.account_by_code(wanted.code) is not None:
        raise AlreadyExists("account", wanted.code)
    before = _of_account(account)
    for field, value in asdict(wanted).items():
        setattr(account, field, value)
    session.flush()
    if (after := _of_account(account)) != before:
        record(
            session,
            "account.change",
            now=now,
            subject=("account", account.id),
            name=account.code,
            before=before,
            after=after,
        )
    return account


def close_account(session: Session, account_id: int, *, at: datetime, now: datetime) -> Account:
    """Close an account at an instant: from then on it pays for none of its points."""
    registry = Registry(session)
    account = registry.get_account(account_id)
    if account.closed_at is not None:
        raise BadValue("at", f"Account {account.code} is closed already.")
    held = [item for item in registry.points_of_account(account_id) if item.period.end is None]
    if at <= account.opened_at or any(item.period.start >= at for item in held):
        raise BadValue(
            "at",
            f"Account {account.code} cannot be closed before it was opened, or before a point was given to it.",
            hint="Choose a later time.",
        )
    before = _of_account(account)
    for item in held:
        release_account(session, point_id=item.point_id, at=at)
    account.closed_at = at
    session.flush()
    after = _of_account(account) | {"released": [item.point_code for item in held]}
    record(
        session,
        "account.close",
        now=now,
        subject=("account", account.id),
        name=account.code,
        before=before,
        after=after,
    )
    return account


def move_point(
    session: Session, *, point_id: int, account_id: int, at: datetime, now: datetime
) -> AccountPoint:
    """Let an account pay for a point from an instant on; who paid until then pays no longer."""
    registry = Registry(session)
    account, point = registry.get_account(account_id), registry.get_point(point_id)
    if at < account.opened_at or account.closed_at is not None:
        raise BadValue(
            "at",
            f"Account {account.code} is not open then.",
            hint="Choose a time after it was opened, or another account.",
        )
    payer = registry.assigned_now(point_id)
    if payer is not None and payer.account_id == account_id:
        raise BadValue("point", f"Account {account.code} pays for {point.code} already.")
    before = None if payer is None else {"account": registry.get_account(payer.account_id).code}
    assignment = assign_account(session, point_id=point_id, account_id=account_id, at=at)
    record(
        session,
        "point.move",
        now=now,
        subject=("point", point_id),
        name=point.code,
        before=before,
        after={"account": account.code, "from": at},
    )
    return assignment


def point_of_code(registry: Registry, code: str) -> int:
    """The id of the metering point of this code, or NotFound."""
    point = registry.point_by_code(code.strip())
    if point is None:
        raise NotFound("metering point", code)
    return point.id


def _checked_customer(wanted: CustomerWanted) -> CustomerWanted:
    return CustomerWanted(
        code=checked_code("customer", wanted.code),
        name=_checked_line("name", wanted.name),
        phone=_optional_line("phone", wanted.phone),
        email=_optional_line("email", wanted.email),
        address=_optional_line("address", wanted.address),
    )


def _checked_account(wanted: AccountWanted) -> AccountWanted:
    return AccountWanted(
        code=checked_code("account", wanted.code),
        name=_checked_line("name", wanted.name),
        kind=AccountKind(wanted.kind),
        address=_optional_line("address", wanted.address),
    )


def _checked_line(field: str, text: str) -> str:
    """One line of text, not empty."""
    trimmed = text.strip()
    if not 0 < len(trimmed) <= _LONGEST or not trimmed.isprintable():
        raise BadValue(
            field,
            f"The {field} {text!r} cannot be kept.",
            hint=f"Use 1 to {_LONGEST} characters on one line.",
        )
    return trimmed


def _optional_line(field: str, text: str | None) -> str | None:
    return _checked_line(field, text) if text is not None and text.strip() else None


def _of_customer(customer: Customer) -> dict[str, Any]:
    return {
        "code": customer.code,
        "name": customer.name,
        "phone": customer.phone,
        "email": customer.email,
        "address": customer.address,
    }


def _of_account(account: Account) -> dict[str, Any]:
    return {
        "code": account.code,
        "name": account.name,
        "kind": account.kind.value,
        "address": account.address,
        "customer_id": account.customer_id,
        "opened_at": account.opened_at,
        "closed_at": account.closed_at,
    }
