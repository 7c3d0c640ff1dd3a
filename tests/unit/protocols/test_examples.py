"""The examples in the package's documentation run, and it needs nothing of the rest of Wattkeeper."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

from wattkeeper.protocols import dlt645, modbus

MODULES = [
    name
    for package in (dlt645, modbus)
    for name in (
        package.__name__,
        *(f"{package.__name__}.{found.name}" for found in pkgutil.iter_modules(package.__path__)),
    )
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("package", [dlt645, modbus])
def test_the_package_shows_an_example_of_ten_lines(package):
    (example,) = doctest.DocTestFinder(recurse=False).find(package)
    assert 0 < len(example.examples) <= 10


def test_the_codec_can_be_used_alone():
    program = (
        "import sys, wattkeeper.protocols.dlt645 as d; d.decode_body('00010000', bytes(4));"
        "print(sorted(n for n in sys.modules if n.startswith('wattkeeper.') and 'protocols' not in n), 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[] False\n"
