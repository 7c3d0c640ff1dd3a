"""What goes wrong about findings and the parameters of rules."""

from datetime import datetime

from wattkeeper.kernel.errors import WattkeeperError


class ValidationError(WattkeeperError):
    """Something about what validation found, or about its rules."""


class FindingNotFound(ValidationError):
    """There is no such finding, or it lies out of scope."""

    def __init__(self, finding_id: int) -> None:
        super().__init__(f"There is no finding {finding_id}.")


class AlreadyDecided(ValidationError):
    """A person has decided about the finding, or its cause is gone."""

    def __init__(self, finding_id: int, state: str) -> None:
        super().__init__(
            f"The finding {finding_id} is {state} already.",
            hint="Reload the list; only an open finding is decided.",
        )


class UnknownRule(ValidationError):
    """No rule of this code."""

    def __init__(self, code: str) -> None:
        super().__init__(
            f"There is no validation rule {code!r}.", hint="See the list of rules for their codes."
        )


class BadParameter(ValidationError):
    """A parameter that the rule does not have, or a value that it cannot be run with."""


class ParameterExists(ValidationError):
    """The parameter was set from the same instant on before."""

    def __init__(self, rule: str, parameter: str, valid_from: datetime) -> None:
        super().__init__(
            f"The parameter {parameter} of {rule} was set from {valid_from.isoformat()} on before.",
            hint="Choose another instant: what held before is kept, so that old findings can be explained.",
        )
