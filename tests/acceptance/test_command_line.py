"""`wattkeeper` itself: every command answers, and none waits for libraries that it does not use."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from wattkeeper.cli.main import COMMANDS, application

LIBRARIES = (
    "duckdb", "fastapi", "httpx2", "numpy", "pyarrow", "pydantic_settings", "serialx", "sqlalchemy", "structlog",
)  # fmt: skip
LINKS = {"serialx", "structlog"}
LOADED = """
import sys
from wattkeeper.cli import main
try:
    main()
finally:
    sys.stderr.write(" ".join(name for name in {libraries} if name in sys.modules))
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_help(name):
    done = CliRunner().invoke(application([name]), [name, "--help"])
    assert done.exit_code == 0, done.output
    assert f"Usage: wattkeeper {name} " in done.output


def test_the_help_lists_every_command(wattkeeper):
    done = wattkeeper("--help")
    assert done.returncode == 0, done.stderr
    listed = {words[1] for line in done.stdout.splitlines() if len(words := line.split()) > 2}
    assert set(COMMANDS) <= listed


def test_a_misspelt_command_is_answered_with_those_it_may_be(wattkeeper):
    done = wattkeeper("decoed")
    assert done.returncode == 2
    assert "No such command 'decoed'. Did you mean 'decode', 'demo'?" in done.stderr


def test_the_shell_completes_commands_and_those_of_groups(wattkeeper):
    def completed(line: str) -> list[str]:
        words = line.split(" ")
        done = wattkeeper(
            _WATTKEEPER_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1)
        )
        return done.stdout.split()

    assert completed("wattkeeper de") == ["decode", "demo"]
    assert completed("wattkeeper user re") == ["reset-password"]


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        pytest.param(("--version",), set(), id="version"),
        pytest.param(("user", "--help"), set(), id="user"),
        pytest.param(("clean", "--help"), set(), id="clean"),
        pytest.param(("decode", "FEFEFEFE6861010000000068910833333433593333338A16"), LINKS, id="decode"),
    ],
)
def test_a_command_does_not_wait_for_libraries_it_does_not_use(arguments, allowed):
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(libraries=LIBRARIES), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert set(done.stderr.split()) <= allowed
