"""At the meter: what can be wrong is said in a sentence, with a non-zero exit code and no traceback."""

import socket

import pytest


@pytest.fixture
def silent_gateway():
    """A gateway that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(
            ["--link", "tcp://127.0.0.1:1", "--meter", "123"], "000000000123", id="address_too_short"
        ),
        pytest.param(
            ["--link", "tcp://127.0.0.1:1", "--meter", "12345678901X"], "12 digits", id="address_not_digits"
        ),
        pytest.param(
            ["--link", "tcp://127.0.0.1:1", "--meter", "123456789012", "enrgy"], "energy", id="unknown_word"
        ),
        pytest.param(
            ["--link", "tcp://127.0.0.1:1", "--meter", "123456789012"], "127.0.0.1:1", id="nobody_listens"
        ),
        pytest.param(
            ["--link", "serial:///dev/ttyUSB99", "--meter", "123456789012"], "/dev/ttyUSB99", id="port_absent"
        ),
        pytest.param(["--link", "ttyUSB0", "--meter", "123456789012"], "serial:///", id="not_a_url"),
        pytest.param(
            ["--link", "tcp://host.invalid:5", "--meter", "123456789012"], "host.invalid", id="unknown_host"
        ),
    ],
)
def test_a_mistake_is_named(wattkeeper, arguments, said):
    done = wattkeeper("read", *arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_meter_that_never_answers_is_named(wattkeeper, silent_gateway):
    done = wattkeeper("read", "--link", silent_gateway, "--meter", "123456789012", "energy")
    assert done.returncode == 1
    assert "123456789012" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_scan_that_hears_nothing_says_what_to_check(wattkeeper, silent_gateway):
    done = wattkeeper("scan", "--link", silent_gateway)
    assert done.returncode == 1
    assert "No meter answered" in done.stderr
    assert "A and B" in done.stderr
