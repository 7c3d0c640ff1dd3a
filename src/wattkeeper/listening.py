"""Where the server listens: the TCP socket of people, with TLS or on loopback, and the Unix socket of the command line."""

import contextlib
import hashlib
import ipaddress
import os
import socket
import ssl
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from wattkeeper.kernel.errors import WattkeeperError
from wattkeeper.settings import Settings

UNIX_PATH_BYTES = 108
"""The room for a Unix socket's path, its closing zero included (`man 7 unix`)."""


class CannotListen(WattkeeperError):
    """The web server's address, or its certificate, cannot be used."""


def listen(settings: Settings, stack: contextlib.ExitStack) -> list[socket.socket]:
    """The TCP socket people use, and the Unix socket the command line uses."""
    _require_tls_beyond_loopback(settings)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    people = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
    people.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        people.bind((settings.host, settings.port))
    except OSError as error:
        raise CannotListen(
            f"The web server cannot listen on {settings.host}:{settings.port}: {error.strerror}.",
            hint="Stop what uses that port, or choose another with --port (0 takes a free one).",
        ) from None
    people.listen()  # from here on a browser waits instead of being refused, while the server starts
    command_line = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    path = socket_path(settings)
    path.unlink(missing_ok=True)  # left by a process that died: the folder lock says that nobody uses it
    command_line.bind(str(path))
    path.chmod(0o600)
    stack.callback(path.unlink, missing_ok=True)
    return [people, command_line]


def _require_tls_beyond_loopback(settings: Settings) -> None:
    """Refuse to send passwords and readings over a network in the clear."""
    host = settings.host
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if loopback:
        return
    if tls(settings) is None or not settings.public_url:
        raise CannotListen(
            f"The web server will not listen on {host} without TLS: passwords would cross the network in the clear.",
            hint="Set tls_certificate, tls_key and public_url; or leave host at 127.0.0.1 and put a reverse proxy before it.",
        )


def tls(settings: Settings) -> tuple[Path, Path] | None:
    """The certificate and its key, which come together and fit each other; None without."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise CannotListen("tls_certificate and tls_key come together.", hint="Set both, or neither.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        raise CannotListen(
            f"The certificate {certificate} with the key {key} cannot be used: {error}.",
            hint="Both are PEM files, the certificate with its chain; the server's user must be able to read them.",
        ) from None
    return certificate, key


def proxied(settings: Settings) -> bool:
    """Whether a reverse proxy on this machine tells who asks, and whether over HTTPS."""
    return bool(settings.public_url) and settings.tls_certificate is None


def public_host(settings: Settings) -> tuple[str, ...]:
    """The host of the public URL, which is answered too."""
    host = urlsplit(settings.public_url).hostname
    return (host,) if host else ()


def socket_path(settings: Settings) -> Path:
    """In the data folder; in the temporary folder where that path is longer than a Unix socket's may be."""
    path = settings.data_dir.resolve() / "wattkeeper.sock"
    if len(os.fsencode(path)) < UNIX_PATH_BYTES:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"wattkeeper-{digest}.sock")


def url_of(people: socket.socket, settings: Settings) -> str:
    """What people open: the public URL, or where the socket listens."""
    if settings.public_url:
        return settings.public_url
    host, port = people.getsockname()[:2]
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
