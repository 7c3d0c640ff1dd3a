"""`Idempotency-Key` on the API's writes: a repeat with the same key is answered as the first was, and does nothing.

After draft-ietf-httpapi-idempotency-key-header: the same key with another request is refused (422), one whose first
request is still at work, or never came to an end, is refused too (409).
"""

import hashlib
from typing import Final

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wattkeeper.kernel.idempotency import IdempotentRequests, KeptAnswer
from wattkeeper.web.guard import SAFE_METHODS
from wattkeeper.web.problems import problem_response
from wattkeeper.web.services import Services

API: Final = "/api/v1/"
SHORTEST, LONGEST = 8, 100
LARGEST_BYTES: Final = 1_000_000
"""Larger bodies (an import's file) are not compared by a key: their operations are harmless to repeat."""
SERVER_ERROR: Final = 500


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
        await self._once(scope, send, body, sender=f"{principal.kind}:{principal.login}", key=key)

    async def _once(self, scope: Scope, send: Send, body: bytes, *, sender: str, key: str) -> None:
        said = _fingerprint(scope, body)
        now = self._services.clock()
        known = await run_in_threadpool(self._kept.claim, sender=sender, key=key, fingerprint=said, now=now)
        if known is not None:
            await _repeated(known, said)(scope, _again(body), send)
            return
        answer = _Recorded(send)
        try:
            await self._app(scope, _again(body), answer.send)
        finally:
            if answer.status and answer.status < SERVER_ERROR:
                await run_in_threadpool(
                    self._kept.answered, sender=sender, key=key, status=answer.status,
                    media_type=answer.media_type, body=bytes(answer.body).decode("utf-8", "replace"),
                )  # fmt: skip
            elif answer.status:  # an error of ours rolled back what it had begun
                await run_in_threadpool(self._kept.release, sender=sender, key=key)


class _Recorded:
    """Passes an answer on and remembers it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.media_type = ""
        self.body = bytearray()

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
