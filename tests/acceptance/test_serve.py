"""`wattkeeper serve`: one owner of a folder, and a sentence for everything that can be wrong at the start."""

import contextlib
import http.client
import json
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import urllib.request
from pathlib import Path

import pytest


def open_page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def test_pages_open_status_knows_and_ctrl_c_ends_cleanly(start, wattkeeper):
    server = start("serve", "--port", 0)
    url = server.url()
    assert "<html" in open_page(url)
    status = wattkeeper("status", "--json")
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)["url"] == url
    assert server.interrupt() == 0
    assert "Traceback" not in server.said()
    assert wattkeeper("status").returncode == 3


def test_a_second_server_on_the_folder_is_told_who_owns_it(start, wattkeeper):
    server = start("serve", "--port", 0)
    url = server.url()
    second = wattkeeper("serve", "--port", 0)
    assert second.returncode == 1
    assert f"in use by process {server.process.pid}, which serves {url}" in second.stderr
    assert "Traceback" not in second.stderr
    assert "<html" in open_page(url)


def test_after_kill_9_the_folder_opens_again(start):
    server = start("serve", "--port", 0)
    server.url()
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    again = start("serve", "--port", 0)
    assert "<html" in open_page(again.url())


def test_a_taken_port_is_a_sentence(wattkeeper):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = wattkeeper("serve", "--port", port)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_first_password_is_printed_at_the_first_start_only(start):
    first = start("serve", "--port", 0)
    first.url()
    assert re.search(r"user admin, password (\w{4}-){3}\w{4}\.", first.said())
    first.interrupt()
    again = start("serve", "--port", 0)
    again.url()
    assert "password" not in again.said()


def test_beyond_loopback_it_does_not_serve_in_the_clear(wattkeeper):
    done = wattkeeper("serve", WATTKEEPER_HOST="0.0.0.0")
    assert done.returncode == 1
    assert "without TLS" in done.stderr
    assert "tls_certificate" in done.stderr


def test_a_key_that_does_not_fit_its_certificate_is_a_sentence(wattkeeper, certificate, tmp_path):
    key = tmp_path / "other.pem"
    key.write_text("not a key")
    done = wattkeeper("serve", WATTKEEPER_TLS_CERTIFICATE=str(certificate[0]), WATTKEEPER_TLS_KEY=str(key))
    assert done.returncode == 1
    assert "cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_with_a_certificate_people_and_the_command_line_speak_tls(start, wattkeeper, certificate):
    secure = {
        "WATTKEEPER_TLS_CERTIFICATE": str(certificate[0]),
        "WATTKEEPER_TLS_KEY": str(certificate[1]),
    }
    server = start("serve", "--port", 0, **secure)
    url = server.url()
    assert url.startswith("https://127.0.0.1:")
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    with urllib.request.urlopen(f"{url}/sign-in", timeout=10, context=trusting) as answer:
        assert "<html" in answer.read().decode()
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert json.loads(wattkeeper("status", "--json").stdout)["running"] is True


def test_behind_a_proxy_the_public_name_is_answered_and_no_other(start):
    server = start("serve", "--port", 0, WATTKEEPER_PUBLIC_URL="https://meters.example.org")
    assert server.wait_for(r"https://meters\.example\.org", 60)
    (port,) = _ports(server.process.pid)

    def status(host: str) -> int:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", "/sign-in", headers={"host": host, "x-forwarded-proto": "https"})
            return connection.getresponse().status

    assert status("meters.example.org") == 200
    assert status("evil.example.org") == 421


def _ports(pid: int) -> set[int]:
    """The TCP ports a process listens on."""
    inodes = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(handle.readlink()).removeprefix("socket:[").rstrip("]"))
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(line[1].partition(":")[2], 16) for line in lines if line[3] == "0A" and line[9] in inodes}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A certificate of our own for 127.0.0.1, and its key."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "certificate.pem", folder / "key.pem"
    command = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {made}"
    subprocess.run([openssl, *command.split()], check=True, capture_output=True)
    return made, key


@pytest.mark.parametrize("text", ["port = = 1", "prot = 1", 'port = "many"'])
def test_a_corrupt_config_file_stops_the_start_and_touches_nothing(wattkeeper, tmp_path, text):
    (tmp_path / "wattkeeper.toml").write_text(text)
    done = wattkeeper("serve")
    assert done.returncode == 1
    assert "wattkeeper.toml" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_ledger_from_a_newer_version_is_left_alone(start, wattkeeper, tmp_path):
    server = start("serve", "--port", 0)
    server.url()
    server.interrupt()
    with sqlite3.connect(tmp_path / "data" / "ledger.sqlite") as ledger:
        ledger.execute("UPDATE alembic_version SET version_num = 'f00000000001'")
    done = wattkeeper("serve", "--port", 0)
    assert done.returncode == 1
    assert "newer" in done.stderr
    assert "Traceback" not in done.stderr
    with sqlite3.connect(tmp_path / "data" / "ledger.sqlite") as ledger:
        assert ledger.execute("SELECT version_num FROM alembic_version").fetchone() == ("f00000000001",)


def test_a_data_folder_that_cannot_be_made_is_a_sentence(wattkeeper, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = wattkeeper("serve", "--data-dir", tmp_path / "file" / "data")
    assert done.returncode == 1
    assert "cannot be used" in done.stderr
