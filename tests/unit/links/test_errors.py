import errno
import socket

import pytest

from wattkeeper.links import LinkBusy, LinkPermission, LinkUnavailable, NoReply
from wattkeeper.links.errors import explain_serial_failure, explain_tcp_failure


@pytest.mark.parametrize(
    ("number", "kind", "says"),
    [
        pytest.param(errno.ENOENT, LinkUnavailable, "There is no serial port /dev/none.", id="absent"),
        pytest.param(errno.EACCES, LinkPermission, "usermod -aG dialout", id="permission"),
        pytest.param(errno.EBUSY, LinkBusy, "Another program holds /dev/none.", id="busy"),
        pytest.param(errno.EINVAL, LinkUnavailable, "cannot do 2400 baud 8E1", id="settings"),
        pytest.param(errno.ENOTTY, LinkUnavailable, "is not a serial port", id="not a port"),
        pytest.param(errno.EIO, LinkUnavailable, "did not open", id="anything else"),
    ],
)
def test_a_serial_port_that_does_not_open_says_why_and_what_to_do(number, kind, says):
    error = explain_serial_failure("/dev/none", "2400 baud 8E1", OSError(number, "as the system puts it"))
    assert type(error) is kind
    assert says in str(error)


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        pytest.param(
            ConnectionRefusedError(errno.ECONNREFUSED, "x"), "h:1 refused the connection.", id="refused"
        ),
        pytest.param(socket.gaierror(-2, "x"), "There is no host h.", id="unknown host"),
        pytest.param(TimeoutError(), "h:1 did not answer.", id="timeout"),
        pytest.param(OSError(errno.EHOSTUNREACH, "x"), "There is no way to h:1.", id="unreachable"),
        pytest.param(OSError(errno.EMFILE, "too many files"), "too many files", id="anything else"),
    ],
)
def test_a_gateway_that_cannot_be_reached_says_why(cause, says):
    assert says in str(explain_tcp_failure("h", 1, cause))


def test_silence_and_half_a_reply_are_told_apart():
    silence = NoReply("meter 000000000161 reading 00010000", attempts=3, waited=3.27)
    assert str(silence).startswith("meter 000000000161 reading 00010000: asked 3 times in 3.3 s, no answer.")
    half = NoReply("meter 000000000161 reading 00010000", attempts=1, waited=1.0, octets=9)
    assert "asked once in 1.0 s; 9 bytes came, but no whole reply." in str(half)


def test_a_group_that_may_not_use_the_port_is_not_named_as_its_owner(tmp_path):
    port = tmp_path / "port"
    port.touch(mode=0o600)
    error = explain_serial_failure(str(port), "2400 baud 8E1", PermissionError(errno.EACCES, "x"))
    assert error.message == f"You may not open {port}."
    assert f"ls -l {port}" in error.hint
