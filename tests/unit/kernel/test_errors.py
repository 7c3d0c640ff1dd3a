"""An error says what happened and what to do."""

from wattkeeper.kernel.errors import WattkeeperError


def test_an_error_reads_as_its_message_and_its_hint():
    error = WattkeeperError("The meter is silent.", hint="Check the wiring.")
    assert (error.message, error.hint, str(error)) == (
        "The meter is silent.",
        "Check the wiring.",
        "The meter is silent. Check the wiring.",
    )
    assert str(WattkeeperError("Alone.")) == "Alone."
