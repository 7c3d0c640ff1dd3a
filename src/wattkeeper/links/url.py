"""A link's address as a URL: one line in a table, a file or a command tells how to reach a bus.

``serial:///dev/ttyUSB0?baud=2400&parity=even&stop=1&data=8`` or ``tcp://gateway.example:8899``.
"""

from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, urlsplit

from wattkeeper.links.errors import BadLinkUrl

Parity = Literal["none", "even", "odd"]

SERIAL_EXAMPLE = "serial:///dev/ttyUSB0?baud=2400&parity=even"
TCP_EXAMPLE = "tcp://192.168.1.50:8899"
_LETTERS: dict[str, Parity] = {
    "n": "none",
    "e": "even",
    "o": "odd",
    "none": "none",
    "even": "even",
    "odd": "odd",
}
_BAUD_RANGE = range(50, 4_000_001)
_RATE_RANGE = range(1, 60_001)


@dataclass(frozen=True, slots=True)
class LinkUrl:
    """Where a bus is and how its bytes are framed.

    The line settings default to DL/T 645-2007 §5.1: 2400 baud, 8 data bits, even parity, 1 stop bit.
    Over TCP they describe the line behind the gateway (``tcp://host:port?baud=9600``), which sets how
    long a reply may take; ``baud`` is None there when nobody said.

    Attributes:
        scheme: "serial" or "tcp".
        device: path of the serial port; "" over TCP.
        host: name or address of the gateway; "" for serial.
        port: TCP port; 0 for serial.
        baud: [bit/s]
        data: data bits in a byte.
        stop: stop bits behind it.
        timeout: how long the first byte of a reply may take, where the default is not right. [s]
        rate: how many requests may be sent in a minute, where the line or its tariff does not carry more. [1/min]

    """

    scheme: Literal["serial", "tcp"]
    device: str = ""
    host: str = ""
    port: int = 0
    baud: int | None = None
    parity: Parity = "even"
    data: int = 8
    stop: int = 1
    timeout: float | None = None
    rate: int | None = None

    @staticmethod
    def parse(text: str) -> "LinkUrl":
        """Understand a URL, or raise BadLinkUrl with a sentence and an example."""
        text = text.strip()
        if "://" not in text:
            raise BadLinkUrl(f"{text!r} is not a link's URL.", hint=_suggestion(text))
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise BadLinkUrl(
                f"{text!r} is not a link's URL: {error}.", hint=f"Like this: {TCP_EXAMPLE}."
            ) from None
        match parts.scheme.lower():
            case "serial":
                base = LinkUrl("serial", device=_device(parts, text), baud=2400)
            case "tcp":
                base = LinkUrl("tcp", host=_host(parts, text), port=_port(port, text))
            case other:
                raise BadLinkUrl(
                    f"Links of the kind {other!r} are not known.",
                    hint=f"Use {SERIAL_EXAMPLE} or {TCP_EXAMPLE}.",
                )
        return _with_options(base, parts.query, text)

    @property
    def settings(self) -> str:
        """The line's settings as people write them: "2400 baud 8E1"."""
        return f"{self.baud} baud {self.data}{self.parity[0].upper()}{self.stop}"

    @property
    def place(self) -> str:
        """The port or endpoint without its settings, for messages."""
        return self.device if self.scheme == "serial" else f"{_bracketed(self.host)}:{self.port}"

    @property
    def bits_per_byte(self) -> int:
        """Bit times one byte takes on the wire: start, data, parity, stop (11 for 8E1)."""
        return 1 + self.data + (self.parity != "none") + self.stop

    @property
    def byte_time(self) -> float:
        """Seconds one byte takes on the wire; 0 where the baud rate is unknown."""
        return 0.0 if self.baud is None else self.bits_per_byte / self.baud

    def with_baud(self, baud: int) -> "LinkUrl":
        """The same place at another speed in bit/s, as a scan tries them."""
        return replace(self, baud=baud)

    def __str__(self) -> str:
        """The URL, so that it can be stored and parsed again; what is as the standard wants it goes without saying."""
        options: dict[str, object] = {
            name: value
            for name, value, usual in (
                ("baud", self.baud, None),
                ("parity", self.parity, "even"),
                ("data", self.data, 8),
                ("stop", self.stop, 1),
            )
            if value != usual
        }
        if self.timeout is not None:
            options["timeout"] = f"{self.timeout:g}"
        if self.rate is not None:
            options["rate"] = self.rate
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"{self.scheme}://{self.place}{'?' if query else ''}{query}"


def _suggestion(text: str) -> str:
    if text.startswith("/dev/"):
        return f"Write serial://{text}?baud=2400&parity=even."
    host, colon, port = text.rpartition(":")
    if colon and host and port.isdecimal():
        return f"Write tcp://{text}."
    return f"Like this: {SERIAL_EXAMPLE} or {TCP_EXAMPLE}."


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _device(parts: SplitResult, text: str) -> str:
    if parts.netloc and parts.path:
        raise BadLinkUrl(
            f"{text!r} has two slashes where a device's path needs three.",
            hint=f"Write serial:///{parts.netloc}{parts.path}.",
        )
    if not (device := parts.netloc or parts.path):
        raise BadLinkUrl(f"{text!r} names no serial port.", hint=f"Like this: {SERIAL_EXAMPLE}.")
    return device


def _host(parts: SplitResult, text: str) -> str:
    if parts.path not in {"", "/"}:
        raise BadLinkUrl(f"{text!r} has a path, which TCP knows none of.", hint=f"Like this: {TCP_EXAMPLE}.")
    if not parts.hostname:
        raise BadLinkUrl(f"{text!r} names no host.", hint=f"Like this: {TCP_EXAMPLE}.")
    return parts.hostname


def _port(port: int | None, text: str) -> int:
    if not port:
        raise BadLinkUrl(f"{text!r} names no TCP port.", hint=f"Like this: {TCP_EXAMPLE}.")
    return port


def _with_options(base: LinkUrl, query: str, text: str) -> LinkUrl:
    for name, value in parse_qsl(query, keep_blank_values=True):
        match name:
            case "baud":
                base = replace(base, baud=_number(name, value, _BAUD_RANGE, text))
            case "data":
                base = replace(base, data=_number(name, value, range(5, 9), text))
            case "stop":
                base = replace(base, stop=_number(name, value, range(1, 3), text))
            case "parity" if value.lower() in _LETTERS:
                base = replace(base, parity=_LETTERS[value.lower()])
            case "parity":
                raise BadLinkUrl(
                    f"parity={value} in {text!r} is none, even or odd.", hint="Meters use parity=even."
                )
            case "timeout":
                base = replace(base, timeout=_seconds(value, text))
            case "rate":
                base = replace(base, rate=_rate(value, text))
            case _:
                raise BadLinkUrl(
                    f"{text!r} has an option {name!r} that is not known.",
                    hint="Known are baud, parity, data, stop, timeout and rate.",
                )
    return base


def _number(name: str, value: str, allowed: range, text: str) -> int:
    if not (value.isascii() and value.isdecimal()) or int(value) not in allowed:
        raise BadLinkUrl(
            f"{name}={value} in {text!r} is not a number from {allowed.start} to {allowed.stop - 1}.",
            hint="Meters speak 2400 or 9600 baud, 8 data bits, even parity, 1 stop bit.",
        )
    return int(value)


def _rate(value: str, text: str) -> int:
    if not (value.isascii() and value.isdecimal()) or int(value) not in _RATE_RANGE:
        raise BadLinkUrl(
            f"rate={value} in {text!r} is not a number of requests a minute, 1 to {_RATE_RANGE.stop - 1}.",
            hint="Leave it out where the line has no limit.",
        )
    return int(value)


def _seconds(value: str, text: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= 60.0:  # noqa: PLR2004 -- a minute is longer than any line needs
        raise BadLinkUrl(
            f"timeout={value} in {text!r} is not a time in seconds, up to 60.", hint="Like this: timeout=2.5."
        )
    return seconds
