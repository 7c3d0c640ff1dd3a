"""Words of the command line."""

import pytest

from wattkeeper.collection.errors import UnknownWord
from wattkeeper.collection.words import WORDS, quantities_of
from wattkeeper.readings.quantities import QUANTITIES


@pytest.mark.parametrize("word", WORDS)
def test_every_word_stands_for_quantities_of_the_catalogue(word):
    assert WORDS[word]
    assert set(WORDS[word]) <= set(QUANTITIES)


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        pytest.param(["frequency"], ["frequency"], id="word"),
        pytest.param(["电压"], ["voltage_l1", "voltage_l2", "voltage_l3"], id="Chinese"),
        pytest.param(["Power-Factor"], list(WORDS["power_factor"]), id="as people write"),
        pytest.param(["voltage_l1", "voltage"], ["voltage_l1", "voltage_l2", "voltage_l3"], id="once each"),
    ],
)
def test_words_become_keys_in_their_order(words, keys):
    assert quantities_of(words) == keys


def test_an_unknown_word_is_refused_with_what_there_is():
    with pytest.raises(UnknownWord) as refused:
        quantities_of(["energie"])
    assert refused.value.message == "'energie' is no quantity. Did you mean energy?"
    assert "energy, reactive_energy, power" in refused.value.hint
