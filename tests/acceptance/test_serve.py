"""`wattkeeper serve`: one owner of a folder, and a sentence for everything that can be wrong at the start."""

import json
import signal
import socket
import sqlite3
import urllib.request

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


def test_nothing_but_loopback_is_served_without_sign_in(wattkeeper):
    done = wattkeeper("serve", WATTKEEPER_HOST="0.0.0.0")
    assert done.returncode == 1
    assert "loopback only" in done.stderr


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
