"""The documentation is true: its commands run, its pages are what the code says, its links lead somewhere."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from wattkeeper.billing.tariff_reader import read_tariff_file
from wattkeeper.protocols import dlt645

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
NEEDS_A_METER = ("scan", "read", "monitor")
RUNS_FOREVER = ("serve", "demo")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """The `wattkeeper` commands of a page, as arguments."""
    lines = "\n".join(blocks(page, "sh")).splitlines()
    return [line.split()[3:] for line in lines if line.startswith("uv run wattkeeper ")]


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_the_readme_commands_run(page, wattkeeper, tmp_path):
    tried = [command for command in commands(page) if command[0] not in (*NEEDS_A_METER, *RUNS_FOREVER)]
    assert [command[0] for command in tried] == ["decode", "decode", "template", "import"]
    for command in tried:
        done = wattkeeper(*command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert (tmp_path / "meters.xlsx").exists()


def test_the_readme_decodes_what_it_says(wattkeeper):
    command = next(command for command in commands(READMES[0]) if "--json" in command)
    values = [json.loads(line)["values"][0]["value"] for line in wattkeeper(*command).stdout.splitlines()]
    assert values == ["0.26", "123456.78"]


def test_both_readmes_have_the_same_commands():
    english, chinese = (blocks(page, "sh") for page in READMES)
    assert english == chinese


def test_every_make_target_named_in_the_docs_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"\bmake ([a-z-]+)`", page.read_text(encoding="utf-8")))
        assert named <= targets, page


def test_ci_runs_the_test_command_of_the_readme():
    assert "make test\n" in "".join(blocks(READMES[0], "sh"))
    assert "make test\n" in (ROOT / ".ci" / "run").read_text()


def test_reference_pages_are_what_the_code_says():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "reference.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_tariff_of_the_how_to_is_one(tmp_path):
    [text] = blocks(ROOT / "docs" / "howto" / "write-a-tariff.md", "yaml")
    file = tmp_path / "campus.yaml"
    file.write_text(text, encoding="utf-8")
    assert read_tariff_file(file).code == "campus-apartments"


def test_every_tariff_named_in_the_docs_is_shipped():
    shipped = {file.stem for file in (ROOT / "src" / "wattkeeper" / "billing" / "tariffs").glob("*.yaml")}
    named = {
        code for page in PAGES for code in re.findall(r"--tariff ([\w-]+)", page.read_text(encoding="utf-8"))
    }
    assert named - {"CODE"} <= shipped


def test_the_library_example_reads_a_meter_over_a_socket(capsys, tcp_meter):
    """The ten lines of the how-to, word for word but for the address of the gateway and the meter."""
    text, _ = blocks(ROOT / "docs" / "howto" / "read-a-dlt645-meter-in-python.md", "python")
    host, port, address, value = tcp_meter
    text = text.replace('("192.168.1.50", 8001)', repr((host, port))).replace('"123456789012"', repr(address))
    exec(compile(text, "how-to", "exec"), {})
    assert capsys.readouterr().out == f"{value} kWh\n"


@pytest.fixture
def tcp_meter():
    """A meter behind a socket, which sends its reply in two pieces after some noise."""
    import socket
    import threading

    address, value = "000000000161", "123456.78"
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        line, _ = server.accept()
        with line:
            request = next(
                e for e in dlt645.FrameReader().feed(line.recv(100)) if isinstance(e, dlt645.Frame)
            )
            assert request.address == address
            reply = bytes.fromhex("6861010000000068910833333433AB8967457816")
            line.sendall(b"\x00\xff" + reply[:9])
            line.sendall(reply[9:])

    thread = threading.Thread(target=answer)
    thread.start()
    yield *server.getsockname(), address, value
    thread.join(10)
    server.close()
