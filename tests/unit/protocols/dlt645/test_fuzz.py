"""Damaged conversations end in values or in an error of the package, soon and without eating memory."""

import runpy
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[4]
CORPUS = Path(__file__).parent / "corpus"
FUZZ = runpy.run_path(str(REPOSITORY / "tools/fuzz_dlt645.py"))


@pytest.mark.parametrize("codec", FUZZ["CODECS"])
def test_what_was_new_to_a_codec_once_still_ends_well(codec):
    inputs = (CORPUS / f"{codec}.txt").read_text("utf-8").split()
    outcomes = {FUZZ["outcome"](codec, bytes.fromhex(line)) for line in inputs}
    # Each was kept for an outcome of its own: many ways through the code are still taken.
    assert len(outcomes) > len(inputs) / 2
    assert any("Error" in said for said in outcomes)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("codec", FUZZ["CODECS"])
def test_two_hundred_thousand_new_inputs_end_well(codec):
    kept, slowest, growth = FUZZ["fuzz"](codec, 200_000, seed=2007)
    assert kept
    assert slowest < FUZZ["LONGEST"]
    assert growth < FUZZ["MOST_GROWTH"]
