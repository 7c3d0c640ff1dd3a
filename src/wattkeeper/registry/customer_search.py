"""The registry's SQL for the list of customers."""

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from wattkeeper.registry.keyset import mark, page
from wattkeeper.registry.models import Account, Customer
from wattkeeper.registry.scope import Scope
from wattkeeper.registry.values import CustomerPage, CustomerRow

_SORTS = {"code": Customer.code.expression, "name": Customer.name.expression}
SORT_KEYS = tuple(_SORTS)


def find_customers(
    session: Session,
    scope: Scope,
    *,
    search: str = "",
    sort: str = "code",
    descending: bool = False,
    limit: int = 50,
    after: str | None = None,
) -> CustomerPage:
    """A page of customers; ``search`` is a part of the code, name, phone, or of an account's number."""
    accounts = (
        select(func.count())
        .select_from(Account)
        .where(Account.customer_id == Customer.id, scope.has_account())
        .correlate(Customer)
        .scalar_subquery()
    )
    matching = _matching(search.strip(), scope)
    total = session.scalar(select(func.count()).select_from(matching.subquery())) or 0
    wanted = select(Customer.id, Customer.code, Customer.name, Customer.phone, Customer.email, accounts)
    wanted = wanted.where(Customer.id.in_(matching))
    rows = session.execute(
        page(wanted, _SORTS[sort], Customer.id, descending=descending, after=after).limit(limit + 1)
    ).all()
    shown = rows[:limit]
    following = mark(shown[-1][-1], shown[-1].id) if len(rows) > limit else None
    return CustomerPage(tuple(CustomerRow(*row[:-1]) for row in shown), total, following)


def _matching(search: str, scope: Scope) -> Select[int]:
    wanted = select(Customer.id).where(scope.has_customer())
    if search:
        own = (Customer.code, Customer.name, Customer.phone)
        numbered = select(Account.customer_id).where(
            Account.code.icontains(search, autoescape=True), scope.has_account()
        )
        wanted = wanted.where(
            or_(
                *(column.icontains(search, autoescape=True) for column in own),
                Customer.id.in_(numbered),
            )
        )
    return wanted
