"""POST /api/v1/batches: who may, what is answered, and what is refused."""

from datetime import timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from tests.integration.web.conftest import NOW, Town, add_user

from wattkeeper.readings.schemas import READING_SCHEMA
from wattkeeper.readings.transmission.batch import encode
from wattkeeper.readings.transmission.identities import MeterIdentity
from wattkeeper.registry.models import Link, Meter
from wattkeeper.security.rights import Right
from wattkeeper.security.users import Role
from wattkeeper.web.application import create_application

COLLECTOR, RUN = "9f86d081884c7d65", "0123456789abcdef"


@pytest.fixture(scope="module")
def own_town(tmp_path_factory):
    built = Town(tmp_path_factory.mktemp("delivered"))
    yield built
    built.close()


@pytest.fixture(scope="module")
def client(own_town):
    with TestClient(create_application(own_town.services())) as opened:
        yield opened


@pytest.fixture(scope="module")
def token(own_town):
    """What a remote collector has: one right, of an operator's."""
    session = add_user(own_town, "remote", Role.OPERATOR)
    owner = own_town.security.sign_in.principal(session, now=own_town.now)
    _, secret = own_town.security.tokens.create(
        owner,
        name="site 7",
        rights={Right.READINGS_DELIVER},
        expires_at=own_town.now + timedelta(days=9),
        now=own_town.now,
    )
    return {"authorization": f"Bearer {secret}"}


@pytest.fixture(scope="module")
def meter(own_town):
    with own_town.database.read() as session:
        row = (
            session.query(Meter.id, Meter.protocol, Link.code, Meter.address)
            .join(Link, Link.id == Meter.link_id)
            .first()
        )
    return row[0], MeterIdentity(*row[1:])


def batch(*meters: MeterIdentity, value: str = "123.45", quantity: str = "active_energy_export") -> bytes:
    rows = [
        {
            "meter_id": place, "quantity": quantity, "read_at": NOW - timedelta(minutes=7), "value": Decimal(value),
            "status": 0, "source": "meter", "exchange_id": None,
        }
        for place in range(len(meters))
    ]  # fmt: skip
    return encode(pa.Table.from_pylist(rows, schema=READING_SCHEMA), meters).payload


def posted(client, token, payload: bytes, last: int = 1, **changed):
    return client.post(
        "/api/v1/batches", params={"collector": COLLECTOR, "run": RUN, "last": last} | changed,
        content=payload, headers=token | {"content-type": "application/octet-stream"},
    )  # fmt: skip


def test_a_batch_is_stored_before_it_is_acknowledged_and_the_unknown_are_named(
    client, token, own_town, meter
):
    meter_id, known = meter
    unknown = MeterIdentity("dlt645-2007", "elsewhere", "990000000001")
    answer = posted(client, token, batch(known, unknown))
    assert answer.status_code == 200
    assert answer.json() == {
        "acknowledged": 1,
        "rows": 1,
        "accepted": 1,
        "unknown": [{"protocol": "dlt645-2007", "link": "elsewhere", "address": "990000000001"}],
    }
    (row,) = own_town.store.readings(meter_ids=[meter_id], quantities=["active_energy_export"]).to_pylist()
    assert (row["value"], row["source"]) == (Decimal("123.4500"), "meter")
    assert posted(client, token, batch(known, unknown)).json()["accepted"] == 0, "a repeat says nothing new"

    asked = client.post(
        "/api/v1/batches/meters", json={"meters": [known._asdict(), unknown._asdict()]}, headers=token
    )
    assert asked.json() == {"known": [known._asdict()]}
    chief = {"cookie": f"wk_session={add_user(own_town, 'chief-of-sites', Role.ADMINISTRATOR)}"}
    (listed,) = client.get("/api/v1/remote-collectors", headers=chief).json()
    assert (listed["id"], listed["name"], listed["readings"]) == (COLLECTOR, "site 7", 2)
    assert listed["unknown"] == [unknown._asdict()]
    rows = client.get("/links/-/collectors.csv?lang=en", headers=chief).text.splitlines()
    assert rows[1].startswith(f"site 7,{COLLECTOR},")
    assert rows[1].endswith(f",2,{unknown.address} ({unknown.link})")


def test_what_cannot_be_taken_is_a_problem_with_its_own_type(client, token, own_town, meter):
    _, known = meter
    first = encode(pa.Table.from_pylist([], schema=READING_SCHEMA), [])
    delta = encode(pa.Table.from_pylist([], schema=READING_SCHEMA), [], first.base).payload
    for payload, status, slug in (
        (b"nothing", 422, "bad-batch"),
        (b"WKB\x07" + bytes(40), 422, "unknown-batch-version"),
        (batch(known)[:-1], 422, "bad-batch"),
        (delta, 409, "base-unknown"),
        (bytes((16 << 20) + 1), 413, "batch-too-large"),
        (batch(known, quantity="warp_energy"), 422, "bad-readings"),
    ):
        answer = posted(client, token, payload, last=9)
        assert (answer.status_code, answer.json()["type"]) == (status, f"urn:wattkeeper:problem:{slug}")
    for wrong in ({"collector": "x"}, {"run": RUN.upper()}, {"last": 0}):
        assert posted(client, token, batch(known), **wrong).status_code == 422
    again = posted(client, token, batch(known, value="200"), last=2)
    assert again.json()["accepted"] == 1, "nothing of what was refused was acknowledged"


def test_a_token_without_the_right_and_a_server_that_sends_nothing_say_so(client, token, own_town):
    session = add_user(own_town, "looker", Role.ANALYST)
    assert posted(client, {"cookie": f"wk_session={session}"}, b"").status_code == 403
    assert client.get("/api/v1/remote-collectors", headers=token).status_code == 403
    operator = {"cookie": f"wk_session={add_user(own_town, 'minder', Role.OPERATOR)}"}
    answer = client.get("/api/v1/outbox", headers=operator)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:wattkeeper:problem:nothing-forwarded")
