"""The archive through the API: for who has the right over the whole installation, and nobody else."""

import pytest
from starlette.testclient import TestClient
from tests.integration.web.conftest import Town, add_user, signed_in

from wattkeeper.security.rights import Role
from wattkeeper.web.application import create_application


@pytest.fixture(scope="module")
def own_town(tmp_path_factory):
    built = Town(tmp_path_factory.mktemp("archived"))
    yield built
    built.close()


@pytest.fixture(scope="module")
def app(own_town):
    with TestClient(create_application(own_town.services())) as opened:
        yield opened.app


def test_a_month_is_written_listed_checked_and_brought_back(own_town, app):
    chief = signed_in(app, add_user(own_town, "keeper", Role.ADMINISTRATOR))
    months = chief.get("/api/v1/archive/months", params={"data": "registers"}).json()
    wanted = {"data": "registers", "month": months[0]}
    made = chief.post("/api/v1/archive", json=wanted)
    assert made.status_code == 201
    assert made.json()["rows"] > 0
    (listed,) = chief.get("/api/v1/archive", params={"check": True}).json()
    assert (listed["sha256"], listed["intact"]) == (made.json()["sha256"], True)
    back = chief.post("/api/v1/archive/restore", json=wanted).json()
    assert back == wanted | {"rows": 0}
    none = chief.post("/api/v1/archive/restore", json={"data": "exchanges", "month": "2020-01"})
    assert (none.status_code, none.json()["type"]) == (404, "urn:wattkeeper:problem:nothing-archived")
    for month in ("2026-13", "0040-04"):  # no month, and none that readings have
        for path in ("/api/v1/archive", "/api/v1/archive/restore"):
            assert chief.post(path, json={"data": "registers", "month": month}).status_code == 422


def test_an_operator_has_no_say_over_the_archive(own_town, app):
    operator = signed_in(app, add_user(own_town, "someone", Role.OPERATOR))
    assert operator.get("/api/v1/archive").status_code == 403
