"""What can go wrong between us and a meter, said so that a person knows what to do.

Everything here is *remote*: a port, a host or a meter that is not as we hoped. What a meter
says is wrong (a refusal, a reply that makes no sense) is the protocol's own error and passes
through the bus unchanged.
"""

import errno
import grp
import socket
import stat
from pathlib import Path

from wattkeeper.kernel.errors import WattkeeperError


class LinkError(WattkeeperError):
    """Something about a link or a conversation over it failed."""


class BadLinkUrl(LinkError):
    """A link's address cannot be understood."""


class LinkUnavailable(LinkError):
    """The port or host is absent or refuses us; ``retry_in`` seconds from now the bus tries again."""

    def __init__(self, message: str, *, hint: str | None = None, retry_in: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_in = retry_in


class LinkPermission(LinkUnavailable):
    """The port exists, and this user may not open it."""


class LinkBusy(LinkUnavailable):
    """The port exists, and another process holds it."""


class LinkLost(LinkError):
    """The link broke in the middle of a conversation, or was closed under it."""


class NoReply(LinkError):
    """The link works and nobody answered, or not with a whole reply.

    Attributes:
        subject: what was asked, "meter 000000000161 reading 00010000".
        attempts: how often the request was sent.
        waited: how long all of them took. [s]
        octets: how many bytes came nevertheless (a half or broken reply), over all attempts.

    """

    def __init__(self, subject: str, *, attempts: int, waited: float, octets: int = 0) -> None:
        times = "once" if attempts == 1 else f"{attempts} times"
        if octets:
            message = f"{subject}: asked {times} in {waited:.1f} s; {octets} bytes came, but no whole reply."
            hint = "Check the baud rate and parity, the wiring and the termination, and that no two meters share it."
        else:
            message = f"{subject}: asked {times} in {waited:.1f} s, no answer."
            hint = "Check the meter's address, power and wiring (A and B swapped?), and the baud rate of the bus."
        super().__init__(message, hint=hint)
        self.subject = subject
        self.attempts = attempts
        self.waited = waited
        self.octets = octets


def explain_serial_failure(path: str, settings: str, error: OSError) -> LinkUnavailable:
    """The sentence for a serial port that would not open; ``settings`` reads "2400 baud 8E1"."""
    match error.errno:
        case errno.ENOENT | errno.ENXIO | errno.ENODEV:
            return LinkUnavailable(
                f"There is no serial port {path}.",
                hint="Plug the adapter in, and look which name it gets: ls /dev/serial/by-id /dev/ttyUSB*.",
            )
        case errno.EACCES | errno.EPERM:
            return _explain_permission(path)
        case errno.EBUSY | errno.EAGAIN:
            return LinkBusy(
                f"Another program holds {path}.",
                hint=f"Stop it first; to see which one it is: fuser -v {path}.",
            )
        case errno.EINVAL:
            return LinkUnavailable(
                f"{path} cannot do {settings}.",
                hint="A pseudo-terminal and some USB adapters know no parity: add parity=none to the link's URL.",
            )
        case errno.ENOTTY | errno.EISDIR:
            return LinkUnavailable(
                f"{path} is not a serial port.", hint="A serial port reads like /dev/ttyUSB0."
            )
        case _:
            return LinkUnavailable(f"{path} did not open: {error.strerror or error}.")


def explain_tcp_failure(host: str, port: int, error: OSError) -> LinkUnavailable:
    """The sentence for a TCP endpoint that would not connect."""
    place = f"{host}:{port}"
    if isinstance(error, socket.gaierror):
        return LinkUnavailable(
            f"There is no host {host}.",
            hint="Check the name in the link's URL, and that this machine can resolve it.",
        )
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return LinkUnavailable(
            f"{place} did not answer.",
            hint="Check that the gateway has power and network, and no firewall between.",
        )
    match error.errno:
        case errno.ECONNREFUSED:
            return LinkUnavailable(
                f"{place} refused the connection.",
                hint="The host is there, but nothing listens on this port: check the port and the gateway's mode.",
            )
        case errno.EHOSTUNREACH | errno.ENETUNREACH:
            return LinkUnavailable(
                f"There is no way to {place}.", hint="Check this machine's network and routes."
            )
        case _:
            return LinkUnavailable(f"{place} could not be reached: {error.strerror or error}.")


def _explain_permission(path: str) -> LinkPermission:
    """``dialout`` may use serial ports on Debian and its kin, ``uucp`` on Arch; a few devices let no group in."""
    group = _group_of(path)
    if group is None:
        return LinkPermission(
            f"You may not open {path}.",
            hint=f"See who may: ls -l {path}. Serial ports mostly belong to the group dialout: "
            "sudo usermod -aG dialout $USER, then sign in again.",
        )
    return LinkPermission(
        f"You may not open {path}: it belongs to the group {group}.",
        hint=f"Run: sudo usermod -aG {group} $USER, then sign in again.",
    )


def _group_of(path: str) -> str | None:
    """The group that may use a device; None when there is none that a person should join."""
    try:
        device = Path(path).stat()
        if device.st_gid != 0 and device.st_mode & stat.S_IRGRP:
            return grp.getgrgid(device.st_gid).gr_name
    except (OSError, KeyError):
        return None
    return None
