"""Our own bytes coming back: two-wire adapters hear what they say."""

from collections.abc import Callable


class Echo:
    """Takes our own bytes off the front of what is received.

    A reply may begin like its request (preamble and address), so bytes are held back until they differ from it. Where
    the right reply *is* the request (Modbus 05 and 06), it is taken for one, unless this line has echoed before.

    Args:
        heard: called with an echo that was taken off.

    """

    __slots__ = ("_expected", "_heard", "_held", "_known")

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self._heard = heard
        self._expected = b""
        self._held = b""
        self._known = False

    def expect(self, sent: bytes, *, mirrored: bool = False) -> None:
        """These bytes go out now; `mirrored`: the right reply is the same bytes."""
        self._expected = b"" if mirrored and not self._known else sent
        self._held = b""

    def forget_line(self) -> None:
        """The link was opened anew: another adapter may be there."""
        self._known = False

    def strip(self, received: bytes) -> bytes | None:
        """What is left of received bytes; None while they may still be the beginning of an echo."""
        expected = self._expected
        if not expected:
            return received
        came = self._held + received
        if came.startswith(expected):
            self._expected = self._held = b""
            self._known = True
            self._heard(expected)
            return came[len(expected) :] or None
        if expected.startswith(came):
            self._held = came
            return None
        self._expected = self._held = b""
        return came
