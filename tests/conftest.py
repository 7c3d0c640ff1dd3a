"""What every test may ask for."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of published frames, worked bills and real load data; a user's clone has none."""
    folder = Path(os.environ.get("WATTKEEPER_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "cases").is_dir():
        pytest.skip("needs the shared folder of cases and data (set WATTKEEPER_SHARED)")
    return folder
