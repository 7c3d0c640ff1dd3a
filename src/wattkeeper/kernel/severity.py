"""How much a finding matters: one scale for every room that finds something."""

import enum


class Severity(enum.StrEnum):
    """How much it matters."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
