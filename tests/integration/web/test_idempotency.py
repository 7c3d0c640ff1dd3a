"""A write under a key is done once, whatever becomes of its answer on the way."""

import asyncio
import json
import threading

import pytest
from sqlalchemy import select
from tests.integration.web.conftest import NOW

from wattkeeper.kernel.idempotency import IdempotentRequest
from wattkeeper.security.acting import ActorKind
from wattkeeper.security.rights import Role
from wattkeeper.security.values import Principal
from wattkeeper.web.idempotency import Idempotency, keep_no_secret

PATH = "/api/v1/tariff-assignments"
WANTED = {"tariff": "cn-beijing-residential", "month": "2026-10"}
CLERK = Principal(ActorKind.USER, "clerk", "Clerk", Role.CLERK, frozenset())


class Work:
    """An application that counts how often it is asked, and does as it is told."""

    def __init__(self, *, status: int = 200, body: bytes = b'{"id":1}') -> None:
        self.done, self.status, self.body = 0, status, body
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.go_on.set()
        self.crash, self.secret = False, False

    async def __call__(self, scope, receive, send) -> None:
        self.done += 1
        self.begun.set()
        await self.go_on.wait()
        if self.crash:
            raise RuntimeError("the process dies here")
        if self.secret:
            keep_no_secret(type("Request", (), {"scope": scope}))
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


async def ask(
    application, key: str, body: bytes = b"{}", *, principal: Principal = CLERK
) -> tuple[int, dict, bytes]:
    scope = {
        "type": "http", "method": "POST", "path": "/api/v1/things", "query_string": b"", "principal": principal,
        "headers": [(b"idempotency-key", key.encode())],
    }  # fmt: skip
    sent: list[dict] = []

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        sent.append(message)

    await application(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])


@pytest.fixture
def key(request) -> str:
    return f"key-of-{request.node.name}"


@pytest.fixture
def once(town):
    """The middleware over a piece of work."""
    return lambda work: Idempotency(work, services=town.services())


async def test_a_repeat_is_answered_as_the_first_was_and_does_nothing(once, key):
    work = Work(status=201)
    application = once(work)
    first, again = await ask(application, key), await ask(application, key)
    assert (first[0], first[2]) == (again[0], again[2]) == (201, b'{"id":1}')
    assert (again[1]["idempotency-replayed"], work.done) == ("true", 1)


async def test_a_key_is_not_used_for_another_request(once, key):
    work = Work()
    application = once(work)
    await ask(application, key)
    status, _, body = await ask(application, key, b'{"amount":"2"}')
    assert (status, json.loads(body)["type"]) == (422, "urn:wattkeeper:problem:idempotency-key-reused")
    assert work.done == 1


async def test_two_at_once_run_once(once, key):
    work = Work()
    work.go_on.clear()
    application = once(work)
    first = asyncio.create_task(ask(application, key))
    await work.begun.wait()
    status, _, body = await ask(application, key)
    work.go_on.set()
    assert (status, json.loads(body)["type"]) == (409, "urn:wattkeeper:problem:outcome-unknown")
    assert ((await first)[0], work.done) == (200, 1)


async def test_after_a_crash_the_outcome_is_unknown_and_nothing_is_done_again(once, key):
    work = Work()
    work.crash = True
    application = once(work)
    with pytest.raises(RuntimeError):
        await ask(application, key)
    work.crash = False
    assert ((await ask(application, key))[0], work.done) == (409, 1)


async def test_what_failed_here_may_be_sent_again(once, key):
    work = Work(status=503)
    application = once(work)
    await ask(application, key)
    work.status = 200
    assert ((await ask(application, key))[0], work.done) == (200, 2)


async def test_a_secret_is_not_kept_and_a_repeat_says_that_it_was_done(once, key, town):
    work = Work(status=201, body=b'{"secret":"wk_very_secret"}')
    work.secret = True
    application = once(work)
    assert (await ask(application, key))[2] == work.body
    status, _, body = await ask(application, key)
    assert (status, json.loads(body)["type"], work.done) == (409, "urn:wattkeeper:problem:done-already", 1)
    with town.database.read() as session:
        kept = session.scalars(select(IdempotentRequest.body).where(IdempotentRequest.key == key)).one()
    assert "wk_very_secret" not in kept


async def test_tokens_of_one_owner_do_not_answer_each_other(once, key):
    work = Work()
    application = once(work)
    for name in ("reader", "writer"):
        holder = Principal(ActorKind.TOKEN, "clerk", "Clerk", Role.CLERK, frozenset(), token_name=name)
        await ask(application, key, principal=holder)
    assert work.done == 2


def test_a_long_answer_is_repeated_to_a_browser_that_takes_it_compressed(client):
    """What is kept is the answer itself, not the octets that one connection squeezed it into."""
    headers = {"idempotency-key": "a-long-answer-1", "accept-encoding": "gzip"}
    account = next(item for item in client.get("/api/v1/accounts").json()["items"])
    path = f"/api/v1/accounts/{account['id']}/bills"
    first = client.post(path, json={"month": "2026-10"}, headers=headers)
    again = client.post(path, json={"month": "2026-10"}, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert (first.status_code, first.json()) == (again.status_code, again.json())


def test_two_browsers_that_send_the_same_write_do_it_once(client, english, town):
    before = len(town.security.audit(action="tariff", limit=200).rows)
    told = []
    headers = {"idempotency-key": "two-browsers-1"}
    threads = [
        threading.Thread(target=lambda who=who: told.append(who.post(PATH, json=WANTED, headers=headers)))
        for who in (client, english)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in told} <= {200, 409}
    assert len(town.security.audit(action="tariff", limit=200).rows) - before <= 1
    assert town.now == NOW


@pytest.mark.parametrize("key", ["short", "x" * 101])
def test_a_key_has_a_sensible_length(client, key):
    assert client.post(PATH, json=WANTED, headers={"idempotency-key": key}).status_code == 422
