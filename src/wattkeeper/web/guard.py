"""What stands before every request: whose page asks, by which host name, and what the browser may do with the answer."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wattkeeper.web.problems import problem_response

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; "  # Tabler draws its form controls from data: images
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of every answer: no inline script, handler or style, so no nonce either."""

SECURITY_HEADERS: Final = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
STRICT_TRANSPORT: Final = "max-age=31536000"
"""Over HTTPS: a browser that was here never comes back in the clear."""
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Refuses foreign host names and cross-site writes, and adds the security headers."""

    def __init__(self, app: ASGIApp, *, trusted_hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in trusted_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
                if scope["scheme"] == "https":
                    headers.setdefault("strict-transport-security", STRICT_TRANSPORT)
            await send(message)

        handler: ASGIApp = self._refusal(scope) or self._app
        await handler(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _name(host) not in self._hosts:
            # A page of another site that had its name resolve to this machine (DNS rebinding) still sends its own name.
            return problem_response(
                421,
                "unknown-host",
                f"This server does not answer for the host name {_name(host) or '(none)'}.",
            )
        if scope["method"] not in SAFE_METHODS and not _same_origin(headers, host):
            return problem_response(
                403, "cross-site-write", "A page of another site may not change anything here."
            )
        return None


def _name(host: str) -> str:
    """The host name without its port, in lower case; `[::1]` keeps its brackets."""
    name, _, port = host.rpartition(":")
    return (name if name and port.isdigit() else host).lower()


def _same_origin(headers: Headers, host: str) -> bool:
    """Whether a write comes from our own page, or from a program.

    Every browser sends Origin with a POST, and current ones Sec-Fetch-Site. Programs send neither; then there must be
    no cookie either, since a cookie is what another site could make a browser use.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    if origin is None:
        return "cookie" not in headers
    return urlsplit(origin).netloc.lower() == host.lower()
