"""Every act that the code writes down has a name for people, and so has every right and role."""

import ast
from collections.abc import Iterator
from pathlib import Path

import wattkeeper
from wattkeeper.security.rights import Right, Role
from wattkeeper.web.queries.act_words import ACTIONS, SUBJECTS
from wattkeeper.web.queries.roles import ROLES, named_rights

SOURCE = Path(wattkeeper.__file__).parent
RECORD = "record"


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _texts(node: ast.AST) -> set[str]:
    """The texts an expression may be: itself, either side of a choice, every known beginning or end of a name."""
    if isinstance(node, ast.IfExp):
        return _texts(node.body) | _texts(node.orelse)
    if isinstance(node, ast.JoinedStr):
        begin, end = node.values[0], node.values[-1]
        if isinstance(begin, ast.Constant):
            return {action for action in ACTIONS if action.startswith(str(begin.value))}
        assert isinstance(end, ast.Constant)
        return {action for action in ACTIONS if action.endswith(str(end.value))}
    return {
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def _argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    if len(call.args) > position:
        return call.args[position]
    return next((word.value for word in call.keywords if word.arg == name), None)


def _named(module: ast.Module, name: str) -> set[str]:
    """What a variable `name` of a module may hold: what is assigned to it, or handed to functions that take it."""
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == name for target in node.targets):
            found |= _texts(node.value)
        if isinstance(node, ast.FunctionDef):
            parameters = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
            keywords = [argument.arg for argument in node.args.kwonlyargs]
            if name not in parameters + keywords:
                continue
            skipped = 1 if parameters[:1] in (["self"], ["cls"]) else 0
            position = parameters.index(name) - skipped if name in parameters else 99
            for call in ast.walk(module):
                if _called(call) == node.name and (given := _argument(call, position, name)) is not None:
                    found |= _texts(given)
    return found


def _recorded(path: Path) -> Iterator[tuple[str, str]]:
    """Every (action or subject's kind, which of the two) that a file writes down."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    for call in ast.walk(module):
        if _called(call) != RECORD or _argument(call, 99, "now") is None or len(call.args) < 2:
            continue
        action = call.args[1]
        names = _named(module, action.id) if isinstance(action, ast.Name) else _texts(action)
        assert names, f"{path}:{call.lineno}: which actions can this be?"
        yield from ((name, "action") for name in names)
        subject = _argument(call, 99, "subject")
        if isinstance(subject, ast.Tuple):
            yield from ((kind, "subject") for kind in _texts(subject.elts[0]))


def _all(which: str) -> set[str]:
    return {name for path in SOURCE.rglob("*.py") for name, kind in _recorded(path) if kind == which}


def test_every_act_that_is_written_down_has_a_name():
    recorded = _all("action")
    assert {"user.disable", "user.enable", "bill.issue", "bill.cancel", "session.start"} <= recorded
    assert recorded - set(ACTIONS) == set()


def test_every_kind_of_thing_that_is_written_down_has_a_name():
    assert _all("subject") - set(SUBJECTS) == set()


def test_every_right_and_role_has_words_once():
    assert sorted(named_rights()) == sorted(Right)
    assert list(ROLES) == list(Role)
