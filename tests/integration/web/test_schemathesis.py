"""Every operation, asked what its description allows and what it does not, answers as the description says.

The town of this test is its own: what is asked here changes it.
"""

import time

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.integration.web.conftest import SAME_ORIGIN, Town, add_user

from wattkeeper.registry.repository import Registry
from wattkeeper.security.rights import Role
from wattkeeper.web.access import COOKIE
from wattkeeper.web.application import create_application

# No operation says that it may answer 500 (`test_openapi`), so a 500 is an answer that is not described.
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
QUICK, LONG = 20, 200
QUICK_SECONDS = 40
"""For asking; a loaded machine needs as long again to make up what to ask."""
SHUT = {401, 403}
"""What who asks in vain is answered; an operation is asked until it has answered something else."""
KNOWN = {"code": ["north", "works", "cn-zhejiang-residential"], "exchange_id": None}


class Askers:
    """Who asks; somebody new once the one before has shut themselves out."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self._count = 0
        self._secrets: dict[Role, str] = {}
        with town.database.read() as session:
            self._customer = Registry(session).accounts()[0].customer_id

    def headers(self, *, portal: bool) -> dict[str, str]:
        role = Role.CUSTOMER if portal else Role.ADMINISTRATOR
        if not self._still_in(role):
            self._count += 1
            more = {"customer_id": self._customer} if portal else {}
            self._secrets[role] = add_user(self._town, f"asker{self._count}", role, **more)
        return SAME_ORIGIN | {"cookie": f"{COOKIE}={self._secrets[role]}"}

    def _still_in(self, role: Role) -> bool:
        secret = self._secrets.get(role)
        if secret is None:
            return False
        principal = self._town.security.sign_in.principal(secret, now=self._town.now)
        return principal is not None and principal.role is role and not principal.limited


@pytest.fixture(scope="module")
def own_town(tmp_path_factory):
    built = Town(tmp_path_factory.mktemp("asked"))
    built.bill()
    yield built
    built.close()


@pytest.fixture(scope="module")
def askers(own_town):
    return Askers(own_town)


@pytest.fixture(scope="module")
def schema(own_town, askers):
    application = create_application(own_town.services())
    return schemathesis.openapi.from_asgi(
        "/api/v1/openapi.json", application, headers=askers.headers(portal=False)
    )


def _ask(operation, headers, *, examples: int, seconds: float) -> tuple[set[int], set[str]]:
    """Ask an operation so many times, or so long; the statuses it answered with, and what was wrong."""
    seen: set[int] = set()
    wrong: set[str] = set()
    until = time.monotonic() + seconds

    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=examples == QUICK,
        suppress_health_check=list(HealthCheck),
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )
    @hypothesis.given(case=operation.as_strategy(), data=st.data())
    def ask(case, data):
        for name in case.path_parameters or {}:
            if data.draw(st.booleans()):  # what is there, so that not everything ends with "not found"
                known = KNOWN.get(name)
                case.path_parameters[name] = data.draw(
                    st.sampled_from(known) if known else st.integers(1, 24)
                )
        if time.monotonic() > until and not seen <= SHUT:
            return
        try:
            response = case.call(headers=headers | dict(case.headers or {}) | headers)
            seen.add(response.status_code)
            case.validate_response(response, checks=CHECKS)
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 (told at the end, with all others)
            # Raised, it would be asked again, and what it changed may answer otherwise the second time.
            wrong.update(f"{operation.label}: {text}" for text in _told(error))

    ask()
    return seen, wrong


def _told(error: BaseException) -> list[str]:
    """What went wrong; several failures of an operation come in a group."""
    if isinstance(error, BaseExceptionGroup):
        return [text for part in error.exceptions for text in _told(part)]
    return [f"{type(error).__name__}: {str(error)[:1500]}"]


def _all(schema, askers, *, examples: int, seconds: float) -> None:
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 60
    shut_out, failures = [], []
    for operation in operations:
        headers = askers.headers(portal="/portal/" in operation.path)
        seen, wrong = _ask(operation, headers, examples=examples, seconds=seconds / len(operations))
        failures += sorted(wrong)
        if seen <= SHUT:
            shut_out.append(operation.label)
    assert not failures, "\n".join(failures)
    assert shut_out == []


@pytest.mark.timeout(400)
def test_no_operation_answers_what_its_description_does_not_say(schema, askers):
    _all(schema, askers, examples=QUICK, seconds=QUICK_SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_no_operation_does_so_when_asked_for_long(schema, askers):
    _all(schema, askers, examples=LONG, seconds=900)
