"""The base of every error that reaches a person."""


class WattkeeperError(Exception):
    """Something a person has to know: what happened and to whom, and what to do next.

    ``message`` is a full sentence; ``hint`` is the next step, where there is one.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message} {self.hint}"
