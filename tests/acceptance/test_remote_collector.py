"""A remote collector and its platform, each a server of its own, and everything that can happen between them."""

import contextlib
import json
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wattkeeper.cli.client import ask, running_server
from wattkeeper.kernel.ownership import find_owner
from wattkeeper.parts import Parts
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.security.rights import Right, Role
from wattkeeper.security.users import UserWanted
from wattkeeper.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WORLD = """
installed = {installed}
[[links]]
code = "bus"
meters = [{meters}]
"""
HEADINGS = "Link code,Link URL,Meter address,Point code,Interval (min),Installed at,CT ratio,Account code,Account name\n"
ADDRESSES = [f"0000000000{number}" for number in range(11, 17)]
COMPARED = ("read_at", "quantity", "value", "status", "source", "exchange_id")


class Cable:
    """The network between the two: a TCP proxy that can be cut in the middle of whatever passes."""

    def __init__(self, port: int) -> None:
        self.platform = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._ends: set[socket.socket] = set()
        self._whole = threading.Event()
        self._whole.set()
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break what passes, and let nothing through."""
        self._whole.clear()
        for end in list(self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._whole.set()

    def close(self) -> None:
        self._closed = True
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            with contextlib.suppress(OSError):
                near, _ = self._listening.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with contextlib.closing(near), contextlib.suppress(OSError):
            if not self._whole.is_set():
                return
            with (
                socket.create_connection(("127.0.0.1", self.platform), 5) as far,
                selectors.DefaultSelector() as both,
            ):
                self._ends |= {near, far}
                both.register(near, selectors.EVENT_READ, far)
                both.register(far, selectors.EVENT_READ, near)
                while self._whole.is_set():
                    for ready, _ in both.select(0.2):
                        if not (passing := ready.fileobj.recv(1 << 16)):
                            return
                        ready.data.sendall(passing)
        self._ends.discard(near)


@pytest.fixture
def street(tmp_path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Simulated meters in a process of their own, and the URL of their bus."""
    meters = ", ".join(f'{{address = "{address}", point = "P-{address}"}}' for address in ADDRESSES)
    world = tmp_path / "world.toml"
    installed = (datetime.now(UTC) - timedelta(days=3)).date()
    world.write_text(WORLD.format(installed=installed, meters=meters), encoding="utf-8")
    command = [sys.executable, "-m", "wattkeeper.simulator", world, "--while-stdin"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    (link,) = json.loads(process.stdout.readline())["links"]
    yield process, link["url"]
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


@pytest.fixture
def cable() -> Iterator[Callable[[int], Cable]]:
    with contextlib.ExitStack() as stack:

        def lay(port: int) -> Cable:
            return stack.enter_context(contextlib.closing(Cable(port)))

        yield lay


def token_of(folder: Path) -> str:
    """A token that may deliver readings and nothing else, of a user of a platform that does not run."""
    parts = Parts.open(Settings(data_dir=folder))
    now = datetime.now(UTC)
    try:
        parts.security.users.first_administrator(now=now)
        with parts.database.write() as session:
            wanted = UserWanted(name="Remote sites", role=Role.OPERATOR)
            parts.security.users.add_in(session, "sites", wanted, now=now, password="correct horse battery")
        signed = parts.security.sign_in.sign_in(
            "sites", "correct horse battery", address="::1", agent="test", now=now
        )
        owner = parts.security.sign_in.principal(signed.secret, now=now)
        _, secret = parts.security.tokens.create(
            owner,
            name="site 7",
            rights={Right.READINGS_DELIVER},
            expires_at=now + timedelta(days=30),
            now=now,
        )
    finally:
        parts.close()
    return secret


def asked(folder: Path, path: str) -> dict:
    return ask(running_server(Settings(data_dir=folder)), "GET", path).json()


def eventually(condition: Callable[[], bool], *, within: float, saying: Callable[[], object]) -> None:
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not in {within:.0f} s: {saying()}")
        time.sleep(0.2)


def contents(folder: Path) -> list[tuple[object, ...]]:
    """Every current reading by the name of its meter; both ends imported the same file, so ids are alike."""
    with ReadingsStore.open(folder / "readings") as store:
        rows = store.readings().to_pylist()
    return sorted((row["meter_id"], *(row[name] for name in COMPARED)) for row in rows)


class Two:
    """The two servers, in folders of their own."""

    def __init__(self, start, wattkeeper, cable, folder: Path, bus: str) -> None:
        self._start = start
        self._folders = {name: folder / name for name in ("platform", "collector")}
        self._environment: dict[str, dict[str, str]] = {
            "platform": {"WATTKEEPER_COLLECT": "false"},
            "collector": {"WATTKEEPER_LIVE_SECONDS": "1", "WATTKEEPER_HISTORY_DAYS": "1"},
        }
        self.registry = folder / "meters.csv"
        self.registry.write_text(
            HEADINGS
            + "".join(
                f"bus,{bus},{address},P-{address},15,2026-01-01,1,A-{address},Li\n" for address in ADDRESSES
            )
        )
        self._wattkeeper = wattkeeper
        token = token_of(self._folders["platform"])
        self.running = {"platform": self._begun("platform", 0)}
        self.port = int(self.running["platform"].url().rpartition(":")[2])
        self.cable = cable(self.port)
        self._environment["collector"] |= {
            "WATTKEEPER_FORWARD_URL": f"http://127.0.0.1:{self.cable.port}",
            "WATTKEEPER_FORWARD_TOKEN": token,
        }

    def folder(self, name: str) -> Path:
        return self._folders[name]

    def imported(self, name: str) -> None:
        done = self._wattkeeper("import", self.registry, "--data-dir", self._folders[name])
        assert done.returncode == 0, done.stderr

    def begin(self, name: str) -> None:
        self.running[name] = self._begun(name, self.port if name == "platform" else 0)
        self.running[name].url()
        eventually(lambda: self._answers(name), within=30, saying=self.running[name].said)

    def kill(self, name: str) -> None:
        self.running[name].process.kill()
        self.running[name].process.wait()

    def end(self) -> None:
        for running in self.running.values():
            assert running.interrupt(60) == 0, running.said()

    def outbox(self) -> dict:
        return asked(self._folders["collector"], "/outbox")

    def taken(self) -> int:
        (collector,) = asked(self._folders["platform"], "/remote-collectors") or [{"readings": 0}]
        return collector["readings"]

    def settled(self) -> bool:
        """Whether nothing waits, nothing came for some feeds, and there is no trouble."""
        before = self.outbox()
        time.sleep(8)
        after = self.outbox()
        return after["batches"] == 0 and after["error"] is None and after["sent"] == before["sent"]

    def _answers(self, name: str) -> bool:
        owner = find_owner(self._folders[name])
        if owner is None or owner.socket is None:
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(owner.socket)) == 0

    def _begun(self, name: str, port: int):
        environment = self._environment[name]
        return self._start("serve", "--port", port, "--data-dir", self._folders[name], **environment)


@pytest.fixture
def two(start, wattkeeper, cable, tmp_path, street) -> Two:
    return Two(start, wattkeeper, cable, tmp_path, street[1])


def test_killed_ends_and_a_cut_line_lose_and_double_nothing(two, street):
    meters, _ = street
    for name in ("platform", "collector"):
        if name == "collector":
            two.begin(name)
        two.imported(name)
    eventually(lambda: two.taken() > 500, within=120, saying=two.outbox)

    two.kill("platform")
    time.sleep(3)
    assert "cannot be reached" in two.outbox()["error"]
    two.begin("platform")
    before = two.taken()
    eventually(lambda: two.taken() > before, within=120, saying=two.outbox)

    two.kill("collector")
    two.begin("collector")
    before = two.taken()
    eventually(lambda: two.taken() > before, within=120, saying=two.outbox)

    two.cable.cut()
    time.sleep(4)
    assert two.outbox()["rows"] > 0
    two.kill("collector")
    two.begin("collector")
    time.sleep(3)
    two.cable.mend()
    before = two.taken()
    eventually(lambda: two.taken() > before, within=120, saying=two.outbox)

    meters.kill()
    assert two.running["collector"].interrupt(60) == 0  # what it had in memory is in its store now
    two.begin("collector")
    eventually(two.settled, within=120, saying=two.outbox)
    two.end()
    here, there = contents(two.folder("collector")), contents(two.folder("platform"))
    assert len(here) > 1000
    assert len(there) == len(set(there)), "once each"
    assert there == here
    with ReadingsStore.open(two.folder("platform") / "readings") as store:
        traced = next(row for row in there if row[-1] is not None)
        exchange = store.exchange(traced[-1])
    assert exchange["meter_id"] == traced[0]
    assert exchange["reply"].startswith(b"\xfe" * 4) or exchange["reply"].startswith(b"\x68"), (
        "the frame itself"
    )


def test_meters_that_the_platform_does_not_know_are_told_at_both_ends_and_wait_until_it_does(two, wattkeeper):
    two.begin("collector")
    two.imported("collector")
    eventually(lambda: len(two.outbox()["unknown"]) == 6, within=120, saying=two.outbox)
    told = wattkeeper("outbox", "--data-dir", two.folder("collector"))
    assert told.returncode == 0, told.stderr
    assert "Meters that the platform does not know; their readings wait here: 6" in told.stdout
    assert "dlt645-2007 000000000011 on link bus" in told.stdout
    listed = wattkeeper("collectors", "--data-dir", two.folder("platform"))
    assert "site 7 reads meters that are not registered here: 6" in listed.stdout
    assert two.taken() == 0

    two.imported("platform")
    two.kill("collector")  # it asks again when it starts, and every few minutes
    two.begin("collector")
    eventually(lambda: two.outbox()["unknown"] == [] and two.taken() > 100, within=120, saying=two.outbox)
    assert "not registered" not in wattkeeper("collectors", "--data-dir", two.folder("platform")).stdout


def test_a_token_without_the_right_is_refused_and_said(two, wattkeeper):
    two._environment["collector"]["WATTKEEPER_FORWARD_TOKEN"] = "wk_no_such_token"
    two.begin("collector")
    two.imported("collector")
    eventually(lambda: two.outbox()["error"] is not None, within=120, saying=two.outbox)
    told = wattkeeper("outbox", "--data-dir", two.folder("collector"))
    assert told.returncode == 1
    assert "does not take readings from this collector: This token is unknown" in told.stdout
    assert "readings.deliver" in told.stdout
    assert two.outbox()["rows"] > 0


def test_without_a_platform_the_command_says_what_to_set(wattkeeper, start):
    start("serve", "--port", 0).url()
    done = wattkeeper("outbox")
    assert done.returncode == 1
    assert "sends its readings nowhere" in done.stderr
    assert "forward_url" in done.stderr
