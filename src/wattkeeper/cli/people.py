"""Commands about users and the audit, for who owns the data folder.

Where a server owns it they ask the server; where none does they open the ledger database themselves.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wattkeeper.cli.client import ask, running_server
from wattkeeper.cli.options import DataDir, JsonFlag, settings_of
from wattkeeper.cli.output import console, print_json, print_table
from wattkeeper.cli.stores import opened
from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.kernel.ownership import Owner

if TYPE_CHECKING:
    from wattkeeper.security.values import UserView
    from wattkeeper.settings import Settings

PAGE = 500
NOT_WHOLE = 1

user = typer.Typer(no_args_is_help=True, help="Users: list, add, reset a password, disable and enable.")
audit = typer.Typer(no_args_is_help=True, help="The record of who did what.")
Login = Annotated[str, typer.Argument(help="The user's name at sign-in.")]


class NoSuchUser(WattkeeperError):
    """A user named on the command line is not there."""


class BadRole(WattkeeperError):
    """A role named on the command line is none."""


@user.command("list")
def list_users(data_dir: DataDir = None, json: JsonFlag = False) -> None:
    """Show every user with role and state."""
    settings = settings_of(data_dir=data_dir)
    owner = running_server(settings)
    users = _users_there(owner) if owner else _users_here(settings)
    if json:
        for item in users:
            print_json(item)
        return
    rows = [
        (item["login"], item["name"], item["role"], _state(item), (item["last_sign_in_at"] or "never")[:16])
        for item in users
    ]
    print_table(["user", "name", "role", "state", "last sign-in (UTC)"], rows)


@user.command("add")
def add_user(
    login: Login,
    name: Annotated[str, typer.Option("--name", help="The person's name.")],
    role: Annotated[str, typer.Option("--role", help="administrator, operator, clerk or analyst.")],
    data_dir: DataDir = None,
) -> None:
    """Add a user of the whole installation, not a customer; prints the first password once."""
    if role not in {"administrator", "operator", "clerk", "analyst"}:
        raise BadRole(
            f"{role!r} is no role that can be given here.",
            hint="Use administrator, operator, clerk or analyst; customers are let in on their page of the console.",
        )
    settings = settings_of(data_dir=data_dir)
    if (owner := running_server(settings)) is not None:
        answer = ask(owner, "POST", "/users", json={"login": login, "name": name, "role": role}).json()
        password: str = answer["password"]
    else:
        from wattkeeper.security.rights import Role
        from wattkeeper.security.values import UserWanted

        with opened(settings) as parts:
            wanted = UserWanted(name=name, role=Role(role))
            _, password = parts.security.users.add(login, wanted, now=_now())
    _say_password(login, password)


@user.command("reset-password")
def reset_password(login: Login, data_dir: DataDir = None) -> None:
    """Give a user a new password, printed once; their sessions end."""
    settings = settings_of(data_dir=data_dir)
    if (owner := running_server(settings)) is not None:
        path = f"/users/{_id_there(owner, login)}/reset-password"
        password: str = ask(owner, "POST", path).json()["password"]
    else:
        with opened(settings) as parts:
            users = parts.security.users
            password = users.reset_password(users.by_login(login).id, now=_now())
    _say_password(login, password)


@user.command("disable")
def disable(login: Login, data_dir: DataDir = None) -> None:
    """Keep a user out: their sessions end, and their tokens do nothing."""
    _set_disabled(login, data_dir, disabled=True)
    console.print(f"{login} is disabled.", soft_wrap=True)


@user.command("enable")
def enable(login: Login, data_dir: DataDir = None) -> None:
    """Let a user in again."""
    _set_disabled(login, data_dir, disabled=False)
    console.print(f"{login} may sign in again.", soft_wrap=True)


@audit.command("verify")
def verify(
    expect: Annotated[
        str | None,
        typer.Option("--expect", help="A head noted earlier, as POSITION:HASH; it must still be there."),
    ] = None,
    data_dir: DataDir = None,
    json: JsonFlag = False,
) -> None:
    """Compute the audit's hash chain again; exit code 1 when it is not whole."""
    settings = settings_of(data_dir=data_dir)
    if (owner := running_server(settings)) is not None:
        query = {"expected": expect} if expect else {}
        report = ask(owner, "GET", "/audit/verification", params=query).json()
    else:
        report = _report_here(settings, expect)
    if json:
        print_json(report)
    else:
        _print_report(report)
    if not report["whole"]:
        raise typer.Exit(code=NOT_WHOLE)


def _report_here(settings: "Settings", expect: str | None) -> dict[str, Any]:
    with opened(settings) as parts:
        parts.security.seal_audit(_now())
        found = parts.security.verify_audit(expected=expect)
    return {
        "whole": not found.problems,
        "sealed": found.sealed,
        "unsealed": found.unsealed,
        "head": found.head,
        "problems": list(found.problems),
    }


def _print_report(report: dict[str, Any]) -> None:
    if report["whole"]:
        console.print(f"The audit is whole: {report['sealed']} acts in one chain.", soft_wrap=True)
    else:
        console.print("The audit is not whole:", style="bold red")
        for problem in report["problems"]:
            console.print(f"  {problem}", soft_wrap=True)
    if report["unsealed"]:
        console.print(f"{report['unsealed']} acts wait for the sealer.", soft_wrap=True)
    console.print(f"Head: {report['head']}", soft_wrap=True)


def _set_disabled(login: str, data_dir: Any, *, disabled: bool) -> None:
    settings = settings_of(data_dir=data_dir)
    if (owner := running_server(settings)) is not None:
        ask(owner, "POST", f"/users/{_id_there(owner, login)}/{'disable' if disabled else 'enable'}")
        return
    with opened(settings) as parts:
        users = parts.security.users
        users.disable(users.by_login(login).id, disabled=disabled, now=_now())


def _users_here(settings: "Settings") -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    after: str | None = None
    with opened(settings) as parts:
        while True:
            page = parts.security.users.find(after=after, limit=PAGE)
            shown += [_shown(found) for found in page.users]
            after = page.after
            if after is None:
                return shown


def _users_there(owner: Owner) -> list[dict[str, Any]]:
    users: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        query = {"limit": PAGE} | ({"after": after} if after else {})
        page = ask(owner, "GET", "/users", params=query).json()
        users += page["items"]
        after = page["next"]
        if after is None:
            return users


def _id_there(owner: Owner, login: str) -> int:
    wanted = login.strip().casefold()
    found = next((item for item in _users_there(owner) if item["login"] == wanted), None)
    if found is None:
        raise NoSuchUser(f"There is no user {login}.", hint="`wattkeeper user list` shows them.")
    number: int = found["id"]
    return number


def _shown(found: "UserView") -> dict[str, Any]:
    last = found.last_sign_in_at
    return {
        "login": found.login,
        "name": found.name,
        "role": found.role.value,
        "disabled": found.disabled_at is not None,
        "must_change_password": found.must_change_password,
        "last_sign_in_at": last.isoformat() if last else None,
    }


def _state(item: dict[str, Any]) -> str:
    if item["disabled"]:
        return "disabled"
    return "first password" if item["must_change_password"] else "active"


def _say_password(login: str, password: str) -> None:
    console.print(
        f"{login}'s password is [bold]{password}[/]. It is shown this once, and must be changed at the next sign-in.",
        soft_wrap=True,
    )


def _now() -> datetime:
    return datetime.now(UTC)
