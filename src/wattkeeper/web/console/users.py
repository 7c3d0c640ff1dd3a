"""Users: the list, a new one, and what each role may do."""

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse
from starlette.responses import Response

from wattkeeper.security.errors import SecurityError, UserRefused
from wattkeeper.security.rights import Right, Role
from wattkeeper.security.values import UserPage, UserView, UserWanted
from wattkeeper.web.access import needs
from wattkeeper.web.console.words import Notice, pager
from wattkeeper.web.exports import PAGE as EXPORT_PAGE
from wattkeeper.web.exports import Column, Export, Table, exported, paged
from wattkeeper.web.pages import language_of, render, services_of
from wattkeeper.web.problems import status_of
from wattkeeper.web.queries import people
from wattkeeper.web.queries.people import UserLine
from wattkeeper.web.queries.roles import ROLES, right_groups, role_choices
from wattkeeper.web.queries.states import N_
from wattkeeper.web.services import Services

router = APIRouter(include_in_schema=False, dependencies=[needs(Right.USERS_MANAGE)])
PAGE: Final = 50
EXPORT: Final[Table[UserLine]] = Table(
    "users",
    N_("Users"),
    (
        Column(N_("User name"), lambda line: line.login),
        Column(N_("Full name"), lambda line: line.name),
        Column(N_("E-mail"), lambda line: line.email),
        Column(N_("Role"), lambda line: line.role_text),
        Column(N_("Sees"), lambda line: line.sees),
        Column(N_("State"), lambda line: line.state_text),
        Column(N_("Last sign-in"), lambda line: line.last_sign_in_at, "moment"),
        Column(N_("Added"), lambda line: line.created_at, "moment"),
    ),
)


class UserForm:
    """A user as the form sends them; what does not go with the role is left out."""

    def __init__(
        self,
        name: Annotated[str, Form(max_length=200)] = "",
        email: Annotated[str, Form(max_length=254)] = "",
        role: Annotated[Role, Form()] = Role.OPERATOR,
        customer: Annotated[str, Form(max_length=200)] = "",
        *,
        site: Annotated[list[int] | None, Form()] = None,
        area: Annotated[list[int] | None, Form()] = None,
    ) -> None:
        own = role is Role.CUSTOMER
        self.customer = customer.strip()
        self.wanted = UserWanted(
            name=name, role=role, email=email.strip() or None,
            sites=frozenset() if own else frozenset(site or ()), areas=frozenset() if own else frozenset(area or ()),
        )  # fmt: skip

    def found(self, services: Services) -> UserWanted:
        """What the user is to be; raises UserRefused when there is no such customer."""
        if self.wanted.role is not Role.CUSTOMER:
            return self.wanted
        customer_id = people.customer_by(services, self.customer) if self.customer else None
        if customer_id is None:
            raise UserRefused(
                f"There is no customer {self.customer!r}.",
                reason="customer_unknown",
                hint="Enter the customer's code as the list of customers has it.",
            )
        return replace(self.wanted, customer_id=customer_id)

    def fields(self, services: Services, **more: str) -> dict[str, Any]:
        """What stands in the form."""
        return form_fields(services, self.wanted, self.customer, **more)


def form_fields(
    services: Services, user: UserWanted | UserView | None, customer: str = "", login: str = ""
) -> dict[str, Any]:
    """What stands in the form of a user; empty for a new one."""
    return {
        "login": login,
        "name": user.name if user else "",
        "email": (user.email if user else None) or "",
        "role": user.role.value if user else Role.OPERATOR.value,
        "customer": customer,
        "places": people.places(services, sites=user.sites if user else (), areas=user.areas if user else ()),
    }


def asked_role(role: Annotated[str, Query(max_length=20)] = "") -> Role | None:
    """The role a list is narrowed to."""
    return Role(role) if role in set(Role) else None


Searched = Annotated[str, Query(max_length=100)]
Asked = Annotated[Role | None, Depends(asked_role)]


@router.get("/users", response_class=HTMLResponse)
def users_page(
    request: Request,
    role: Asked,
    search: Searched = "",
    after: Annotated[str | None, Query(max_length=64)] = None,
) -> HTMLResponse:
    """The list of users."""
    services, say = services_of(request), language_of(request)
    found: UserPage = services.security.users.find(search=search, role=role, after=after, limit=PAGE)
    rows = people.user_lines(services, found.users, say)
    return render(
        request,
        "users.html",
        block="results",
        page=pager(say, rows, after=found.after, asked=after, total=found.total),
        search=search,
        role=role.value if role else "",
        roles=role_choices(say),
    )


@exported(router, "/users")
def users_export(request: Request, role: Asked, search: Searched = "") -> Export[UserLine]:
    """Every user of the filter."""
    services, say = services_of(request), language_of(request)

    def page(after: str | None) -> tuple[list[UserLine], str | None]:
        found = services.security.users.find(search=search, role=role, after=after, limit=EXPORT_PAGE)
        return people.user_lines(services, found.users, say), found.after

    return Export(EXPORT, paged(page), say)


@router.get("/users/roles", response_class=HTMLResponse)
def roles_page(request: Request) -> HTMLResponse:
    """What each role may do."""
    say = language_of(request)
    return render(request, "roles.html", roles=role_choices(say), groups=right_groups(say), count=len(ROLES))


@router.get("/users/customers", response_class=HTMLResponse)
def offered_customers(request: Request, customer: Searched = "") -> HTMLResponse:
    """Customers to choose from while somebody types."""
    offered = people.offered_customers(services_of(request), customer.strip())
    return render(request, "customer_options.html", offered=offered)


@router.get("/users/new", response_class=HTMLResponse)
def new_user_page(request: Request) -> HTMLResponse:
    """The form for a new user."""
    return _form(request, form_fields(services_of(request), None))


@router.post("/users/new", response_class=HTMLResponse)
def add_user(
    request: Request, form: Annotated[UserForm, Depends()], login: Annotated[str, Form(max_length=64)] = ""
) -> Response:
    """Add a user and show the first password, this once."""
    services = services_of(request)
    try:
        user, password = services.security.users.add(login, form.found(services), now=services.clock())
    except SecurityError as error:
        return _form(request, form.fields(services, login=login), error=error)
    return password_shown(request, user, password, new=True)


def password_shown(request: Request, user: UserView, password: str, *, new: bool) -> HTMLResponse:
    """The one page that ever shows a password; the guard keeps every page out of caches."""
    return render(request, "user_password.html", user=user, password=password, new=new)


def _form(request: Request, fields: dict[str, Any], *, error: SecurityError | None = None) -> HTMLResponse:
    say = language_of(request)
    return render(
        request,
        "user_new.html",
        http_status=status_of(error) if error else 200,
        notice=Notice.of(error, say) if error else None,
        form=fields,
        roles=role_choices(say),
    )
