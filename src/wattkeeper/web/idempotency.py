"""`Idempotency-Key` on the API's writes: a repeat with the same key is answered as the first was, and does nothing.

After draft-ietf-httpapi-idempotency-key-header: the same key with another request is refused (422), one whose first
request is still at work, or never came to an end, is refused too (409).
"""

import hashlib
from typing import Final

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wattkeeper.kernel.idempotency import IdempotentRequests, KeptAnswer
from wattkeeper.web.guard import SAFE_METHODS
from wattkeeper.web.problems import MEDIA_TYPE, problem_response
from wattkeeper.web.services import Services

API: Final = "/api/v1/"
SHORTEST, LONGEST = 8, 100
LARGEST_BYTES: Final = 1_000_000
"""Larger bodies (an import's file) are not compared by a key: their operations are harmless to repeat."""
CLIENT_ERROR: Final = 400
SERVER_ERROR: Final = 500
MARK: Final = "wattkeeper.kept_answer"
"""Where in a request's scope its answer is recorded."""


class Idempotency:
    """Answers repeats of writes from what was kept."""

    def __init__(self, app: ASGIApp, *, services: Services) -> None:
        self._app = app
        self._services = services
        self._kept = IdempotentRequests(services.database)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what has no key; else answer from what is kept, or keep the answer."""
        headers = Headers(scope=scope) if scope["type"] == "http" else None
        key = headers.get("idempotency-key") if headers is not None else None
        principal = scope.get("principal")
        if (
            key is None
            or principal is None
            or scope["method"] in SAFE_METHODS
            or not scope["path"].startswith(API)
        ):
            await self._app(scope, receive, send)
            return
        if not SHORTEST <= len(key) <= LONGEST:
            refusal = problem_response(
                422, "invalid-request", f"An Idempotency-Key has {SHORTEST} to {LONGEST} characters."
            )
            await refusal(scope, receive, send)
            return
        body = await _whole(receive)
        if body is None or len(body) > LARGEST_BYTES:
            refusal = problem_response(413, "too-large", "A request with an Idempotency-Key is at most 1 MB.")
            await refusal(scope, receive, send)
            return
        sender = ":".join((principal.kind, principal.login, principal.token_name or ""))
        await self._once(scope, send, body, sender=sender, key=key)

    async def _once(self, scope: Scope, send: Send, body: bytes, *, sender: str, key: str) -> None:
        said = _fingerprint(scope, body)
        now = self._services.clock()
        known = await run_in_threadpool(self._kept.claim, sender=sender, key=key, fingerprint=said, now=now)
        if known is not None:
            await _repeated(known, said)(scope, _again(body), send)
            return
        answer = _Recorded(send)
        scope[MARK] = answer
        try:
            await self._app(scope, _again(body), answer.send)
        finally:
            if answer.status and answer.status < SERVER_ERROR:
                status, media_type, kept = answer.to_keep()
                await run_in_threadpool(
                    self._kept.answered,
                    sender=sender,
                    key=key,
                    status=status,
                    media_type=media_type,
                    body=kept,
                )
            elif answer.status:  # an error of ours rolled back what it had begun
                await run_in_threadpool(self._kept.release, sender=sender, key=key)


def keep_no_secret(request: Request) -> None:
    """Say that the answer to this request holds a secret, which is kept nowhere."""
    answer: _Recorded | None = request.scope.get(MARK)
    if answer is not None:
        answer.secret = True


class _Recorded:
    """Passes an answer on and remembers it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.media_type = ""
        self.body = bytearray()
        self.secret = False

    def to_keep(self) -> tuple[int, str, str]:
        """What a repeat is answered: the same, or that it was done, where the answer holds a secret."""
        if self.secret and self.status < CLIENT_ERROR:
            done = problem_response(
                409,
                "done-already",
                "This was done before, and what it answered is shown only once.",
                hint="If that answer was lost, do it anew with another key.",
            )
            return 409, MEDIA_TYPE, bytes(done.body).decode()
        return self.status, self.media_type, bytes(self.body).decode("utf-8", "replace")

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.media_type = MutableHeaders(scope=message).get("content-type", "")
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
        await self._send(message)


def _repeated(known: KeptAnswer, fingerprint: str) -> Response:
    if known.fingerprint != fingerprint:
        return problem_response(
            422,
            "idempotency-key-reused",
            "This Idempotency-Key was used for another request.",
            hint="Use a new key for each request that is not a repeat.",
        )
    if known.status is None:
        return problem_response(
            409,
            "outcome-unknown",
            "The first request with this Idempotency-Key is at work, or never came to an end.",
            hint="Wait a moment; if this stays, look whether it was done before you send it with another key.",
        )
    return Response(
        known.body,
        status_code=known.status,
        media_type=known.media_type,
        headers={"idempotency-replayed": "true"},
    )


def _fingerprint(scope: Scope, body: bytes) -> str:
    parts = b"\n".join((scope["method"].encode(), scope["path"].encode(), scope["query_string"], body))
    return hashlib.sha256(parts).hexdigest()


async def _whole(receive: Receive) -> bytes | None:
    """The request's body; None when the client went away, or it is larger than we compare."""
    parts = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts += message.get("body", b"")
        if not message.get("more_body") or len(parts) > LARGEST_BYTES:
            return bytes(parts)


def _again(body: bytes) -> Receive:
    """The body once more, for the application."""
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
